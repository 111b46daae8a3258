"""Aggregates that SQLite lacks or computes differently. What they gather is capped by bytes as it comes in."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from functools import cmp_to_key, lru_cache, partial
from typing import Any

from cmat_env.envs.database.mysql.collation import key
from cmat_env.envs.database.mysql.functions import bits
from cmat_env.envs.database.mysql.functions.registry import Call
from cmat_env.envs.database.mysql.values import Value, half_away, number, order, text, within

_GROUP_CONCAT_LENGTH = 1024  # MySQL's group_concat_max_len
_AVERAGE_PLACES = 4
GATHERED = 16_000_000
"""Bytes, about."""


class Budget:
    """How many bytes the aggregates of one statement may gather, all of them together."""

    __slots__ = ("room",)

    def __init__(self) -> None:
        self.room = GATHERED

    def take(self, size: int) -> None:
        """Use some of it; what a step raises becomes an error of the statement."""
        self.room -= size
        if self.room < 0:
            raise MemoryError


class Average:
    """AVG: rounded to four places where all values are integers; also over windows."""

    def __init__(self) -> None:
        self.total: int | float = 0
        self.count = 0
        self.exact = True

    def step(self, value: Value) -> None:
        """Take a value in."""
        if value is not None:
            self.exact = self.exact and isinstance(value, int)
            self.total += number(value)
            self.count += 1

    def inverse(self, value: Value) -> None:
        """Take a value out: the window moves on."""
        if value is not None:
            self.total -= number(value)
            self.count -= 1

    def value(self) -> float | None:
        """The average so far."""
        if not self.count:
            return None
        mean = self.total / self.count
        return half_away(mean, _AVERAGE_PLACES) if self.exact else mean

    finalize = value


class _Spread:
    """Variance and deviation by Welford's recurrence."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0

    def step(self, value: Value) -> None:
        if value is not None:
            amount = float(number(value))
            self.count += 1
            delta = amount - self.mean
            self.mean += delta / self.count
            self.squares += delta * (amount - self.mean)

    def inverse(self, value: Value) -> None:
        """Take a value out: the window moves on."""
        if value is not None:
            amount = float(number(value))
            self.count -= 1
            delta = amount - self.mean
            self.mean = self.mean - delta / self.count if self.count else 0.0
            self.squares = self.squares - delta * (amount - self.mean) if self.count else 0.0

    def finalize(self) -> float | None:
        raise NotImplementedError

    def value(self) -> float | None:
        return self.finalize()

    def over(self, divisor: int) -> float | None:
        return max(self.squares / divisor, 0.0) if divisor > 0 else None


class _VariancePopulation(_Spread):
    def finalize(self) -> float | None:
        return self.over(self.count)


class _VarianceSample(_Spread):
    def finalize(self) -> float | None:
        return self.over(self.count - 1)


class _DeviationPopulation(_Spread):
    def finalize(self) -> float | None:
        variance = self.over(self.count)
        return None if variance is None else math.sqrt(variance)


class _DeviationSample(_Spread):
    def finalize(self) -> float | None:
        variance = self.over(self.count - 1)
        return None if variance is None else math.sqrt(variance)


def _identity(value: Value) -> object:
    """Equal for values that DISTINCT takes for one."""
    return key(value) if isinstance(value, str) else value


class _CountDistinct:
    """COUNT(DISTINCT a, b, ...): rows with a NULL do not count."""

    def __init__(self, budget: Budget) -> None:
        self.seen: set[tuple[object, ...]] = set()
        self.budget = budget

    def step(self, *values: Value) -> None:
        if None in values:
            return
        row = tuple(map(_identity, values))
        if row not in self.seen:
            self.seen.add(row)
            self.budget.take(200 + sum(4 * len(each) for each in row if isinstance(each, str)))

    def finalize(self) -> int:
        return len(self.seen)


