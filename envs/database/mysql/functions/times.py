"""Time functions of MySQL that reckon with hours: sums, differences and zones, on texts; and periods of months."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

from cmat_env.envs.database.mysql.functions.dateformats import format_moment
from cmat_env.envs.database.mysql.functions.dates import CLOCK_ONLY, dated, stamp
from cmat_env.envs.database.mysql.functions.registry import Function, strict
from cmat_env.envs.database.mysql.values import Value, integer, number, text

_CLOCK = re.compile(r"\s*(-?)(?:(\d{1,2}) )?(\d{1,3}):(\d{1,2})(?::(\d{1,2}))?(?:\.(\d{1,6}))?")
_DIGITS = re.compile(r"\s*(-?)(\d{1,7})(?:\.(\d{1,6}))?")
_ZONE = re.compile(r"([+-])(\d{1,2}):(\d{2})")
_LONGEST = timedelta(hours=838, minutes=59, seconds=59)
_FURTHEST = timedelta(hours=14)
_SEXAGESIMAL = 60
_PIVOT = 70


def _duration(value: Value) -> timedelta:
    """A time of day or a span; ValueError becomes NULL."""
    written = text(value)[:40]
    if match := _CLOCK.match(written):
        sign, days, hours, minutes, seconds, fraction = match.groups()
        parts = int(days or 0) * 24 + int(hours), int(minutes), int(seconds or 0)
    elif match := _DIGITS.match(written):  # HHMMSS, from the right
        sign, digits, fraction = match.groups()
        parts = int(digits) // 10_000, int(digits) // 100 % 100, int(digits) % 100
    else:
        raise ValueError
    if parts[1] >= _SEXAGESIMAL or parts[2] >= _SEXAGESIMAL:
        raise ValueError
    span = timedelta(
        hours=parts[0], minutes=parts[1], seconds=parts[2], microseconds=int((fraction or "0").ljust(6, "0"))
    )
    return -span if sign else span


def _written(span: timedelta) -> str:
    span = max(-_LONGEST, min(span, _LONGEST))
    rest = abs(span)
    seconds = rest.days * 86_400 + rest.seconds
    fraction = f".{rest.microseconds:06d}" if rest.microseconds else ""
    sign = "-" if span < timedelta(0) else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


def _moment(value: Value) -> datetime | None:
    """The value, if it names a day and a time of day."""
    found = None if CLOCK_ONLY.fullmatch(text(value)[:40]) else dated(value)
    return found[0] if found is not None and found[1] else None


def _difference(left: Value, right: Value) -> str | None:
    """TIMEDIFF: of two moments, or of two times; NULL for one of each."""
    end, start = _moment(left), _moment(right)
    if end is not None and start is not None:
        return _written(end - start)
    return _written(_duration(left) - _duration(right)) if end is start else None


def _sum(value: Value, span: Value, sign: int) -> str:
    moment, shift = _moment(value), sign * _duration(span)
    return _written(_duration(value) + shift) if moment is None else stamp(moment + shift, clock=True)


def _timestamp(value: Value, span: Value = "0:0") -> str | None:
    found = dated(value)
    return None if found is None else stamp(found[0] + _duration(span), clock=True)


def _time_format(value: Value, pattern: Value) -> str | None:
    """TIME_FORMAT: only what is of a time, and hours beyond 23."""
    moment, written = _moment(value), text(pattern)[:200]
    span = _duration(value) if moment is None else moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if re.search(r"%[^HkhIlisSfprT%]", written):
        return None
    hours = abs(span) // timedelta(hours=1)
    for mark, digits in (("%T", "%H:%i:%s"), ("%H", f"{hours:02d}"), ("%k", str(hours))):
        written = written.replace(mark, digits)
    sign = "-" if span < timedelta(0) else ""
    return sign + format_moment(datetime(1, 1, 1) + abs(span) % timedelta(days=1), written)


def _make_time(hours: Value, minutes: Value, seconds: Value) -> str | None:
    hour, minute, second = integer(hours), integer(minutes), Decimal(repr(number(seconds)))
    if not (0 <= minute < _SEXAGESIMAL and 0 <= second < _SEXAGESIMAL):
        return None
    span = timedelta(hours=min(abs(hour), 1000), minutes=minute, microseconds=int(second * 1_000_000))
    return _written(-span if hour < 0 else span)


def _microsecond(value: Value) -> int:
    moment = _moment(value)
    if moment is None and dated(value) is not None:
        return 0
    return moment.microsecond if moment is not None else abs(_duration(value)).microseconds


def _offset(zone: Value) -> timedelta:
    """Of a zone in numbers; the tables of named zones are empty, as on a server that was set up without them."""
    if text(zone).upper() == "SYSTEM":
        return timedelta(0)
    match = _ZONE.fullmatch(text(zone)[:10])
    offset = timedelta(hours=int(match[2]), minutes=int(match[3])) if match else 2 * _FURTHEST
    if match is None or offset > _FURTHEST:
        raise ValueError
    return offset if match[1] == "+" else -offset


def _convert_zone(value: Value, source: Value, target: Value) -> str | None:
    found = dated(value)
    return None if found is None else stamp(found[0] - _offset(source) + _offset(target), clock=True)


def _months(period: Value) -> int:
    """Since the year 0, of a period as YYMM or YYYYMM."""
    year, month = divmod(integer(period), 100)
    if year < 100:
        year += 2000 if year < _PIVOT else 1900
    return year * 12 + month - 1


def _period_add(period: Value, months: Value) -> int:
    if not integer(period):
        return 0
    year, month = divmod(_months(period) + integer(months), 12)
    return year * 100 + month + 1


FUNCTIONS: dict[str, Function] = {
    "ADDTIME": strict(lambda value, span: _sum(value, span, 1), 2),
    "CONVERT_TZ": strict(_convert_zone, 3),
    "MAKETIME": strict(_make_time, 3),
    "MICROSECOND": strict(_microsecond, 1),
    "PERIOD_ADD": strict(_period_add, 2),
    "PERIOD_DIFF": strict(lambda left, right: _months(left) - _months(right), 2),
    "SUBTIME": strict(lambda value, span: _sum(value, span, -1), 2),
    "TIMEDIFF": strict(_difference, 2),
    "TIMESTAMP": strict(_timestamp, 1, 2),
    "TIME_FORMAT": strict(_time_format, 2),
}
