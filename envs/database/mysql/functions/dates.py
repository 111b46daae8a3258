"""Date and time functions of MySQL, on texts. The clock stands still, so that an episode can be replayed."""

from __future__ import annotations

import calendar
import math
import re
from datetime import date, datetime, timedelta
from functools import lru_cache

from cmat_env.envs.database.mysql.functions.dateformats import calendar_week, format_moment, parse_moment
from cmat_env.envs.database.mysql.functions.registry import Function, lenient, strict
from cmat_env.envs.database.mysql.values import Value, integer, number, text
from cmat_env.envs.database.replayable import NOW

_DATE = re.compile(
    r"\s*(\d{2}|\d{4})[-/.:](\d{1,2})[-/.:](\d{1,2})(?:[ T]+(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6}))?)?)?)?"
)
_COMPACT = re.compile(r"\s*(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?(?!\d)")
CLOCK_ONLY = re.compile(r"\s*-?\d{1,3}:\d{1,2}(?::\d{1,2}(?:\.\d+)?)?\s*")
_EPOCH = datetime(1970, 1, 1)
_PARTS = ("DAY", "HOUR", "MINUTE", "SECOND", "MICROSECOND")
_PIVOT = 70  # two-digit years from here on are of the last century


@lru_cache(maxsize=4096)
def _parsed(value: str) -> tuple[datetime, bool] | None:
    """A text as a moment, and whether it names a time of day."""
    match = _DATE.match(value) or _COMPACT.match(value)
    if match is None:
        return None
    groups = [*match.groups(), None][:7]
    year = int(match.group(1))
    if len(match.group(1)) == 2:
        year += 1900 if year >= _PIVOT else 2000
    fraction = int((groups[6] or "0").ljust(6, "0"))
    hours = [int(part or 0) for part in groups[3:6]]
    try:
        moment = datetime(year, int(groups[1] or 0), int(groups[2] or 0), hours[0], hours[1], hours[2], fraction)
    except ValueError:
        return None
    return moment, groups[3] is not None


def dated(value: Value) -> tuple[datetime, bool] | None:
    """The value as a moment, and whether it names a time of day."""
    written = text(value)
    return _parsed(written) if len(written) <= 40 else None


def _moment(value: Value) -> datetime:
    """The value as a moment; ValueError becomes NULL."""
    read = dated(value)
    if read is None:
        raise ValueError
    return read[0]


def stamp(moment: datetime, *, clock: bool) -> str:
    """A moment as MySQL writes it, with or without the time of day."""
    if not clock:
        return moment.date().isoformat()
    return moment.isoformat(" ", "microseconds" if moment.microsecond else "seconds")


def _add(value: Value, amount: Value, unit: Value, sign: Value = 1) -> str | None:
    """DATE_ADD(value, INTERVAL amount unit)."""
    read = dated(value)
    if read is None:
        return None
    moment, clock = read
    name = text(unit).upper()
    if "_" in name:
        whole, span = _several(text(amount)[:40], name)
        shifted = _add_months(moment, integer(sign) * whole) + integer(sign) * span
        return stamp(shifted, clock=clock or name != "YEAR_MONTH")
    count = number(amount) * integer(sign)
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}.get(name)
    if months:
        return stamp(_add_months(moment, round(count) * months), clock=clock)
    days = {"DAY": 1, "WEEK": 7}.get(name)
    if days:
        return stamp(moment + timedelta(days=round(count) * days), clock=clock)
    seconds = {"HOUR": 3600, "MINUTE": 60, "SECOND": 1, "MICROSECOND": 1e-6}.get(name)
    return None if seconds is None else stamp(moment + timedelta(seconds=count * seconds), clock=True)


def _several(written: str, unit: str) -> tuple[int, timedelta]:
    """An amount such as '1 2:30' of a unit such as DAY_MINUTE, in months and a span; missing parts are the first."""
    first, last = unit.split("_")
    names = ("YEAR", "MONTH") if last == "MONTH" else _PARTS[_PARTS.index(first) : _PARTS.index(last) + 1]
    amounts = [int(each) for each in re.findall(r"\d+", written)][-len(names) :]
    sign = -1 if written.lstrip().startswith("-") else 1
    found = dict(zip(names[len(names) - len(amounts) :], amounts, strict=True))
    months = found.pop("YEAR", 0) * 12 + found.pop("MONTH", 0)
    return sign * months, sign * timedelta(**{f"{name.lower()}s": amount for name, amount in found.items()})


