"""Draws the data of a generated task, so that wrong SQL seldom gives the right answer.

All numbers of a table differ, also between its columns; so do all words of its text columns; the sizes of the groups
differ; the extremes of the two number columns stand in different rows, and the largest number outside of the group that
a question may name.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from cmat_env.envs.database.backend import Row, Table
from cmat_env.envs.database.generate.draft import arrange
from cmat_env.envs.database.generate.words import Split, allowed, is_new, new_values, words_of


@dataclass(frozen=True, slots=True)
class Columns:
    """The names in a table: its own, and those of its key, category, number and other number."""

    table: str
    key: str
    cat: str
    num: str
    alt: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table with a key, a category and two number columns.

    Attributes:
        table: its name.
        order: the columns as they stand in the table.
        key, cat, num, alt: names of the columns: distinct texts, texts in groups, numbers, other numbers.
        rows: (key, cat, num, alt) each, in the table's order.
        focus: the row whose words a question may name.
        spare: a row with words and numbers that do not stand in the table.
    """

    table: str
    order: tuple[str, ...]
    key: str
    cat: str
    num: str
    alt: str
    rows: tuple[tuple[str, str, int, int], ...]
    focus: tuple[str, str, int, int]
    spare: tuple[str, str, int, int]

    def arrange(self, rows: Iterable[Row]) -> tuple[Row, ...]:
        """Rows (key, cat, num, alt) with their cells in the order of the table's columns."""
        names = (self.key, self.cat, self.num, self.alt)
        places = [names.index(column) for column in self.order]
        return tuple(arrange(row, places) for row in rows)

    def as_tables(self) -> tuple[Table, ...]:
        """The data as a backend loads them."""
        return (Table(self.table, self.order, self.arrange(self.rows)),)


def draw_sheet(rng: random.Random, split: Split, *, columns: Columns | None = None) -> Sheet:
    """Draw a table of 8 to 12 rows in 2 to 4 groups; its columns too, unless they are given."""
    names = columns or draw_columns(rng, split)
    key, cat = names.key, names.cat
    count = rng.randrange(8, 13)
    sizes = rng.choice(partitions(count))
    (keys, spare_key), (cats, spare_cat) = draw_values(rng, split, ((key, count), (cat, len(sizes))))
    low, high = rng.sample(range(1, 100), count + 1), rng.sample(range(100, 1000), count + 1)
    nums, alts = (low, high) if rng.random() < 0.5 else (high, low)
    spare = (spare_key, spare_cat, nums.pop(), alts.pop())
    _part_extremes(nums, alts, outside=sizes[0])
    groups = [name for name, size in zip(cats, sizes, strict=True) for _ in range(size)]
    rows = list(zip(keys, groups, nums, alts, strict=True))
    focus = rows[0]
    rng.shuffle(rows)
    order = [key, cat, names.num, names.alt]
    rng.shuffle(order)
    return Sheet(names.table, tuple(order), key, cat, names.num, names.alt, tuple(rows), focus, spare)


@cache
def partitions(count: int) -> tuple[tuple[int, ...], ...]:
    """Ways to part `count` rows into 2 to 4 groups of different sizes, each way with the first group above 1."""
    ways = [way for groups in (2, 3, 4) for way in _parts(count, groups)]
    return tuple(way for way in ways if way[0] > 1)


def _parts(count: int, groups: int) -> list[tuple[int, ...]]:
    """All orders of `groups` different sizes that sum to `count`."""
    if groups == 1:
        return [(count,)]
    return [
        (first, *rest) for first in range(1, count) for rest in _parts(count - first, groups - 1) if first not in rest
    ]


def draw_columns(rng: random.Random, split: Split) -> Columns:
    """A table and four of its columns, at least one of them new to it in the splits that promise so."""
    while True:
        table = rng.choice(words_of(split).tables)
        texts = rng.sample(allowed(split, table, "texts"), 2)
        numbers = rng.sample(allowed(split, table, "numbers"), 2)
        if split == "train" or any(is_new(split, table, column) for column in (*texts, *numbers)):
            return Columns(table, texts[0], texts[1], numbers[0], numbers[1])


def draw_values(rng: random.Random, split: Split, wanted: Sequence[tuple[str, int]]) -> list[tuple[list[str], str]]:
    """Draw words that differ everywhere for several text columns.

    Args:
        rng: where to draw from.
        split: whose words.
        wanted: columns, and how many words each.

    Returns:
        For each column its words and a spare one. The first and the spare, which questions name, are new to the column
        in the splits that promise so.
    """
    taken: set[str] = set()
    named: list[list[str]] = []
    for column, _ in wanted:
        named.append(rng.sample([value for value in new_values(split, column) if value not in taken], 2))
        taken.update(named[-1])
    drawn: list[tuple[list[str], str]] = []
    for (column, count), (first, spare) in zip(wanted, named, strict=True):
        rest = rng.sample([value for value in allowed(split, column, "values") if value not in taken], count - 1)
        taken.update(rest)
        drawn.append(([first, *rest], spare))
    return drawn


def _part_extremes(nums: list[int], alts: list[int], *, outside: int) -> None:
    """Exchange numbers until the largest, and the smallest, of the two columns stand in different rows.

    The largest of `nums` also leaves the first `outside` rows, which are the group of the focus.
    """
    top = nums.index(max(nums))
    if top < outside:
        nums[top], nums[-1] = nums[-1], nums[top]
    for extreme in (max, min):
        place = nums.index(extreme(nums))
        if alts[place] == extreme(alts):
            other = place - 1
            alts[place], alts[other] = alts[other], alts[place]
