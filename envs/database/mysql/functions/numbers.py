"""Number functions, casts and the operators on values that MySQL reads differently from SQLite."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from cmat_env.envs.database.mysql.functions.registry import Call, Function, lenient, strict
from cmat_env.envs.database.mysql.values import (
    Number,
    Value,
    between,
    comparison,
    equal,
    half_away,
    integer,
    null_safe_equal,
    number,
    order,
    round_decimal,
    text,
    within,
)

_DIVISION_PLACES = 4  # MySQL's div_precision_increment
_WITHOUT_FRACTION = 2.0**53
_ANY = 100


def _round(value: Value, places: Value = 0) -> Number:
    """ROUND of a double, as C does it: halves go to the even neighbour."""
    digits = max(-30, min(integer(places), 30))
    if isinstance(value, int):
        return int(round_decimal(Decimal(value), digits)) if digits < 0 else value
    factor = 10.0 ** abs(digits)
    amount = float(number(value))
    if not abs(amount) < _WITHOUT_FRACTION:
        return amount
    return round(amount * factor) / factor if digits >= 0 else round(amount / factor) * factor


def _round_decimal(value: Value, places: Value = 0) -> Number:
    """ROUND of a DECIMAL: halves go away from zero."""
    digits = max(-30, min(integer(places), 30))
    amount = number(value)
    rounded = round_decimal(Decimal(repr(amount)), digits)
    return int(rounded) if isinstance(amount, int) else float(rounded)


def _truncate(value: Value, places: Value) -> Number:
    """TRUNCATE of a double, as C does it."""
    digits = max(-30, min(integer(places), 30))
    amount = number(value)
    if isinstance(amount, int) or digits < 0 or not abs(amount) < _WITHOUT_FRACTION:
        return _truncate_decimal(value, places)
    factor = 10.0**digits
    return math.trunc(amount * factor) / factor


def _truncate_decimal(value: Value, places: Value) -> Number:
    digits = max(-30, min(integer(places), 30))
    amount = number(value)
    if isinstance(amount, int) and digits >= 0:
        return amount
    scaled = Decimal(repr(amount)).scaleb(digits)
    cut = Decimal(math.trunc(scaled)).scaleb(-digits)
    return int(cut) if isinstance(value, int) else float(cut)


def _floor(value: Value) -> Number:
    amount = number(value)
    return amount if isinstance(amount, int) else _as(value, math.floor(amount))


def _ceiling(value: Value) -> Number:
    amount = number(value)
    return amount if isinstance(amount, int) else _as(value, math.ceil(amount))


def _as(value: Value, whole: int) -> Number:
    """A whole number in the type of the value: texts count as doubles."""
    return float(whole) if isinstance(value, str) else whole


def _modulo(left: Value, right: Value) -> Number | None:
    a, b = number(left), number(right)
    if not b:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return int(math.copysign(abs(a) % abs(b), a)) if a else 0
    return math.fmod(a, b)


def _divide(left: Value, right: Value) -> Number | None:
    a, b = number(left), number(right)
    if not b:
        return None
    if isinstance(left, int) and isinstance(right, int):
        return float(round_decimal(Decimal(left) / Decimal(right), _DIVISION_PLACES))
    return a / b


def _whole_division(left: Value, right: Value) -> int | None:
    a, b = number(left), number(right)
    return None if not b else math.trunc(Decimal(repr(a)) / Decimal(repr(b)))


def _log(value: Value, *more: Value) -> float | None:
    if more:
        base, amount = number(value), number(more[0])
        return math.log(amount) / math.log(base) if base > 0 and base != 1 and amount > 0 else None
    amount = number(value)
    return math.log(amount) if amount > 0 else None


def extreme(*values: Value, sign: int) -> Value:
    """GREATEST and LEAST: as texts as soon as one is a text."""
    pool: list[Value] = [text(each) for each in values] if any(isinstance(each, str) for each in values) else [*values]
    best = pool[0]
    for each in pool[1:]:
        if sign * order(each, best) > 0:
            best = each
    return best


def _interval(value: Value, *bounds: Value) -> int:
    """INTERVAL(value, bounds ...): how many bounds it has reached; they ascend."""
    if value is None:
        return -1
    amount = number(value)
    return next((at for at, each in enumerate(bounds) if each is not None and amount < number(each)), len(bounds))


def _convert_base(value: Value, base: Value, into: Value) -> str | None:
    source, target = abs(integer(base)), abs(integer(into))
    if not (2 <= source <= 36 and 2 <= target <= 36):
        return None
    digits = text(value).strip().lower()[:64]
    amount = int(digits, source)
    out = ""
    rest = abs(amount)
    while rest:
        rest, digit = divmod(rest, target)
        out = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + out
    return ("-" if amount < 0 else "") + (out or "0")


def _finite(call: Callable[..., float]) -> Callable[..., float | None]:
    def function(*values: Value) -> float | None:
        result = call(*(float(number(value)) for value in values))
        return result if math.isfinite(result) else None

    return function


def _cast_decimal(value: Value, digits: Value, places: Value) -> Number:
    scale = integer(places)
    bound = Decimal(10) ** (integer(digits) - scale) - Decimal(1).scaleb(-scale)
    amount = number(value)
    rounded = max(-bound, min(round_decimal(Decimal(repr(amount)), scale), bound))
    return float(rounded) if scale else int(rounded)


def _cast_signed(value: Value) -> int:
    if isinstance(value, str):  # a text is cut at the first character that is no digit
        return max(-(2**63), min(math.trunc(_integer_head(value)), 2**63 - 1))
    return integer(value)


def _integer_head(value: str) -> int:
    head = value.strip()[:40]
    end = 1 if head[:1] in ("+", "-") else 0
    while end < len(head) and head[end].isascii() and head[end].isdigit():
        end += 1
    digits = head[:end]
    return int(digits) if digits not in ("", "+", "-") else 0


def _cast_unsigned(value: Value) -> Number:
    amount = _cast_signed(value)
    return amount if amount >= 0 else float(amount + 2**64)


def _number(value: Value) -> Number | None:
    return None if value is None else number(value)


def _rounded(value: Value, places: Value) -> Number | None:
    """A result of decimal arithmetic, without the noise of doubles."""
    if value is None or isinstance(value, int):
        return value
    return half_away(float(number(value)), integer(places))


def _quotient(left: Value, right: Value, places: Value) -> str | None:
    """A quotient of decimals as it is left in a text column: cut, not rounded."""
    a, b = number(left), number(right)
    if not b:
        return None
    unit = Decimal(1).scaleb(-integer(places))
    cut = (Decimal(repr(a)) / Decimal(repr(b))).quantize(unit, ROUND_DOWN)
    return f"{cut:f}" if cut else "0"


def _store(value: Value, places: Value = -1) -> Value:
    """What an expression leaves in a text column; places = its scale, if it is a decimal."""
    if value is None:
        return None
    if isinstance(places, int) and places > 0 and isinstance(value, (int, float)):
        return f"{round_decimal(Decimal(repr(value)), places):f}"
    return text(value)


_CEILING = strict(_ceiling, 1)
_POWER = strict(_finite(math.pow), 2)

FUNCTIONS: dict[str, Function] = {
    "ABS": strict(lambda value: abs(number(value)), 1),
    "ACOS": strict(_finite(math.acos), 1),
    "ASIN": strict(_finite(math.asin), 1),
    "ATAN": strict(_finite(lambda y, x=1.0: math.atan2(y, x)), 1, 2),
    "ATAN2": strict(_finite(math.atan2), 2),
    "BIN": strict(lambda value: f"{integer(value) & (1 << 64) - 1:b}", 1),
    "CEIL": _CEILING,
    "CEILING": _CEILING,
    "CONV": strict(_convert_base, 3),
    "COS": strict(_finite(math.cos), 1),
    "DEGREES": strict(_finite(math.degrees), 1),
    "EXP": strict(_finite(math.exp), 1),
    "FLOOR": strict(_floor, 1),
    "GREATEST": strict(lambda *values: extreme(*values, sign=1), 2, _ANY),
    "LEAST": strict(lambda *values: extreme(*values, sign=-1), 2, _ANY),
    "LN": strict(_log, 1),
    "LOG": strict(_log, 1, 2),
    "LOG10": strict(lambda value: math.log10(number(value)), 1),
    "LOG2": strict(lambda value: math.log2(number(value)), 1),
    "MOD": strict(_modulo, 2),
    "OCT": strict(lambda value: f"{integer(value) & (1 << 64) - 1:o}", 1),
    "PI": lenient(lambda: math.pi, 0),
    "POW": _POWER,
    "POWER": _POWER,
    "RADIANS": strict(_finite(math.radians), 1),
    "RAND": lenient(lambda *_: None, 0, 1),  # replaced for each connection
    "ROUND": strict(_round, 1, 2),
    "SIGN": strict(lambda value: (number(value) > 0) - (number(value) < 0), 1),
    "SIN": strict(_finite(math.sin), 1),
    "SQRT": strict(_finite(math.sqrt), 1),
    "TAN": strict(_finite(math.tan), 1),
    "TRUNCATE": strict(_truncate, 2),
}

OPERATORS: dict[str, Call] = {
    "eq": equal,
    "ne": comparison(-1, 1),
    "lt": comparison(-1),
    "le": comparison(-1, 0),
    "gt": comparison(1),
    "ge": comparison(0, 1),
    "bin_eq": comparison(0, binary=True),
    "bin_ne": comparison(-1, 1, binary=True),
    "bin_lt": comparison(-1, binary=True),
    "bin_le": comparison(-1, 0, binary=True),
    "bin_gt": comparison(1, binary=True),
    "bin_ge": comparison(0, 1, binary=True),
    "nse": null_safe_equal,
    "between": between,
    "in": within,
    "num": _number,
    "interval": lenient(_interval, 2, _ANY).call,
    "rounded": _rounded,
    "store": _store,
    "div": strict(_divide, 2).call,
    "intdiv": strict(_whole_division, 2).call,
    "quotient": strict(_quotient, 3).call,
    "round_decimal": strict(_round_decimal, 1, 2).call,
    "truncate_decimal": strict(_truncate_decimal, 2).call,
    "as_decimal": strict(_cast_decimal, 3).call,
    "as_signed": strict(_cast_signed, 1).call,
    "as_unsigned": strict(_cast_unsigned, 1).call,
    "as_double": strict(lambda value: float(number(value)), 1).call,
    "as_char": strict(lambda value, length=-1: text(value)[: length if length >= 0 else None], 1, 2).call,
    "xor": strict(lambda left, right: int((number(left) != 0) != (number(right) != 0)), 2).call,
}