def _add_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1]) if 1 <= year <= 9999 else 0
    return moment.replace(year=year, month=month + 1, day=day)


def _between(unit: Value, start: Value, end: Value) -> int | None:
    """TIMESTAMPDIFF(unit, start, end): whole units."""
    first, last = _moment(start), _moment(end)
    name = text(unit).upper()
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}.get(name)
    if months:
        low, high = min(first, last), max(first, last)
        count = (high.year - low.year) * 12 + high.month - low.month
        count -= (high.day, high.time()) < (low.day, low.time())
        return count // months if first <= last else -(count // months)
    seconds = {"WEEK": 604_800, "DAY": 86_400, "HOUR": 3600, "MINUTE": 60, "SECOND": 1, "MICROSECOND": 1e-6}.get(name)
    return None if seconds is None else math.trunc((last - first).total_seconds() / seconds)


def _year_week(value: Value, mode: Value = 0) -> int:
    year, week = calendar_week(_moment(value), integer(mode) % 8 | 2)
    return year * 100 + week


def _seconds_of(value: Value) -> int:
    written = text(value)
    clock = written.split(" ")[-1]
    sign = -1 if clock.startswith("-") else 1
    hours, minutes, seconds = [*clock.lstrip("-").split(".")[0].split(":"), "0", "0"][:3]
    return sign * (int(hours) * 3600 + int(minutes) * 60 + int(seconds))


def _clock_of(value: Value) -> str:
    seconds = integer(value)
    sign, rest = ("-" if seconds < 0 else ""), abs(seconds)
    return f"{sign}{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def _time(value: Value) -> str | None:
    if CLOCK_ONLY.fullmatch(text(value)):
        return _clock_of(_seconds_of(value))
    read = dated(value)
    return read[0].strftime("%H:%M:%S") if read else None


