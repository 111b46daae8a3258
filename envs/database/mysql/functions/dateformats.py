"""The formats of DATE_FORMAT and STR_TO_DATE, such as '%M %d, %Y'."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

_MONTHS = [name.lower() for name in calendar.month_name]
_SHORT_MONTHS = [name.lower() for name in calendar.month_abbr]
_PIVOT = 70


def _ordinal(day: int) -> str:
    ending = "th" if 11 <= day % 100 <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def calendar_week(moment: datetime, mode: int) -> tuple[int, int]:
    """WEEK in MySQL's modes: the year that the week belongs to, and its number.

    Mode 1 begins weeks on Monday, 2 counts from 1 so that early days may be of the last year, 4 turns round which week
    is the first: that of four days or more (with Monday), or the first whole one (with Sunday).
    """
    monday, whole = bool(mode & 1), bool(mode & 4) != (not mode & 1)
    year, from_one = moment.year, bool(mode & 2)
    first = datetime(year, 1, 1)
    before = first.weekday() if monday else (first.weekday() + 1) % 7  # days of the first week in the last year
    late = before != 0 if whole else before >= 4
    if moment.month == 1 and moment.day <= 7 - before and late:
        if not from_one:
            return year, 0
        return calendar_week(datetime(year - 1, 12, 31), mode)
    days = (moment.replace(hour=0, minute=0, second=0, microsecond=0) - first).days + before - 7 * late
    if from_one and days >= 52 * 7:
        after = (before + (366 if calendar.isleap(year) else 365)) % 7
        if after == 0 if whole else after < 4:
            return year + 1, 1
    return year, days // 7 + 1


_WRITERS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda moment: f"{moment.year:04d}",
    "y": lambda moment: f"{moment.year % 100:02d}",
    "m": lambda moment: f"{moment.month:02d}",
    "c": lambda moment: str(moment.month),
    "d": lambda moment: f"{moment.day:02d}",
    "e": lambda moment: str(moment.day),
    "D": lambda moment: _ordinal(moment.day),
    "M": lambda moment: calendar.month_name[moment.month],
    "b": lambda moment: calendar.month_abbr[moment.month],
    "W": lambda moment: calendar.day_name[moment.weekday()],
    "a": lambda moment: calendar.day_abbr[moment.weekday()],
    "w": lambda moment: str(moment.isoweekday() % 7),
    "j": lambda moment: f"{moment.timetuple().tm_yday:03d}",
    "H": lambda moment: f"{moment.hour:02d}",
    "k": lambda moment: str(moment.hour),
    "h": lambda moment: f"{(moment.hour + 11) % 12 + 1:02d}",
    "I": lambda moment: f"{(moment.hour + 11) % 12 + 1:02d}",
    "l": lambda moment: str((moment.hour + 11) % 12 + 1),
    "i": lambda moment: f"{moment.minute:02d}",
    "s": lambda moment: f"{moment.second:02d}",
    "S": lambda moment: f"{moment.second:02d}",
    "f": lambda moment: f"{moment.microsecond:06d}",
    "p": lambda moment: "PM" if moment.hour >= 12 else "AM",
    "T": lambda moment: moment.strftime("%H:%M:%S"),
    "r": lambda moment: (
        f"{(moment.hour + 11) % 12 + 1:02d}:{moment.minute:02d}:{moment.second:02d} "
        + ("PM" if moment.hour >= 12 else "AM")
    ),
    "U": lambda moment: f"{calendar_week(moment, 0)[1]:02d}",
    "u": lambda moment: f"{calendar_week(moment, 1)[1]:02d}",
    "V": lambda moment: f"{calendar_week(moment, 2)[1]:02d}",
    "v": lambda moment: f"{calendar_week(moment, 3)[1]:02d}",
    "X": lambda moment: f"{calendar_week(moment, 2)[0]:04d}",
    "x": lambda moment: f"{calendar_week(moment, 3)[0]:04d}",
}


def format_moment(moment: datetime, pattern: str) -> str:
    """DATE_FORMAT: an unknown %x stands for x."""

    def written(match: re.Match[str]) -> str:
        writer = _WRITERS.get(match.group(1))
        return writer(moment) if writer else match.group(1)

    return re.sub(r"%(.)", written, pattern, flags=re.DOTALL)


_READERS = {
    "Y": r"(?P<Y>\d{1,4})",
    "y": r"(?P<y>\d{1,2})",
    "m": r"(?P<m>\d{1,2})",
    "c": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "e": r"(?P<d>\d{1,2})",
    "D": r"(?P<d>\d{1,2})(?:st|nd|rd|th)",
    "M": rf"(?P<M>{'|'.join(_MONTHS[1:])})",
    "b": rf"(?P<b>{'|'.join(_SHORT_MONTHS[1:])})",
    "W": rf"(?:{'|'.join(calendar.day_name)})",
    "a": rf"(?:{'|'.join(calendar.day_abbr)})",
    "H": r"(?P<H>\d{1,2})",
    "k": r"(?P<H>\d{1,2})",
    "h": r"(?P<h>\d{1,2})",
    "I": r"(?P<h>\d{1,2})",
    "l": r"(?P<h>\d{1,2})",
    "i": r"(?P<i>\d{1,2})",
    "s": r"(?P<s>\d{1,2})",
    "S": r"(?P<s>\d{1,2})",
    "f": r"(?P<f>\d{1,6})",
    "p": r"(?P<p>AM|PM)",
    "T": r"(?P<H>\d{1,2}):(?P<i>\d{1,2}):(?P<s>\d{1,2})",
    "r": r"(?P<h>\d{1,2}):(?P<i>\d{1,2}):(?P<s>\d{1,2})\s*(?P<p>AM|PM)",
    "%": "%",
}


@lru_cache(maxsize=256)
def _reader(pattern: str) -> re.Pattern[str] | None:
    parts = []
    for token in re.findall(r"%.|\s+|[^%\s]+", pattern, flags=re.DOTALL):
        if token.startswith("%"):
            parts.append(_READERS.get(token[1], "(?!)"))
        else:
            parts.append(r"\s*" if token.isspace() else re.escape(token))
    try:
        return re.compile(r"\s*".join(parts), re.IGNORECASE)
    except re.error:  # one part twice
        return None


def parse_moment(value: str, pattern: str) -> tuple[datetime, bool, bool] | None:
    """STR_TO_DATE: the moment, whether a day was read, and whether a time was. None: it does not fit the format."""
    reader = _reader(pattern)
    match = reader.match(value.lstrip()) if reader else None
    if match is None:
        return None
    found = {name: part for name, part in match.groupdict().items() if part is not None}
    day = not found.keys().isdisjoint("YymMbd")
    clock = not found.keys().isdisjoint("Hhisfp")
    try:
        return datetime(*_day(found), *_clock(found)) if day else datetime(1, 1, 1, *_clock(found)), day, clock
    except ValueError:
        return None


def _day(found: dict[str, str]) -> tuple[int, int, int]:
    year = int(found.get("Y", "0"))
    if "y" in found:
        year = int(found["y"])
        year += 1900 if year >= _PIVOT else 2000
    month = int(found.get("m", "0"))
    if "M" in found:
        month = _MONTHS.index(found["M"].lower())
    if "b" in found:
        month = _SHORT_MONTHS.index(found["b"].lower())
    return year, month, int(found.get("d", "0"))


def _clock(found: dict[str, str]) -> tuple[int, int, int, int]:
    hour = int(found.get("H", "0"))
    if "h" in found:
        hour = int(found["h"]) % 12 + (12 if found.get("p", "").upper() == "PM" else 0)
    return hour, int(found.get("i", "0")), int(found.get("s", "0")), int(found.get("f", "0").ljust(6, "0"))
