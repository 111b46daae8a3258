"""What a function of MySQL is, and wrappers that give it MySQL's manners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cmat_env.envs.database.mysql.values import LONGEST, Value

Call = Callable[..., Value]


@dataclass(frozen=True, slots=True)
class Function:
    """A scalar function.

    Attributes:
        call: takes and gives values as SQLite hands them over.
        fewest: how many arguments it wants at least.
        most: and at most.
    """

    call: Call
    fewest: int
    most: int


def strict(call: Callable[..., Any], fewest: int, most: int | None = None) -> Function:
    """A function that gives NULL where an argument is NULL, where it fails, or where the result is too long."""

    def careful(*arguments: Value) -> Value:
        if None in arguments:
            return None
        return _storable(call, arguments)

    return Function(careful, fewest, fewest if most is None else most)


def lenient(call: Callable[..., Any], fewest: int, most: int | None = None) -> Function:
    """A function that sees NULL arguments."""

    def careful(*arguments: Value) -> Value:
        return _storable(call, arguments)

    return Function(careful, fewest, fewest if most is None else most)


def _storable(call: Callable[..., Any], arguments: tuple[Value, ...]) -> Value:
    try:
        value: Value = call(*arguments)
        if isinstance(value, int):
            return int(value) if -(2**63) <= value < 2**63 else float(value)
    except (ValueError, ArithmeticError):
        return None
    if isinstance(value, (str, bytes)) and len(value) > LONGEST:
        return None
    return value
