"""What can be said about a statement before any parser sees it, and the dialect that runs SQL as it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from cmat_env.envs.database.backend import Result, Table

Run = Callable[[str], Result]
"""Runs one statement of SQLite's own SQL under the guards."""

_COMMENT_OR_BLANK = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*(?!!).*?(?:\*/|$)|;)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_TRANSACTION = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})


class Dialect(Protocol):
    """How a backend understands the SQL of its agent."""

    collation: str | None

    def execute(self, sql: str, run: Run) -> Result:
        """Run one statement of an agent."""
        ...

    def begin(self, tables: Sequence[Table]) -> None:
        """Forget what earlier statements left in the session."""
        ...


def leading_word(sql: str) -> str:
    """The statement's first word in capitals, after comments; empty if there is none."""
    start = _COMMENT_OR_BLANK.match(sql)
    word = _WORD.match(sql, start.end() if start else 0)
    return word.group().upper() if word else ""


def is_blank(sql: str) -> bool:
    """True if the text holds nothing but blanks, comments and semicolons."""
    return _COMMENT_OR_BLANK.fullmatch(sql) is not None


def is_transaction(sql: str) -> bool:
    """True for BEGIN, COMMIT and their kind; every statement commits by itself, so they have nothing to do."""
    return leading_word(sql) in _TRANSACTION


class Verbatim:
    """SQLite's own SQL, as it is written."""

    collation: str | None = None

    def execute(self, sql: str, run: Run) -> Result:
        """Run one statement of an agent."""
        if is_blank(sql):
            return Result(error="empty statement")
        if is_transaction(sql):
            return Result()
        return run(sql)

    def begin(self, tables: Sequence[Table]) -> None:
        """There is no session to forget."""
