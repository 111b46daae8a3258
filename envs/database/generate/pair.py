"""Draws the data of a task over two tables, so that wrong SQL seldom gives the right answer.

The left table has a key, a link and a number; the right one has the link, a place and another number. Each row of the
left belongs to one of the right, and one row of the right has none.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from cmat_env.envs.database.backend import Row, Table
from cmat_env.envs.database.generate.draft import arrange
from cmat_env.envs.database.generate.sheet import draw_values, partitions
from cmat_env.envs.database.generate.words import Split, allowed, is_new, words_of

_ROWS = 12
_LINKS = 5


@dataclass(frozen=True, slots=True)
class Columns:
    """The names in a pair of tables; `link` stands in both."""

    left: str
    right: str
    key: str
    link: str
    num: str
    place: str
    size: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tables that belong together.

    Attributes:
        names: of tables and columns.
        left_order, right_order: where key, link, num and link, place, size stand in the tables.
        rows: (key, link, num) of the left table.
        others: (link, place, size) of the right table.
        focus: the (key, link, num) whose words a question may name.
        spare: a number that stands nowhere.
    """

    names: Columns
    left_order: tuple[int, ...]
    right_order: tuple[int, ...]
    rows: tuple[tuple[str, str, int], ...]
    others: tuple[tuple[str, str, int], ...]
    focus: tuple[str, str, int]
    spare: int

    def arrange(self, rows: Iterable[Row]) -> tuple[Row, ...]:
        """Rows (key, link, num) with their cells in the order of the left table's columns."""
        return tuple(arrange(row, self.left_order) for row in rows)

    def as_tables(self) -> tuple[Table, ...]:
        """The data as a backend loads them."""
        n = self.names
        left = arrange((n.key, n.link, n.num), self.left_order)
        right = arrange((n.link, n.place, n.size), self.right_order)
        others = tuple(arrange(row, self.right_order) for row in self.others)
        return (
            Table(n.left, tuple(map(str, left)), self.arrange(self.rows)),
            Table(n.right, tuple(map(str, right)), others),
        )

    @property
    def place_of(self) -> dict[str, str]:
        """The place of each link."""
        return {link: place for link, place, _ in self.others}

    @property
    def size_of(self) -> dict[str, int]:
        """The size of each link."""
        return {link: size for link, _, size in self.others}

    @property
    def counts(self) -> Counter[str]:
        """How many rows of the left table each link has; those without any are left out."""
        return Counter(link for _, link, _ in self.rows)

    @property
    def totals(self) -> Counter[str]:
        """The sum of num of each link."""
        totals: Counter[str] = Counter()
        for _, link, num in self.rows:
            totals[link] += num
        return totals


def any_sizes(sizes: Sequence[int]) -> bool:
    """Groups of whatever sizes."""
    return True


def draw_pair(
    rng: random.Random, split: Split, *, shape: Callable[[Sequence[int]], bool], fits: Callable[[Pair], bool]
) -> Pair:
    """Draw 8 to 12 rows that belong to 2 to 4 of 3 to 5 others.

    No two links have as many rows, or the same total; no two places have as many rows; not as many numbers are above
    the average as are below.

    Args:
        rng: all randomness.
        split: whose words.
        shape: which sizes the groups may have.
        fits: what else the data must be, so that wrong answers differ from right ones.
    """
    names = _draw_columns(rng, split)
    words = draw_values(rng, split, ((names.key, _ROWS), (names.link, _LINKS), (names.place, 2)))
    keys, links, places = [drawn for drawn, _ in words]
    low, high = rng.sample(range(1, 100), _ROWS + 1), rng.sample(range(100, 1000), _ROWS + 1)
    nums, larger = (low, high) if rng.random() < 0.5 else (high, low)
    spare = nums.pop()
    left, right = (tuple(rng.sample(range(3), 3)) for _ in range(2))
    while True:
        sizes = rng.choice(rng.choice(_shaped(shape)))
        rng.shuffle(nums)
        owners = [link for link, size in zip(links, sizes, strict=False) for _ in range(size)]
        rows = list(zip(keys, owners, nums, strict=False))
        stands = [*places, *rng.choices(places, k=len(sizes) - 1)]
        others = list(zip(links, stands, larger, strict=False))
        focus = rows[0]
        rng.shuffle(rows)
        rng.shuffle(others)
        pair = Pair(names, left, right, tuple(rows), tuple(others), focus, spare)
        if _tells_apart(pair) and fits(pair):
            return pair


@cache
def _shaped(shape: Callable[[Sequence[int]], bool]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """For each number of rows, the sizes of groups that will do."""
    ways = (tuple(filter(shape, partitions(count))) for count in range(8, _ROWS + 1))
    return tuple(way for way in ways if way)


def _tells_apart(pair: Pair) -> bool:
    place_of = pair.place_of
    by_place = Counter(place_of[link] for _, link, _ in pair.rows)
    total, count = sum(num for _, _, num in pair.rows), len(pair.rows)
    above = sum(num * count > total for _, _, num in pair.rows)
    below = sum(num * count < total for _, _, num in pair.rows)
    return above != below and _all_differ(pair.totals) and _all_differ(by_place)


def _all_differ(numbers: Counter[str]) -> bool:
    return len(set(numbers.values())) == len(numbers)


def _draw_columns(rng: random.Random, split: Split) -> Columns:
    """Two tables and their columns, at least one of them new to its table in the splits that promise so."""
    while True:
        left, right = rng.sample(words_of(split).tables, 2)
        shared = [column for column in allowed(split, left, "texts") if column in allowed(split, right, "texts")]
        if not shared:
            continue
        link = rng.choice(shared)
        key = rng.choice([column for column in allowed(split, left, "texts") if column != link])
        num = rng.choice(allowed(split, left, "numbers"))
        places = [column for column in allowed(split, right, "texts") if column not in (link, key)]
        sizes = [column for column in allowed(split, right, "numbers") if column != num]
        if not places or not sizes:
            continue
        names = Columns(left, right, key, link, num, rng.choice(places), rng.choice(sizes))
        pairs = [(left, column) for column in (key, link, num)]
        pairs += [(right, column) for column in (link, names.place, names.size)]
        if split == "train" or any(is_new(split, table, column) for table, column in pairs):
            return names
