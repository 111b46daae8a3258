"""Statements that a server must not get from an agent, told by their first words.

The account's rights and the server's options stop most of them as well; this stops them whatever the server is. The
rest is the server's business: also what is no SQL at all, so that its own message comes back.
"""

from __future__ import annotations

import re

from cmat_env.envs.database.backend import Result
from cmat_env.envs.database.server.link import told
from cmat_env.envs.database.statements import leading_word

_REFUSED_WORDS = """
    ALTER ANALYZE BACKUP BINLOG CACHE CALL CHANGE CHECK CHECKSUM CLONE CREATE DEALLOCATE DELIMITER DO DROP EXECUTE FLUSH
    GET GRANT HANDLER HELP IMPORT INSTALL KILL LOAD LOCK OPTIMIZE PREPARE PURGE REPAIR RESET RESIGNAL RESTART REVOKE SET
    SHUTDOWN SIGNAL START STOP UNINSTALL UNLOCK XA
"""
_REFUSED = frozenset(_REFUSED_WORDS.split())
"""First words of statements that change the session, the server or its accounts, or hide another statement."""

_SCHEMA = re.compile(
    r"(?:ALTER\s+(?:IGNORE\s+)?TABLE|(?:CREATE|DROP)\s+(?:TABLE|INDEX|VIEW|UNIQUE\s+INDEX|FULLTEXT\s+INDEX)"
    r"|CREATE\s+OR\s+REPLACE\s+(?:TABLE|VIEW|INDEX)|ALTER\s+VIEW|CREATE\s+(?:ALGORITHM\s*=\s*\w+\s+)?VIEW)\b",
    re.IGNORECASE,
)
_OUTSIDE = re.compile(
    r"\b(?:(?:DATA|INDEX)\s+DIRECTORY|INTO\s+(?:OUTFILE|DUMPFILE)|LOAD_FILE\s*\(|ENGINE\s*=?\s*[`'\"]?"
    r"(?:FEDERATED|CONNECT|CSV|SPIDER|S3|OQGRAPH|SEQUENCE|BLACKHOLE|MRG_MyISAM|MERGE))",
    re.IGNORECASE,
)
_READS = frozenset({"SELECT", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "WITH", "VALUES", "TABLE", "USE"})
_CHANGE = re.compile(r"\b(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`", re.DOTALL)
_EXECUTABLE_COMMENT = re.compile(r"/\*M?!")
_LEADING_COMMENTS = re.compile(r"(?:\s+|--[ \t\n][^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)


def refusal(sql: str) -> Result | None:
    """The answer to a statement that is not passed on; None = pass it on."""
    bare = _STRING.sub("''", sql)
    if _EXECUTABLE_COMMENT.search(bare):
        return _denied("executable comments are not allowed")
    rest = _stripped(bare)
    word = leading_word(rest)
    if word in _REFUSED and not _SCHEMA.match(rest):
        return _denied(f"{word} is not allowed here")
    found = _OUTSIDE.search(bare)
    if found:
        return _denied(f"{found[0].upper().rstrip(' (')} is not allowed here")
    return None


def first_word(sql: str) -> str:
    """The statement's first word in capitals, after comments of every kind and opening brackets."""
    return leading_word(_stripped(sql))


def writes(sql: str) -> bool:
    """May this statement change the database?"""
    word = first_word(sql)
    return word not in _READS or (word == "WITH" and _CHANGE.search(sql) is not None)


def _stripped(sql: str) -> str:
    start = _LEADING_COMMENTS.match(sql)
    return sql[start.end() :] if start else sql


def _denied(what: str) -> Result:
    """As a server that lacks the right to it says."""
    return Result(error=told(1227, f"Access denied; {what}"), error_code=1227)
