"""Serialised images of tables: a database is reset by deserialising one, which takes microseconds.

`image` is a pure function with a cache for the whole process, keyed by content and by type (1, 1.0 and '1' differ).
"""

from __future__ import annotations

import itertools
import marshal
import sqlite3
import threading
from collections.abc import Sequence
from functools import lru_cache

from cmat_env.envs.database.backend import Row, Table
from cmat_env.errors import ConfigError

_MARSHAL_VERSION = 2  # later versions encode equal values differently, depending on how often they are referred to
_LOCK = threading.Lock()
_VERSION_AT = 40  # of the file format's header, "schema cookie"
_VERSIONS = itertools.count(1 << 16, 1 << 16)  # an agent's own CREATE and DROP count up from there
_MOST_SEEN = 1024
_SEEN: dict[int, tuple[Sequence[Table], str | None, bytes]] = {}
"""Images by the identity of the tables, as long as these cannot change: a shortcut to the cache by content."""
_CELL_TYPES = {str, int, float, type(None)}
_INTEGERS = range(-(2**63), 2**63)


def quote(name: str) -> str:
    """An SQL identifier. In double quotes a name that does not exist would be taken for a string."""
    return "`" + name.replace("`", "``") + "`"


def image(tables: Sequence[Table], *, collation: str | None = None) -> bytes:
    """A database of exactly these tables, serialised.

    Args:
        tables: what it holds.
        collation: None = columns typed by content, values as they are; otherwise every column is TEXT under this
            collation, and every value its `str()`.

    Raises:
        ConfigError: the tables cannot stand in one database.
    """
    known = _SEEN.get(id(tables))
    if known is not None and known[0] is tables and known[1] == collation:
        return known[2]
    made = _image(tables, collation)
    if isinstance(tables, tuple) and all(map(_is_frozen, tables)):
        if len(_SEEN) >= _MOST_SEEN:
            _SEEN.clear()
        _SEEN[id(tables)] = (tables, collation, made)
    return made


def _is_frozen(table: Table) -> bool:
    return type(table.rows) is tuple and all(type(row) is tuple for row in table.rows)


def _image(tables: Sequence[Table], collation: str | None) -> bytes:
    content = [(table.name, table.columns, table.rows) for table in tables]
    if not {type(cell) for table in tables for row in table.rows for cell in row} <= _CELL_TYPES:
        content = [
            (table.name, table.columns, tuple(tuple(map(_plain, row)) for row in table.rows)) for table in tables
        ]
    return _build(marshal.dumps(content, _MARSHAL_VERSION), collation)


def renewed(content: bytes) -> bytes:
    """An image to deserialise now, with a schema number that no earlier one had.

    SQLite takes an image whose schema number is that of the database before it for the same schema: statements that
    were compiled, also those in Python's cache, would read the new tables as if they had the old columns.
    """
    version = next(_VERSIONS) & 0xFFFFFFFF
    return content[:_VERSION_AT] + version.to_bytes(4, "big") + content[_VERSION_AT + 4 :]


def anonymous(content: bytes) -> bytes:
    """An image to keep: without its schema number, so that equal databases have equal images."""
    return content[:_VERSION_AT] + bytes(4) + content[_VERSION_AT + 4 :]


@lru_cache(maxsize=1024)
def _build(key: bytes, collation: str | None) -> bytes:
    with _LOCK:
        connection, empty = _workbench(collation)
        connection.deserialize(renewed(empty))
        connection.execute("BEGIN")
        try:
            for name, columns, rows in marshal.loads(key):
                _create(connection, name, columns, rows, collation)
        finally:
            connection.execute("COMMIT")
        return anonymous(connection.serialize())


@lru_cache(maxsize=4)
def _workbench(collation: str | None) -> tuple[sqlite3.Connection, bytes]:
    """A connection on which images are made, and the image of no tables."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    if collation is not None:  # nothing is compared here, but a column may only name a collation that exists
        connection.create_collation(collation, lambda left, right: (left > right) - (left < right))
    connection.execute("PRAGMA user_version = 1")  # writes the first page: an empty file is no image
    return connection, connection.serialize()


def _create(
    connection: sqlite3.Connection, name: str, columns: tuple[str, ...], rows: tuple[Row, ...], collation: str | None
) -> None:
    if collation is None:
        cells = [tuple(map(_storable, row)) for row in rows]
        kinds = [_column_type(values) for values in zip(*cells, strict=True)] if cells else ["TEXT"] * len(columns)
    else:
        cells = [tuple(None if cell is None else _utf8(str(cell)) for cell in row) for row in rows]
        kinds = [f"TEXT COLLATE {collation}"] * len(columns)
    declared = ", ".join(f"{quote(column)} {kind}" for column, kind in zip(columns, kinds, strict=True))
    try:
        connection.execute(f"CREATE TABLE {quote(name)} ({declared})")
        connection.executemany(f"INSERT INTO {quote(name)} VALUES ({', '.join('?' * len(columns))})", cells)
    except (sqlite3.Error, sqlite3.Warning, UnicodeError) as error:
        raise ConfigError(f"table {name!r} with columns {list(columns)} cannot be made: {error}") from error


def _column_type(values: tuple[object, ...]) -> str:
    """A type that gives back what was put in; none where numbers and texts are mixed."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str}:
        return "TEXT"
    if kinds == {int}:
        return "INTEGER"
    if kinds == {float}:
        return "REAL"
    exact = kinds == {int, float} and all(abs(value) < 2**53 for value in values if isinstance(value, int))
    return "REAL" if exact else ""


def _storable(cell: object) -> object:
    if isinstance(cell, str):
        return _utf8(cell)
    if isinstance(cell, int) and cell not in _INTEGERS:
        return str(cell)
    return cell


def _utf8(text: str) -> str:
    """The text without halves of surrogate pairs, which SQLite cannot store."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _plain(cell: object) -> object:
    """The nearest value that SQLite stores; numbers of numpy become Python's."""
    if isinstance(cell, bool):
        return int(cell)
    number = getattr(cell, "item", None)
    value = number() if callable(number) else cell
    return value if value is None or type(value) in _CELL_TYPES else str(value)
