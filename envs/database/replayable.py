"""Random numbers and the clock for SQL, the same in every replay of an episode.

An agent may write `ORDER BY random()` or ask for the date; with the engine's own functions a recorded episode could
not be replayed. The numbers depend on how many were drawn since the tables were loaded; the clock stands still.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime

NOW = datetime(2026, 1, 1, 12, 0, 0)
"""What every clock function of SQL answers."""

_MASK = (1 << 64) - 1


class Numbers:
    """A counter-based generator (SplitMix64): its whole state is how many numbers were drawn.

    Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
    """

    __slots__ = ("drawn",)

    def __init__(self) -> None:
        self.drawn = 0

    def bits(self) -> int:
        """The next 64 bits."""
        self.drawn += 1
        word = self.drawn * 0x9E3779B97F4A7C15 & _MASK
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        word = (word ^ word >> 27) * 0x94D049BB133111EB & _MASK
        return word ^ word >> 31

    def integer(self) -> int:
        """A signed 64-bit integer, as SQLite's random()."""
        return self.bits() - (1 << 63)

    def fraction(self) -> float:
        """In [0, 1), as MySQL's RAND()."""
        return (self.bits() >> 11) / (1 << 53)


def install(connection: sqlite3.Connection, numbers: Numbers) -> None:
    """Put our random() and clock in the place of SQLite's own."""
    connection.create_function("random", 0, numbers.integer)
    for name, text in (
        ("current_date", NOW.strftime("%Y-%m-%d")),
        ("current_time", NOW.strftime("%H:%M:%S")),
        ("current_timestamp", NOW.strftime("%Y-%m-%d %H:%M:%S")),
    ):
        connection.create_function(name, 0, lambda text=text: text, deterministic=True)
    # The engine's own date functions, on a second connection: `connection` will not reach them any more.
    clock = sqlite3.connect(":memory:", check_same_thread=False)
    clock.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
    for name in ("date", "time", "datetime", "julianday", "unixepoch", "strftime"):
        connection.create_function(name, -1, _frozen(clock, name), deterministic=True)


def _frozen(clock: sqlite3.Connection, name: str) -> Callable[..., str | float | None]:
    """The engine's date function `name`, with `NOW` for the present moment."""
    position = 1 if name == "strftime" else 0

    def function(*values: object) -> str | float | None:
        arguments = list(values)
        if len(arguments) == position:
            arguments.append("now")
        if len(arguments) > position and isinstance(moment := arguments[position], str) and moment.lower() == "now":
            arguments[position] = NOW.strftime("%Y-%m-%d %H:%M:%S")
        marks = ",".join("?" * len(arguments))
        try:
            value: str | float | None = clock.execute(f"SELECT {name}({marks})", arguments).fetchone()[0]
            return value
        except (sqlite3.Error, OverflowError):
            return None

    return function
