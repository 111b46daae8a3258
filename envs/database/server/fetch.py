"""What a statement gives on a server, row by row, within the limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cmat_env.envs.database.backend import Limits, Result, Row
from cmat_env.envs.database.server.link import is_lost, pymysql, told

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor


def fetch(sql: str, connection: Connection, limits: Limits, *, stop: Callable[[], object]) -> Result:
    """Run a statement; its error is part of the result.

    Args:
        sql: the statement.
        connection: to the server.
        limits: of the result.
        stop: ends the statement at the server; called where rows are left that nobody wants.

    Raises:
        pymysql.MySQLError: the connection is lost.
    """
    library = pymysql()
    cursor = connection.cursor(library.cursors.SSCursor)
    try:
        cursor.execute(sql)
        rows, truncated = _take(cursor, limits)
        if truncated:
            stop()  # what is still on its way is thrown away
        columns = tuple(column[0] for column in cursor.description or ())
        changed = 0 if columns else max(int(cursor.rowcount), 0)
        return Result(rows, columns, truncated=truncated, changed=changed)
    except library.MySQLError as error:
        if is_lost(error):
            raise
        code, message = error.args[0], str(error.args[1])
        return Result(error=told(code, message, getattr(error, "sqlstate", None)), error_code=code)
    finally:
        _drain(cursor)


def _take(cursor: Cursor, limits: Limits) -> tuple[tuple[Row, ...], bool]:
    """The rows within the limits, and whether there were more."""
    if cursor.description is None:
        return (), False
    rows: list[Row] = []
    room = limits.result_bytes
    while (row := cursor.fetchone()) is not None:
        for cell in row:
            room -= len(cell) if isinstance(cell, str | bytes) else 8
        if room < 0 or len(rows) == limits.rows:
            return tuple(rows), True
        rows.append(row)
    return tuple(rows), False


def _drain(cursor: Cursor) -> None:
    """Read what is left of a result that was cut short or failed, up to the error that ends it."""
    library = pymysql()
    try:
        cursor.close()
    except library.MySQLError as error:
        if is_lost(error):
            raise
