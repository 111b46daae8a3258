"""MySQL's arithmetic of bits: unsigned integers of 64 bits, which SQLite lacks.

Inside an expression they are SQLite's signed integers of the same bits; `my_unsigned` stands around the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cmat_env.envs.database.mysql.functions.registry import Call, Function, strict
from cmat_env.envs.database.mysql.values import Value, integer, number, text

_WIDTH = 64
_MASK = (1 << _WIDTH) - 1


def _bits(value: Value) -> int:
    amount = number(value)
    if isinstance(amount, float) and 2.0**63 <= amount < 2.0**64:  # as `unsigned` gives it
        return int(amount)
    return integer(amount) & _MASK


def _signed(bits: int) -> int:
    return bits - (1 << _WIDTH) if bits >> _WIDTH - 1 else bits


def _operator(operate: Callable[..., int], count: int = 2) -> Call:
    return strict(lambda *values: _signed(operate(*map(_bits, values)) & _MASK), count).call


def _unsigned(value: int) -> int | float:
    return value if value >= 0 else float(value + (1 << _WIDTH))


def _export_set(bits: Value, on: Value, off: Value, separator: Value = ",", count: Value = _WIDTH) -> str:
    width = integer(count) if 0 <= integer(count) <= _WIDTH else _WIDTH
    return text(separator).join(text(on if _bits(bits) >> at & 1 else off) for at in range(width))


def _make_set(bits: Value, *names: Value) -> str | None:
    if bits is None:
        return None
    return ",".join(text(each) for at, each in enumerate(names) if each is not None and _bits(bits) >> at & 1)


class Bits:
    """BIT_AND, BIT_OR, BIT_XOR: how often each bit was set decides."""

    def __init__(self, decide: Callable[[int, int], bool]) -> None:
        self.decide = decide
        self.set = [0] * _WIDTH
        self.count = 0

    def step(self, value: Value) -> None:
        """Take a value in."""
        if value is not None:
            self.count += 1
            bits = _bits(value)
            while bits:
                lowest = bits & -bits
                self.set[lowest.bit_length() - 1] += 1
                bits ^= lowest

    def finalize(self) -> int:
        """The bits, in a signed integer."""
        return _signed(sum(1 << at for at, count in enumerate(self.set) if self.decide(count, self.count)))


FUNCTIONS: dict[str, Function] = {
    "BIT_COUNT": strict(lambda value: _bits(value).bit_count(), 1),
    "EXPORT_SET": strict(_export_set, 3, 5),
    "MAKE_SET": Function(_make_set, 2, _WIDTH + 1),
}
OPERATORS: dict[str, Call] = {
    "bit_and": _operator(lambda left, right: left & right),
    "bit_or": _operator(lambda left, right: left | right),
    "bit_xor": _operator(lambda left, right: left ^ right),
    "bit_not": _operator(lambda bits: ~bits, 1),
    "bit_left": _operator(lambda bits, by: bits << by if by < _WIDTH else 0),
    "bit_right": _operator(lambda bits, by: bits >> by if by < _WIDTH else 0),
    "unsigned": strict(_unsigned, 1).call,
}
AGGREGATES: dict[str, Callable[[], Bits]] = {
    "all_bits": partial(Bits, lambda count, of: count == of),
    "any_bits": partial(Bits, lambda count, _of: count > 0),
    "odd_bits": partial(Bits, lambda count, _of: count % 2 == 1),
}
NO_ROWS = {"all_bits": -1, "any_bits": 0, "odd_bits": 0}
"""What each gives for no rows."""
