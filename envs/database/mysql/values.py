"""MySQL's values: how a text becomes a number and a number a text, and how any two values compare.

Values are those that SQLite hands to functions: int, float, str, bytes and None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from cmat_env.envs.database.mysql.collation import key

Value = int | float | str | bytes | None
Number = int | float

LONGEST = 1_000_000
"""No function makes a longer text; it gives NULL instead, as MySQL does beyond max_allowed_packet."""

_LEADING_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_LONGEST_NUMBER = 64
_LONGEST_INTEGER = 8
_CONTEXT = Context(prec=1100)  # a double has up to 309 digits before the point


@lru_cache(maxsize=16_384)
def _parse(head: str) -> float:
    match = _LEADING_NUMBER.match(head)
    return float(match.group(1)) if match else 0.0


def number(value: Value) -> Number:
    """The value as a number: texts by the number they begin with, or else 0. None counts as 0."""
    if isinstance(value, (int, float)):
        return value
    if value is None:
        return 0
    if isinstance(value, bytes):  # X'41' or b'1000001', whose bytes are those of the number
        return int.from_bytes(value[-_LONGEST_INTEGER:], "big")
    return _parse(value if len(value) <= _LONGEST_NUMBER else value[:_LONGEST_NUMBER])


def integer(value: Value) -> int:
    """The value rounded to an integer of 64 bits."""
    amount = number(value)
    if isinstance(amount, float):
        if math.isnan(amount):
            return 0
        amount = int(half_away(amount)) if abs(amount) < 1e19 else int(math.copysign(2**63 - 1, amount))
    return max(-(2**63), min(amount, 2**63 - 1))


def half_away(value: float, places: int = 0) -> float:
    """The value rounded, halves away from zero, as its shortest decimal form is written."""
    if not math.isfinite(value) or abs(value) >= 1e300:
        return value
    return float(round_decimal(Decimal(repr(value)), places))


def round_decimal(value: Decimal, places: int) -> Decimal:
    """The value with so many decimal places, halves away from zero."""
    if not value.is_finite() or value.adjusted() + places > 1000 or places > 30:
        return value
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _CONTEXT)


def text(value: Value) -> str:
    """The value as MySQL writes it into a text column."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return _text_of_float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def _text_of_float(value: float) -> str:
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    shortest = repr(value)
    if "e" not in shortest:
        return shortest
    mantissa, _, exponent = shortest.partition("e")
    if -16 < int(exponent) < 0:
        return format(Decimal(shortest), "f")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def truth(value: Value) -> bool:
    """Is it true as a condition?"""
    return number(value) != 0


def order(left: Value, right: Value) -> int:
    """-1, 0 or 1: as numbers if either is a number, as texts otherwise. Neither is None."""
    if isinstance(left, str) and isinstance(right, str):
        if left == right:
            return 0
        first, second = key(left), key(right)
        return (first > second) - (first < second)
    if isinstance(left, (int, float)) or isinstance(right, (int, float)):
        a, b = number(left), number(right)
        return (a > b) - (a < b)
    c, d = text(left), text(right)
    return (c > d) - (c < d)


def binary_order(left: Value, right: Value) -> int:
    """As `order`, but texts differ by case and accents, as under a _bin collation."""
    if isinstance(left, (int, float)) or isinstance(right, (int, float)):
        return order(left, right)
    first, second = text(left).encode(), text(right).encode()
    return (first > second) - (first < second)


def equal(left: Value, right: Value) -> int | None:
    """`left = right`; the most frequent of all, so that it takes short cuts."""
    if left is None or right is None:
        return None
    if isinstance(left, str) and isinstance(right, str):
        return 1 if left == right or key(left) == key(right) else 0
    return 1 if order(left, right) == 0 else 0


def comparison(*signs: int, binary: bool = False) -> Callable[[Value, Value], int | None]:
    """An SQL function that tells whether the order of two values is one of these signs."""
    by = binary_order if binary else order

    def compare(left: Value, right: Value) -> int | None:
        return None if left is None or right is None else 1 if by(left, right) in signs else 0

    return compare


def null_safe_equal(left: Value, right: Value) -> int:
    """`<=>`: NULL equals NULL."""
    if left is None or right is None:
        return int(left is right)
    return int(order(left, right) == 0)


def between(value: Value, low: Value, high: Value) -> int | None:
    """`value BETWEEN low AND high`: as numbers if any of the three is one."""
    if any(isinstance(each, (int, float)) for each in (value, low, high)):
        value, low, high = (None if each is None else number(each) for each in (value, low, high))
    above = None if value is None or low is None else order(value, low) >= 0
    below = None if value is None or high is None else order(value, high) <= 0
    if above is False or below is False:
        return 0
    return None if above is None or below is None else 1


def within(value: Value, *members: Value) -> int | None:
    """`value IN (members)`, each compared by its own type."""
    if value is None:
        return None
    unknown = False
    for member in members:
        if member is None:
            unknown = True
        elif order(value, member) == 0:
            return 1
    return None if unknown else 0
