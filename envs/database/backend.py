"""What a database backend is: it loads tables, runs an agent's statements, and is read for grading.

A backend holds the database of one episode at a time. What an agent wrote never makes it raise: errors, limits and
timeouts are part of the `Result`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from cmat_env.errors import ConfigError

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a task, as data.

    Attributes:
        name: of the table.
        columns: their names, in order.
        rows: one cell a column; a cell is str, int, float or None.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ConfigError(
                    f"table {self.name!r}: row {index} has {len(row)} cells, wanted {len(self.columns)}, one a column"
                )


@dataclass(frozen=True, slots=True)
class Result:
    """What one statement of an agent gave.

    Attributes:
        rows: of a query; empty for anything else.
        columns: names of the query's columns; empty for anything else.
        error: the error as the agent sees it, or None.
        error_code: MySQL's number where it is known.
        truncated: rows were left out, by number or by bytes.
        changed: rows that a write changed.
        timed_out: the deadline stopped the statement.
    """

    rows: tuple[Row, ...] = ()
    columns: tuple[str, ...] = ()
    error: str | None = None
    error_code: int | None = None
    truncated: bool = False
    changed: int = 0
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement of an agent may use.

    Attributes:
        seconds: wall time of a statement.
        rows: of a result; more are cut.
        result_bytes: of a result, about; more is cut.
        value_bytes: of one text or blob, also inside functions.
        sql_bytes: of a statement's text.
        database_bytes: of the whole database.
        heap_bytes: of SQLite's own memory, for the whole process; None leaves it unlimited.
    """

    seconds: float = 2.0
    rows: int = 1000
    result_bytes: int = 1_000_000
    value_bytes: int = 1_000_000
    sql_bytes: int = 100_000
    database_bytes: int = 16_777_216
    heap_bytes: int | None = 268_435_456

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value <= 0:
                raise ConfigError(f"Limits({field.name}={value!r}): wanted a number above 0")


@runtime_checkable
class Backend(Protocol):
    """The database of one episode."""

    def load(self, tables: Sequence[Table]) -> None:
        """Make the database exactly these tables, whatever was there."""
        ...

    def execute(self, sql: str) -> Result:
        """Run one statement of an agent; never raises for what it wrote."""
        ...

    def table_rows(self, table: str, columns: Sequence[str]) -> list[Row] | None:
        """Read a table for grading; None: the table or a column is gone."""
        ...

    def snapshot(self) -> bytes:
        """Everything needed to come back to this state."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Come back to the state of a snapshot."""
        ...

    def close(self) -> None:
        """Free the database; twice is fine."""
        ...
