"""The embedded backend: a guarded SQLite database in memory, speaking SQLite's or MySQL's dialect.

One connection lives as long as the backend. A reset deserialises a cached image of the tables (microseconds), which
leaves nothing behind of what an agent did.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Literal, get_args

from cmat_env.envs.database.backend import Limits, Result, Row, Table
from cmat_env.envs.database.guards import limit_pages, open_guarded
from cmat_env.envs.database.images import anonymous, image, quote, renewed
from cmat_env.envs.database.replayable import Numbers, install
from cmat_env.envs.database.statements import Dialect, Verbatim, leading_word
from cmat_env.errors import CmatError, ConfigError

DialectName = Literal["sqlite", "mysql", "mariadb"]

_COUNTER_BYTES = 8


class SQLiteBackend:
    """A database of one episode, in this process and without any service.

    Args:
        dialect: "sqlite" = columns typed by content, SQL runs as written; "mysql" = every column is text and MySQL 8
            is emulated, as the benchmark needs it; "mariadb" = the same, but as MariaDB 10.11 where we found that it
            differs (docs/db.md).
        limits: of every statement.

    It can be pickled and deep-copied at any time; the copy holds the same data.
    """

    def __init__(self, dialect: DialectName = "sqlite", *, limits: Limits | None = None) -> None:
        if dialect not in get_args(DialectName):
            raise ConfigError(f"dialect={dialect!r}; wanted 'sqlite', 'mysql' or 'mariadb'")
        self.dialect: DialectName = dialect
        self.limits = limits or Limits()
        self._numbers = Numbers()
        self._closed = False
        self._open(image(()))

    def _open(self, content: bytes) -> None:
        self._connection, self._guard = open_guarded(self.limits)
        self._speak: Dialect = Verbatim()
        if self.dialect != "sqlite":
            from cmat_env.envs.database.mysql.dialect import MySQL  # noqa: PLC0415 - sqlglot is slow to import

            self._speak = MySQL(self._connection, self._numbers, self.limits, server=self.dialect)
        else:
            install(self._connection, self._numbers)
        self._become(content)

    def load(self, tables: Sequence[Table]) -> None:
        """Make the database exactly these tables, whatever was there.

        Raises:
            ConfigError: the tables cannot stand in one database, such as two of one name.
        """
        self._check_open()
        self._become(image(tables, collation=self._speak.collation))
        self._numbers.drawn = 0
        self._speak.begin(tables)

    def execute(self, sql: str) -> Result:
        """Run one statement of an agent; errors, limits and the deadline are part of the result."""
        self._check_open()
        if not sql.isascii():
            sql = sql.encode("utf-8", "replace").decode()
        return self._speak.execute(sql, self._run)

    def table_rows(self, table: str, columns: Sequence[str]) -> list[Row] | None:
        """Read a table for grading; None: the table or a column is gone, or a view stands in its place."""
        self._check_open()
        self._guard.deadline = time.monotonic() + self.limits.seconds
        named = ", ".join(map(quote, columns)) or "NULL"
        try:
            kinds = self._connection.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchall()
            if ("table",) not in kinds:
                return None
            return self._connection.execute(f"SELECT {named} FROM {quote(table)}").fetchall()
        except (sqlite3.Error, sqlite3.Warning, MemoryError):
            return None

    def snapshot(self) -> bytes:
        """Everything needed to come back to this state."""
        self._check_open()
        return self._numbers.drawn.to_bytes(_COUNTER_BYTES, "big") + anonymous(self._connection.serialize())

    def restore(self, snapshot: bytes) -> None:
        """Come back to the state of a snapshot, also one of another backend of this dialect."""
        self._check_open()
        self._numbers.drawn = int.from_bytes(snapshot[:_COUNTER_BYTES], "big")
        self._become(snapshot[_COUNTER_BYTES:])
        self._speak.begin(())

    def close(self) -> None:
        """Free the database; twice is fine."""
        self._closed = True
        self._connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise CmatError("this database backend is closed; make a new one")

    def _become(self, content: bytes) -> None:
        self._guard.trusted = True
        self._guard.deadline = float("inf")
        if self._connection.in_transaction:  # would survive what follows
            self._connection.rollback()
        self._connection.deserialize(renewed(content))
        self._limited = False
        self._guard.trusted = False

    def _limit(self) -> None:
        """Cap the database's size, which took longer than all else of a reset; a SELECT cannot make it grow."""
        self._guard.trusted = True
        limit_pages(self._connection, self.limits)
        self._guard.trusted = False
        self._limited = True

    def _run(self, sql: str) -> Result:
        self._guard.deadline = time.monotonic() + self.limits.seconds
        word = leading_word(sql)
        self._guard.altering = word == "ALTER"
        if not self._limited and word != "SELECT":
            self._limit()
        try:
            cursor = self._connection.execute(sql)
            try:
                rows, truncated = _fetch(cursor, self.limits)
                columns = tuple(column[0] for column in cursor.description or ())
                return Result(rows, columns, truncated=truncated, changed=max(cursor.rowcount, 0))
            finally:
                cursor.close()
        except MemoryError:
            return Result(error="out of memory")
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            # OverflowError and ValueError are what Python's binding raises for some texts and numbers.
            return Result(error=str(error), timed_out=str(error) == "interrupted")
        finally:
            self._guard.deadline = float("inf")

    def __getstate__(self) -> dict[str, Any]:
        content = None if self._closed else self.snapshot()
        return {"dialect": self.dialect, "limits": self.limits, "content": content}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["dialect"], limits=state["limits"])  # type: ignore[misc]
        if state["content"] is None:
            self.close()
        else:
            self.restore(state["content"])


def _fetch(cursor: sqlite3.Cursor, limits: Limits) -> tuple[tuple[Row, ...], bool]:
    """The rows within the limits, and whether there were more."""
    rows: list[Row] = []
    room = limits.result_bytes
    for row in cursor:
        for cell in row:
            room -= len(cell) if isinstance(cell, (str, bytes)) else 8
        if room < 0 or len(rows) == limits.rows:
            return tuple(rows), True
        rows.append(row)
    return tuple(rows), False
