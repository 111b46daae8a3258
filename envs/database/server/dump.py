"""Databases as SQL: what makes a task's tables, and what brings back a database as it stood."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cmat_env.envs.database.backend import Table
from cmat_env.envs.database.images import quote

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_ROWS_AT_ONCE = 500
_DEFINER = re.compile(r" DEFINER=`[^`]*`@`[^`]*` ")


def script_of(tables: Sequence[Table], connection: Connection[Any]) -> list[str]:
    """The statements that make these tables, every column TEXT and every cell its text, as AgentBench does."""
    return [sql for table in tables for sql in _make(table, connection)]


def _make(table: Table, connection: Connection[Any]) -> Iterator[str]:
    names = named(table.columns)
    columns = ", ".join(f"{quote(name)} TEXT" for name in names)
    yield f"CREATE TABLE {quote(table.name)} ({columns})"
    texts = [[None if cell is None else _text(cell) for cell in row] for row in table.rows]
    yield from _inserts(table.name, texts, connection)


def named(columns: Sequence[str]) -> list[str]:
    """Column names that a server takes: one without a name, as AgentBench's dev task 5 has, is called by its place."""
    return [name or f"column_{place}" for place, name in enumerate(columns, start=1)]


def _text(cell: object) -> str:
    text = str(cell)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _inserts(table: str, rows: Sequence[Sequence[object]], connection: Connection[Any]) -> Iterator[str]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        values = ", ".join(
            "(" + ", ".join("NULL" if cell is None else str(connection.escape(cell)) for cell in row) + ")"
            for row in rows[start : start + _ROWS_AT_ONCE]
        )
        yield f"INSERT INTO {quote(table)} VALUES {values}"


def dump(cursor: Cursor, connection: Connection[Any], database: str) -> list[str]:
    """The statements that make the database as it is: tables with rows, then views."""
    cursor.execute(f"SHOW FULL TABLES FROM {quote(database)}")
    found = [(str(row[0]), str(row[1])) for row in cursor.fetchall()]
    script: list[str] = []
    for name, kind in sorted(found, key=lambda item: item[1] == "VIEW"):
        place = f"{quote(database)}.{quote(name)}"
        cursor.execute(f"SHOW CREATE {'VIEW' if kind == 'VIEW' else 'TABLE'} {place}")
        script.append(_DEFINER.sub(" ", str(cursor.fetchall()[0][1]), count=1))
        if kind != "VIEW":
            cursor.execute(f"SELECT * FROM {place}")
            script.extend(_inserts(name, cursor.fetchall(), connection))
    return script


def pack(script: Sequence[str], drawn: int) -> bytes:
    """A snapshot: the statements, and how many statements drew random numbers."""
    return json.dumps([list(script), drawn], ensure_ascii=False).encode()


def unpack(snapshot: bytes) -> tuple[list[str], int]:
    """What `pack` made a snapshot of."""
    script, drawn = json.loads(snapshot)
    return script, drawn