class _GroupConcat:
    """GROUP_CONCAT: step(separator, distinct, directions, value, *sort keys)."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.rows: list[tuple[str, tuple[Value, ...]]] = []
        self.seen: set[object] = set()
        self.separator = ","
        self.directions = ""

    def step(self, separator: str, distinct: int, directions: str, value: Value, *keys: Value) -> None:
        self.separator, self.directions = separator, directions
        if value is None:
            return
        if distinct and (identity := _identity(value)) in self.seen:
            return
        written = text(value)[:_GROUP_CONCAT_LENGTH]  # no more of it can be seen
        size = 200 + 4 * len(written) + sum(4 * len(each) for each in keys if isinstance(each, (str, bytes)))
        if distinct:
            self.seen.add(identity)
            size += 100 + (4 * len(identity) if isinstance(identity, str) else 0)
        self.budget.take(size)
        self.rows.append((written, keys))

    def finalize(self) -> str | None:
        if not self.rows:
            return None
        for position, direction in reversed(list(enumerate(self.directions))):
            compare = cmp_to_key(_nulls_first)
            self.rows.sort(key=lambda row, at=position: compare(row[1][at]), reverse=direction == "d")  # type: ignore[misc]
        joined = self.separator.join(written for written, _ in self.rows)
        return joined.encode()[:_GROUP_CONCAT_LENGTH].decode("utf-8", "ignore")


def _nulls_first(left: Value, right: Value) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    return order(left, right)


class _AnyValue:
    def __init__(self) -> None:
        self.first: Value = None
        self.empty = True

    def step(self, value: Value) -> None:
        if self.empty:
            self.first, self.empty = value, False

    def finalize(self) -> Value:
        return self.first


class _Single:
    """The value of a scalar subquery; a second row is an error, as MySQL's 1242."""

    def __init__(self) -> None:
        self.value: Value = None
        self.rows = 0

    def step(self, value: Value) -> None:
        self.rows += 1
        self.value = value

    def finalize(self) -> Value:
        if self.rows > 1:
            raise ValueError("subquery returns more than 1 row")
        return self.value


class _Members:
    """Gathers a subquery's column into one text, for `IN`."""

    def __init__(self, budget: Budget) -> None:
        self.values: set[Value] = set()
        self.budget = budget

    def step(self, value: Value) -> None:
        cell = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if cell not in self.values:
            self.budget.take(200 + 4 * len(text(cell)))
            self.values.add(cell)

    def finalize(self) -> str:
        return json.dumps(list(self.values), ensure_ascii=False)


@lru_cache(maxsize=8)
def _members(gathered: str | None) -> tuple[frozenset[str], tuple[Value, ...]]:
    values = json.loads(gathered or "[]")  # an aggregate that saw no row gives NULL
    return frozenset(key(each) for each in values if isinstance(each, str)), tuple(values)


def _in_members(value: Value, gathered: str | None) -> int | None:
    texts, values = _members(gathered)
    if value is None:
        return None if values else 0
    if isinstance(value, str) and key(value) in texts:
        return 1
    if isinstance(value, str) and len(texts) == len(values):
        return 0
    return within(value, *values)


OPERATORS: dict[str, Call] = {"in_members": _in_members}
"""Plain functions that go with the aggregates."""

_SPREADS: dict[str, type[_Spread]] = {
    "variance": _VariancePopulation,
    "var_pop": _VariancePopulation,
    "var_samp": _VarianceSample,
    "std": _DeviationPopulation,
    "stddev": _DeviationPopulation,
    "stddev_pop": _DeviationPopulation,
    "stddev_samp": _DeviationSample,
}
NAMES = frozenset(
    {"COUNT", "SUM", "AVG", "MIN", "MAX", "GROUP_CONCAT", "ANY_VALUE", "JSON_ARRAYAGG", "JSON_OBJECTAGG"}
    | {"BIT_AND", "BIT_OR", "BIT_XOR"}
    | {each.upper() for each in _SPREADS}
)
"""Aggregates of MySQL, in capitals."""


def install(connection: sqlite3.Connection, budget: Budget, more: dict[str, tuple[int, Any]]) -> None:
    """Make the aggregates known to a connection, and more of them: a number of arguments and a class by name."""
    windows: dict[str, type[Average | _Spread]] = {"avg": Average, **_SPREADS}
    for name, window in windows.items():
        connection.create_window_function(f"my_{name}", 1, window)
    aggregates: dict[str, tuple[int, Callable[[], Any]]] = {
        **more,
        **{name: (1, make) for name, make in bits.AGGREGATES.items()},
        "count_distinct": (-1, partial(_CountDistinct, budget)),
        "group_concat": (-1, partial(_GroupConcat, budget)),
        "any_value": (1, _AnyValue),
        "single": (1, _Single),
        "members": (1, partial(_Members, budget)),
    }
    for name, (count, make) in aggregates.items():
        connection.create_aggregate(f"my_{name}", count, make)
