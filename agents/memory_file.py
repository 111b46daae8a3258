"""The file of a long-term memory: its tables, and how it is opened by many at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cmat_env.errors import ConfigError

SCHEMA = 2
_APPLICATION = 0x434D4154  # "CMAT": tells our files from others'
_PATIENCE = 60.0
_TABLES = """
CREATE TABLE memory (
    id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, role TEXT NOT NULL, family TEXT NOT NULL,
    text TEXT NOT NULL, cue TEXT NOT NULL, outcome TEXT NOT NULL, task TEXT NOT NULL, kind TEXT NOT NULL,
    strength REAL NOT NULL, made REAL NOT NULL, used REAL NOT NULL, uses INTEGER NOT NULL, helped INTEGER NOT NULL,
    compressed INTEGER NOT NULL, vector BLOB);
CREATE INDEX memory_key ON memory (namespace, role, family, id);
CREATE TABLE clock (namespace TEXT PRIMARY KEY, episodes INTEGER NOT NULL, other INTEGER);
CREATE VIRTUAL TABLE words USING fts5(text, cue, content='memory', content_rowid='id', tokenize='porter unicode61');
CREATE TRIGGER memory_added AFTER INSERT ON memory BEGIN
    INSERT INTO words (rowid, text, cue) VALUES (new.id, new.text, new.cue); END;
CREATE TRIGGER memory_removed AFTER DELETE ON memory BEGIN
    INSERT INTO words (words, rowid, text, cue) VALUES ('delete', old.id, old.text, old.cue); END;
CREATE TRIGGER memory_changed AFTER UPDATE OF text, cue ON memory BEGIN
    INSERT INTO words (words, rowid, text, cue) VALUES ('delete', old.id, old.text, old.cue);
    INSERT INTO words (rowid, text, cue) VALUES (new.id, new.text, new.cue); END;
"""


_UPGRADES = {1: "ALTER TABLE clock ADD COLUMN other INTEGER"}


def open_file(path: str, *, read_only: bool) -> sqlite3.Connection:
    """A connection to a memory, whose tables are made where the file is new.

    Raises:
        ConfigError: the file is none of ours.
        sqlite3.Error, OSError: it cannot be opened.
    """
    if not read_only and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    place = f"{Path(path).resolve().as_uri()}?mode=ro" if read_only else path
    connection = sqlite3.connect(place, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, uri=read_only)
    try:
        if read_only:
            _version(connection, path, may_be_new=False)
            return connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("BEGIN")  # a look at one moment of the file, without waiting for whoever writes
        version = _version(connection, path, may_be_new=True)
        connection.execute("COMMIT")
        if version == SCHEMA:
            return connection
        connection.execute("BEGIN IMMEDIATE")  # one process makes the tables, others wait and find them
        version = _version(connection, path, may_be_new=True)
        if version != SCHEMA:
            for statement in [_UPGRADES[version]] if version else _statements(_TABLES):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: str, *, may_be_new: bool) -> int:
    """The schema of our tables in the file; 0 if it is new."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application == _APPLICATION and version in (SCHEMA, *_UPGRADES):
        return int(version)
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if empty and not application and may_be_new:
        return 0
    what = f"a memory of schema {version}" if application == _APPLICATION else "no memory of cmat-env"
    raise ConfigError(f"{path} holds {what}; wanted one of schema {SCHEMA}, choose another file")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, triggers whole: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
