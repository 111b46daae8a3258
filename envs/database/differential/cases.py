"""The cases of the differential test: every template, filled in several times from seeds of its own.

Templates were written before anyone who wrote them looked into the emulation. A case is a pure function of its name
and number, so that outcomes recorded on one machine can be compared on another.

Placeholders: `t` and `s` are the main and the side table; a role of `sheets.ROLES` is a column, `any` any of them;
`s_word`, `s_place`, `s_count` are the side table's; `a_name`, `a_word` quote a value that exists, `new` one that does
not; `n`, `low`, `x`, `k`, `year`, `a_date`, `part` are bare values; `..._bare` and `..._text` are names unquoted and as
a string.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cmat_env.envs.database.backend import Table
from cmat_env.envs.database.differential.later import LATER, SORTED
from cmat_env.envs.database.differential.reads import ORDERED, READS
from cmat_env.envs.database.differential.sheets import ROLES, Sheet, sheet
from cmat_env.envs.database.differential.writes import WRITES

ROUNDS = {"first": {**READS, **ORDERED, **WRITES}, "second": LATER}
"""Templates by when they were written."""
TEMPLATES = {**ROUNDS["first"], **ROUNDS["second"]}
PER_TEMPLATE = 18

_CHOICE = re.compile("«([^«»]*)»")
_PLACE = re.compile(r"\{(\w+)\}")
_BARE = re.compile("[a-z_]+")
_NEW = ("New Man", "José Peña", "X Æ A-12", "Lee Smith Jr.", "O'Brien")


@dataclass(frozen=True, slots=True)
class Case:
    """Statements of one episode.

    Attributes:
        id: template and number.
        tables: what the database holds before.
        statements: one after the other.
        ordered: must rows come in the same order?
    """

    id: str
    tables: tuple[Table, ...]
    statements: tuple[str, ...]
    ordered: bool


def cases(per_template: int = PER_TEMPLATE) -> Iterator[Case]:
    """All cases, template by template."""
    for name in TEMPLATES:
        for number in range(per_template):
            yield case(name, number)


def case(name: str, number: int) -> Case:
    """The case of a template and a number."""
    rng = random.Random(f"{name}-{number}")
    drawn = sheet(rng)
    text = TEMPLATES[name]
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)
    values = _values(rng, drawn)
    sql = _PLACE.sub(lambda match: values[match[1]], text).replace("¦", "|")
    statements = tuple(part.strip() for part in sql.split(" ;; "))
    return Case(f"{name}-{number}", (drawn.main, drawn.side), statements, name in ORDERED or name in SORTED)


def _values(rng: random.Random, drawn: Sheet) -> dict[str, str]:
    """What every placeholder stands for in one case."""
    bare = rng.random() < 0.4
    quoted = {role: _name(drawn.column(role), bare) for role in ROLES}
    first, second = rng.sample(ROLES, 2)
    low = rng.randint(0, 60)
    date = rng.choice(drawn.values("date"))
    words = rng.sample(sorted(set(drawn.values("word")), key=str), min(2, len(set(drawn.values("word")))))
    style = rng.choice(("doubled", "backslash"))
    side = drawn.side.columns
    return quoted | {
        "t": _name(drawn.main.name, bare),
        "s": _name(drawn.side.name, bare),
        "t_bare": drawn.main.name,
        "t_text": f"'{drawn.main.name}'",
        "t_other_case": _name(drawn.main.name.swapcase(), False),
        "name_bare": drawn.column("name"),
        "word_bare": drawn.column("word"),
        "word_text": rng.choice(words),
        "s_word": _name(side[0], bare),
        "s_place": _name(side[1], bare),
        "s_count": _name(side[2], bare),
        "any": quoted[first],
        "any2": quoted[second],
        "k": rng.choice(drawn.values("key")),
        "low": str(low),
        "n": str(low + rng.randint(0, 60)),
        "x": f"{rng.randint(50, 2500) / 100:.2f}",
        "year": date[:4],
        "a_date": date,
        "a_name": _text(rng.choice(drawn.values("name")), style),
        "a_word": _text(words[0], style),
        "a_word2": _text(words[-1], style),
        "part": rng.choice(("a", "an", "e", "Li", "son", "zo", "ü", "St.", "Mu", "king")),
        "new": _text(rng.choice(_NEW), style),
        "row": ", ".join(_text(cell, style) for cell in _new_row(rng)),
    }


def _new_row(rng: random.Random) -> tuple[str, ...]:
    number = str(rng.randint(50, 99))
    return (number, rng.choice(_NEW), "North", "12", "1,000", "3.50", "2020-02-02", "May 2, 2020", "1-0", "5%", "new")


def _name(name: str, bare: bool) -> str:
    return name if bare and _BARE.fullmatch(name) else f"`{name}`"


def _text(value: str, style: str) -> str:
    return "'" + value.replace("'", "''" if style == "doubled" else "\\'") + "'"
