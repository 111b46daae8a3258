"""MySQL on a SQLite connection: statements are answered, translated, checked against the tables, and run.

The session keeps nothing from one statement to the next: every statement commits, and variables are not kept, as
upstream connects anew for each.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from cmat_env.envs.database.backend import Limits, Result, Row, Table
from cmat_env.envs.database.images import quote
from cmat_env.envs.database.mysql import collation, functions
from cmat_env.envs.database.mysql.checks import ServerName
from cmat_env.envs.database.mysql.errors import (
    DATABASE,
    MySQLError,
    from_sqlite,
    syntax_error,
    unknown_column,
    unknown_table,
)
from cmat_env.envs.database.mysql.functions.aggregates import GATHERED, Budget
from cmat_env.envs.database.mysql.grammar import single
from cmat_env.envs.database.mysql.show import answer
from cmat_env.envs.database.mysql.translate import Translation, missing_column, translate, translate_for, unresolved
from cmat_env.envs.database.mysql.values import round_decimal
from cmat_env.envs.database.replayable import Numbers
from cmat_env.envs.database.statements import Run, is_blank, leading_word

_WITHOUT_EFFECT = frozenset(
    {"BEGIN", "COMMIT", "FLUSH", "LOCK", "RELEASE", "ROLLBACK", "SAVEPOINT", "SET", "START", "UNLOCK"}
)
_ANSWERED = frozenset({"DESC", "DESCRIBE", "EXPLAIN", "SHOW", "USE"})
_EXPLAIN = re.compile(
    r"(?:EXPLAIN|DESCRIBE|DESC)\s+((?:SELECT|WITH|INSERT|UPDATE|DELETE|REPLACE)\b.*)", re.IGNORECASE | re.DOTALL
)
_PLAN_COLUMNS = (
    *("id", "select_type", "table", "partitions", "type", "possible_keys"),
    *("key", "key_len", "ref", "rows", "filtered", "Extra"),
)
_AFTER_NAMES = frozenset({1055, 1093, 1140, 3065})
"""Errors that MySQL finds only after every name has been found."""
_FILES = re.compile(r"\bINTO\s+(?:OUTFILE|DUMPFILE)\b|\ALOAD\s+DATA\b", re.IGNORECASE)
_RENAME = re.compile(r"\s*RENAME\s+TABLE\s+(\S+|`[^`]+`)\s+TO\s+([^\s;]+|`[^`]+`)\s*;?\s*", re.IGNORECASE)
_INDEX = re.compile(r"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\b", re.IGNORECASE)
_NO_TABLE = re.compile(r"no such table: (.+)", re.DOTALL)
_NO_COLUMN = re.compile(r"no such column: (.+)", re.DOTALL)


class MySQL:
    """The dialect of MySQL 8, or of MariaDB 10.11 as far as we found that it differs, as `statements.Dialect`.

    Args:
        connection: gets the collation and the functions.
        numbers: what RAND() draws from.
        limits: of the length of a statement.
        server: which of the two.
    """

    collation: str | None = collation.NAME

    def __init__(
        self, connection: sqlite3.Connection, numbers: Numbers, limits: Limits, *, server: ServerName = "mysql"
    ) -> None:
        connection.create_collation(collation.NAME, collation.compare)
        self._budget = Budget()
        functions.install(connection, numbers, self._budget, server=server)
        # A translation is longer than the statement, whose length is checked before.
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 10 * limits.sql_bytes)
        self._connection = connection
        self._limits = limits
        self._server: ServerName = server
        self._columns: dict[str, tuple[str, ...]] | None = None

    def begin(self, tables: Sequence[Table]) -> None:
        """Forget what earlier statements left in the session."""
        self._columns = {each.name: each.columns for each in tables} or None

    def execute(self, sql: str, run: Run) -> Result:
        """Run one statement of an agent."""
        try:
            return self._execute(sql, run)
        except MySQLError as error:
            refusal = error
        except Exception:  # the parser fails in its own ways on texts that nobody foresaw
            refusal = syntax_error(sql, 0)
        return Result(error=str(refusal), error_code=refusal.code)

    def _execute(self, sql: str, run: Run) -> Result:
        if len(sql) > self._limits.sql_bytes:
            raise MySQLError(1153, "Got a packet bigger than 'max_allowed_packet' bytes")
        if is_blank(sql):
            raise MySQLError(1065, "Query was empty")
        word = leading_word(sql)
        if word in _WITHOUT_EFFECT:
            single(sql)
            return Result()
        if word in _ANSWERED:
            return self._answer(single(sql), run)
        if match := _RENAME.fullmatch(sql):
            sql = f"ALTER TABLE {match.group(1)} RENAME TO {match.group(2)}"
        return self._run(self._translate(sql), sql, run)

    def _answer(self, statement: str, run: Run) -> Result:
        query = _EXPLAIN.fullmatch(statement)
        if query is None:
            shown = answer(statement, self._catalog())
            assert shown is not None, statement
            return shown
        translated = self._translate(query.group(1))
        plan = run(f"EXPLAIN {translated.statements[0]}")  # compiles it, so that its errors show
        if plan.error is not None:
            raise self._error(plan, query.group(1))
        names = translated.tables or (None,)
        rows = tuple((1, "SIMPLE", each, None, "ALL", None, None, None, None, None, 100.0, None) for each in names)
        return Result(rows, _PLAN_COLUMNS)

    def _translate(self, sql: str) -> Translation:
        translated = translate(sql, self._server)
        if isinstance(translated, MySQLError):
            if translated.code == 1064 and _FILES.search(sql):
                raise MySQLError(1290, "The MySQL server is running with the --secure-file-priv option")
            raise (unresolved(sql, self._catalog()) if translated.code in _AFTER_NAMES else None) or translated
        if translated.asks_schema:
            translated = translate_for(sql, self._catalog(), self._server)
        self._check(translated)
        return translated

    def _check(self, translated: Translation) -> None:
        """What only the tables can tell: which of them exist, and which names are columns."""
        catalog = self._catalog()
        for name in translated.tables:
            if name not in catalog:
                raise unknown_table(name)
        if not translated.conditions and not translated.row_names:
            return
        known = {column.lower() for name in translated.tables for column in catalog[name]}
        for names, clause in ((translated.conditions, "where clause"), (translated.row_names, "field list")):
            for name in names:
                if name.lower() not in known:
                    raise unknown_column(name, clause)

    def _run(self, translated: Translation, sql: str, run: Run) -> Result:
        result = Result()
        self._budget.room = GATHERED
        try:
            for statement in translated.statements:
                result = run(statement)
                if result.error is not None:
                    error = self._error(result, sql)
                    return replace(result, error=str(error), error_code=error.code)
        finally:
            if translated.changes_schema:
                self._columns = None
        if any(places is not None and places >= 0 for places in translated.scales):
            return replace(result, rows=tuple(_exact(row, translated.scales) for row in result.rows))
        return result

    def _error(self, result: Result, sql: str) -> MySQLError:
        message = result.error or ""
        if match := _NO_COLUMN.fullmatch(message):
            if _INDEX.match(sql):
                return MySQLError(1072, f"Key column '{match.group(1)}' doesn't exist in table")
            return missing_column(sql, match.group(1))
        if (match := _NO_TABLE.fullmatch(message)) and leading_word(sql) == "DROP":
            return MySQLError(1051, f"Unknown table '{DATABASE}.{match.group(1)}'")
        return from_sqlite(message)

    def _catalog(self) -> dict[str, tuple[str, ...]]:
        """The columns of every table and view, read anew after the schema has changed."""
        if self._columns is None:
            names = self._connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_'"
            ).fetchall()
            self._columns = {
                str(name): tuple(str(row[1]) for row in self._connection.execute(f"PRAGMA table_info({quote(name)})"))
                for (name,) in names
            }
        return self._columns


def _exact(row: Row, scales: tuple[int | None, ...]) -> Row:
    """The row with its DECIMAL cells as decimals."""
    if len(row) != len(scales):
        return row
    return tuple(
        round_decimal(Decimal(repr(cell)), places)
        if places is not None and places >= 0 and isinstance(cell, (int, float))
        else cell
        for cell, places in zip(row, scales, strict=True)
    )
