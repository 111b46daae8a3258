"""Tables of the differential test: small, all text, and as untidy as those of AgentBench.

A column is known by its role (`name`, `num`, `date`, ...), so that one template fits every theme.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from cmat_env.envs.database.backend import Row, Table

ROLES = ("key", "name", "word", "num", "money", "dec", "date", "spoken", "score", "pct", "note")

_THEMES: tuple[tuple[str, tuple[str, ...], str, tuple[str, ...]], ...] = (
    (
        "Film Awards",
        (
            "No",
            "Title",
            "Studio",
            "Year",
            "Budget ($)",
            "Rating",
            "Release Date",
            "Premiere",
            "Votes",
            "Share",
            "Notes",
        ),
        "studios",
        ("Studio", "Country", "Films"),
    ),
    (
        "athletes",
        ("id", "athlete", "club", "goals", "salary", "height", "born", "signed", "result", "win_rate", "remarks"),
        "clubs",
        ("club", "city", "members"),
    ),
    (
        "2019 season results",
        (
            "Rank",
            "Driver",
            "Team",
            "Laps",
            "Prize money",
            "Time/Gap",
            "Date",
            "Reported on",
            "Grid-Finish",
            "%",
            "Group",
        ),
        "Teams",
        ("Team", "Base", "Staff"),
    ),
    (
        "Order",
        (
            "No.",
            "Customer Name",
            "Category",
            "Quantity",
            "Total",
            "Unit Price",
            "order_date",
            "Shipped",
            "Range",
            "Discount",
            "Key",
        ),
        "Category List",
        ("Category", "Region", "Items"),
    ),
    (
        "city_stats",
        (
            "nr",
            "City",
            "Region",
            "Altitude (m)",
            "Population",
            "density",
            "founded",
            "Last Census",
            "Vote",
            "growth",
            "From",
        ),
        "regions",
        ("Region", "Capital", "Towns"),
    ),
)
_FIRST = (
    "Ana",
    "Zoë",
    "Jürgen",
    "O'Neil",
    "Lee",
    "María",
    "Åsa",
    "Bob",
    "Émile",
    "Chen",
    "van Dyk",
    "Mac",
    "Ian",
    "Noor",
)
_LAST = (
    "Smith",
    "Müller",
    "D'Angelo",
    "Kovač",
    "Hall\u2013West",
    "St. John",
    "Núñez",
    "brown",
    "King",
    "Øster",
    "Li",
    "Moss",
)
_WORDS = ("North", "South Bay", "Émeraude", "River-Side", "north", "Orion", "St. Mary's", "A & B", "Delta")
_PLACES = ("Oslo", "Lima", "New York", "São Paulo", "Bern", "Kyiv", "Quito", "Accra", "Perth")
_NOTES = (
    "",
    "-",
    "N/A",
    "?",
    "injured (knee)",
    "2nd place",
    "won 3 times",
    "100% sure",
    "under_score",
    "tie; replayed",
    "lost",
    "Won",
    "n/a",
)
_DASHES = "-\u2013"
_MONTHS = ("January", "March", "May", "June", "August", "October", "December")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A main table and a smaller one that shares its categories.

    Attributes:
        main: eleven columns, one a role.
        side: category, place, count.
    """

    main: Table
    side: Table

    def column(self, role: str) -> str:
        """The main table's column of a role."""
        return self.main.columns[ROLES.index(role)]

    def values(self, role: str) -> list[str]:
        """What stands in that column, without NULL."""
        index = ROLES.index(role)
        return [str(row[index]) for row in self.main.rows if row[index] is not None]


def sheet(rng: random.Random) -> Sheet:
    """Draw a theme and fill it."""
    name, columns, side, side_columns = rng.choice(_THEMES)
    words = rng.sample(_WORDS, rng.randint(3, 5))
    people = [f"{first} {last}" for first in _FIRST for last in _LAST]
    names = rng.sample(people, rng.randint(8, 16))
    rows = tuple(_row(rng, number, person, words) for number, person in enumerate(names, start=1))
    places = rng.sample(_PLACES, len(words))
    listed = [*words[1:], "Nowhere"]  # a category without a partner on either side
    side_rows = tuple((word, place, str(rng.randint(1, 40))) for word, place in zip(listed, places, strict=True))
    return Sheet(Table(name, columns, rows), Table(side, side_columns, side_rows))


def _row(rng: random.Random, number: int, name: str, words: list[str]) -> Row:
    whole = rng.randint(0, 120)
    return (
        str(number),
        name,
        rng.choice(words),
        str(whole) if rng.random() < 0.95 else rng.choice(("?", "", "-5", "007")),
        f"{rng.randint(0, 3_000_000):,}",
        f"{rng.randint(50, 2500) / 100:.2f}",
        f"{rng.randint(1990, 2022)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        f"{rng.choice(_MONTHS)} {rng.randint(1, 28)}, {rng.randint(1990, 2022)}",
        f"{rng.randint(0, 5)}{rng.choice(_DASHES)}{rng.randint(0, 5)}",
        f"{rng.randint(0, 1000) / 10}%",
        None if rng.random() < 0.1 else rng.choice(_NOTES),
    )