def _hour(value: Value, part: int) -> int:
    read = None if CLOCK_ONLY.fullmatch(text(value)) else dated(value)
    if read:
        return (read[0].hour, read[0].minute, read[0].second)[part]
    seconds = abs(_seconds_of(value))
    return (seconds // 3600, seconds // 60 % 60, seconds % 60)[part]


def _to_days(value: Value) -> int:
    return _moment(value).toordinal() + 365


def _from_days(value: Value) -> str:
    return date.fromordinal(integer(value) - 365).isoformat()


def _str_to_date(value: Value, pattern: Value) -> str | None:
    if not text(value).strip() and re.search("%[YymcMbdeDj]", text(pattern)):  # nothing read: no day of no month
        return "0000-00-00 00:00:00" if re.search("%[HkhIlisSfprT]", text(pattern)) else "0000-00-00"
    read = parse_moment(text(value)[:200], text(pattern)[:200])
    if read is None:
        return None
    moment, day, clock = read
    if not day:
        return moment.strftime("%H:%M:%S")
    return stamp(moment, clock=clock)


def _unix(value: Value = None) -> int:
    return int(((_moment(value) if value is not None else NOW) - _EPOCH).total_seconds())


def _from_unix(value: Value, pattern: Value = None) -> str:
    moment = _EPOCH + timedelta(seconds=float(number(value)))
    return format_moment(moment, text(pattern)) if pattern is not None else stamp(moment, clock=True)


def _make_date(year: Value, day: Value) -> str | None:
    first = integer(year)
    if 0 <= first < 100:
        first += 2000 if first < _PIVOT else 1900
    return (date(first, 1, 1) + timedelta(days=integer(day) - 1)).isoformat() if integer(day) > 0 else None


def _last_day(value: Value) -> str:
    moment = _moment(value)
    return moment.replace(day=calendar.monthrange(moment.year, moment.month)[1]).date().isoformat()


def _extract_several(first: str, last: str, moment: datetime) -> int:
    """The digits of all parts in a row, such as 202001 of YEAR_MONTH."""
    if last == "MONTH":
        return moment.year * 100 + moment.month
    parts = (moment.day, moment.hour, moment.minute, moment.second)
    chosen = parts[_PARTS.index(first) : _PARTS.index(last) + 1]
    digits = int("".join(f"{part:02d}" for part in chosen))
    return digits * 1_000_000 + moment.microsecond if last == "MICROSECOND" else digits


def extract(unit: Value, value: Value) -> int | None:
    """EXTRACT(unit FROM value)."""
    first, _, last = text(unit).upper().partition("_")
    if first == "MICROSECOND":
        return _moment(value).microsecond
    if last:
        return _extract_several(first, last, _moment(value))
    call = FUNCTIONS.get({"DAY": "DAYOFMONTH"}.get(text(unit).upper(), text(unit).upper()))
    result = call.call(value) if call is not None else None
    return result if isinstance(result, int) else None


_TODAY = lenient(lambda: NOW.strftime("%Y-%m-%d"), 0)
_CLOCK = lenient(lambda *_: NOW.strftime("%H:%M:%S"), 0, 1)
_NOW = lenient(lambda *_: NOW.strftime("%Y-%m-%d %H:%M:%S"), 0, 1)
_DAY = strict(lambda value: _moment(value).day, 1)

FUNCTIONS: dict[str, Function] = {
    "CURDATE": _TODAY,
    "CURRENT_DATE": _TODAY,
    "CURRENT_TIME": _CLOCK,
    "CURRENT_TIMESTAMP": _NOW,
    "CURTIME": _CLOCK,
    "DATE": strict(lambda value: _moment(value).date().isoformat(), 1),
    "DATEDIFF": strict(lambda end, start: (_moment(end).date() - _moment(start).date()).days, 2),
    "DATE_ADD": strict(_add, 2, 4),
    "DATE_FORMAT": strict(lambda value, pattern: format_moment(_moment(value), text(pattern)[:200]), 2),
    "DATE_SUB": strict(lambda value, amount, unit="DAY": _add(value, amount, unit, -1), 2, 3),
    "DAY": _DAY,
    "DAYNAME": strict(lambda value: calendar.day_name[_moment(value).weekday()], 1),
    "DAYOFMONTH": _DAY,
    "DAYOFWEEK": strict(lambda value: _moment(value).isoweekday() % 7 + 1, 1),
    "DAYOFYEAR": strict(lambda value: _moment(value).timetuple().tm_yday, 1),
    "EXTRACT": strict(extract, 2),
    "FROM_DAYS": strict(_from_days, 1),
    "FROM_UNIXTIME": strict(_from_unix, 1, 2),
    "HOUR": strict(lambda value: _hour(value, 0), 1),
    "LAST_DAY": strict(_last_day, 1),
    "LOCALTIME": _NOW,
    "LOCALTIMESTAMP": _NOW,
    "MAKEDATE": strict(_make_date, 2),
    "MINUTE": strict(lambda value: _hour(value, 1), 1),
    "MONTH": strict(lambda value: _moment(value).month, 1),
    "MONTHNAME": strict(lambda value: calendar.month_name[_moment(value).month], 1),
    "NOW": _NOW,
    "QUARTER": strict(lambda value: (_moment(value).month + 2) // 3, 1),
    "SECOND": strict(lambda value: _hour(value, 2), 1),
    "SEC_TO_TIME": strict(_clock_of, 1),
    "STR_TO_DATE": strict(_str_to_date, 2),
    "SYSDATE": _NOW,
    "TIME": strict(_time, 1),
    "TIMESTAMPDIFF": strict(_between, 3),
    "TIME_TO_SEC": strict(_seconds_of, 1),
    "TO_DAYS": strict(_to_days, 1),
    "TO_SECONDS": strict(lambda value: _to_days(value) * 86_400 + _seconds_of(_moment(value).strftime("%H:%M:%S")), 1),
    "UNIX_TIMESTAMP": lenient(_unix, 0, 1),
    "UTC_DATE": _TODAY,
    "UTC_TIME": _CLOCK,
    "UTC_TIMESTAMP": _NOW,
    "WEEK": strict(lambda value, mode=0: calendar_week(_moment(value), integer(mode) % 8)[1], 1, 2),
    "WEEKDAY": strict(lambda value: _moment(value).weekday(), 1),
    "WEEKOFYEAR": strict(lambda value: _moment(value).isocalendar().week, 1),
    "YEAR": strict(lambda value: _moment(value).year, 1),
    "YEARWEEK": strict(_year_week, 1, 2),
}
