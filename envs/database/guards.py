"""Guards around an embedded SQLite connection: what an agent's statement may do, and how much of everything.

Four lines of defence, each of them measured against attacks: an allow-list of actions and a deny-list of functions
(asked when a statement is compiled), SQLite's own limits, a deadline (asked every few thousand steps of a running
statement), and a cap on SQLite's heap for the whole process.

`PRAGMA trusted_schema` stays on: every function that a view could call may be called by the agent directly too.
"""

from __future__ import annotations

import re
import sqlite3
import time
from functools import partial

from cmat_env.envs.database.backend import Limits

_STEPS_PER_CHECK = 2000
_PAGE_BYTES = 4096

_ALLOWED_ACTIONS = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_UPDATE,
        sqlite3.SQLITE_DELETE,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_DROP_TABLE,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_DROP_VIEW,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_DROP_INDEX,
        sqlite3.SQLITE_REINDEX,  # a part of CREATE INDEX
        sqlite3.SQLITE_ALTER_TABLE,
    }
)
_DENIED_FUNCTIONS = frozenset(
    {
        "edit",
        "format",
        "fts3_tokenizer",
        "load_extension",
        "printf",
        "randomblob",
        "readfile",
        "writefile",
        "zeroblob",
    }
)
_CUT = re.compile(r"%\.(\d{1,7})s(,? ?)")
_READ_ONLY_PRAGMAS = frozenset({"table_info", "table_list", "table_xinfo"})
_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}


class Guard:
    """Decides for one connection what may be compiled, and when a running statement must stop.

    Attributes:
        deadline: on the monotonic clock, in seconds; a statement running after it is interrupted.
        trusted: True = our own statement: everything may be compiled.
        altering: True = the statement is an ALTER TABLE, which calls printf() itself and looks for temporary
            tables.
    """

    __slots__ = ("altering", "deadline", "trusted")

    def __init__(self) -> None:
        self.deadline = float("inf")
        self.trusted = True
        self.altering = False

    def authorize(
        self, action: int, first: str | None, second: str | None, database: str | None, _trigger: str | None
    ) -> int:
        """SQLite's authorizer callback."""
        if self.trusted:
            return sqlite3.SQLITE_OK
        if (
            database == "temp" and not self.altering
        ):  # `CREATE TABLE temp.t` is asked for as any CREATE TABLE, and would survive a load
            return sqlite3.SQLITE_DENY
        if action in _ALLOWED_ACTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            name = (second or "").lower()
            denied = name in _DENIED_FUNCTIONS and not (self.altering and name == "printf")
        elif action == sqlite3.SQLITE_PRAGMA:
            denied = (first or "").lower() not in _READ_ONLY_PRAGMAS
        else:
            denied = True
        return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK

    def expired(self) -> bool:
        """SQLite's progress callback; True interrupts."""
        return time.monotonic() > self.deadline


def open_guarded(limits: Limits) -> tuple[sqlite3.Connection, Guard]:
    """A connection to a new database in memory, and its guard, which trusts until it is told not to.

    Python's transaction control is off: every statement commits by itself, as upstream's backend does.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    connection.execute("PRAGMA temp_store = MEMORY").close()
    if limits.heap_bytes is not None:
        connection.execute(f"PRAGMA hard_heap_limit = {limits.heap_bytes}").close()
    for category, value in _LIMITS.items():
        connection.setlimit(category, value)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.value_bytes)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, limits.sql_bytes)
    _disarm(connection)
    guard = Guard()
    connection.set_authorizer(guard.authorize)
    connection.set_progress_handler(guard.expired, _STEPS_PER_CHECK)
    return connection, guard


def _disarm(connection: sqlite3.Connection) -> None:
    """Put harmless functions in the place of those that are denied.

    The authorizer is not asked for functions inside columns that are generated: ALTER TABLE could bring them in.
    """
    for name in ("format", "randomblob", "zeroblob"):
        connection.create_function(name, -1, lambda *_: None, deterministic=True)
    connection.create_function("printf", -1, _printf, deterministic=True)


def _printf(pattern: object = None, *values: object) -> str | None:
    """As much of printf() as SQLite's own ALTER TABLE ADD COLUMN needs: the first so many bytes of a text."""
    match = _CUT.fullmatch(str(pattern))
    if match is None or not values:
        return None
    return str(values[0]).encode()[: int(match.group(1))].decode("utf-8", "replace") + match.group(2)


def limit_pages(connection: sqlite3.Connection, limits: Limits) -> None:
    """Cap the size of the database; deserialising an image lifts this cap, so call it after each."""
    connection.execute(f"PRAGMA max_page_count = {max(1, limits.database_bytes // _PAGE_BYTES)}").close()
