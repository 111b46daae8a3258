"""The rows of a long-term memory: one SQLite file, shared by threads and processes, in whole transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from cmat_env.agents.memory_entry import MemoryEntry
from cmat_env.agents.memory_file import open_file
from cmat_env.errors import ConfigError, LogError

Vector = npt.NDArray[np.float32]
Key = tuple[str, str, str]
"""Namespace, role and family."""

_COLUMNS = (
    "id", "namespace", "role", "family", "text", "cue", "outcome", "task", "kind", "strength", "made", "used", "uses",
    "helped", "compressed",
)  # fmt: skip
_OF_KEY = "namespace=? AND role=? AND family=?"


class MemoryTable:
    """What `LongTermMemory` keeps, and how it is read and written; it knows no rule of remembering.

    Args:
        path: the file, made if missing; ":memory:" = one of this object alone.
        read_only: nothing can be written; the file must exist.

    Raises:
        ConfigError: the file cannot be opened, or is none of ours.
    """

    def __init__(self, path: str, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self.lock = threading.RLock()
        try:
            self._connection = open_file(path, read_only=read_only)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{path} cannot be opened as a memory: {error}; choose another file") from error
        self._process = os.getpid()
        self._inherited: list[sqlite3.Connection] = []

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection; in a process that was forked, one of its own."""
        if self._process != os.getpid():
            self._inherited.append(self._connection)  # SQLite: it must be neither used nor closed here
            self._connection, self._process = open_file(self.path, read_only=self.read_only), os.getpid()
        return self._connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes of the block together, or none of them; nobody else writes meanwhile.

        Raises:
            LogError: they cannot be written, such as to a full disk; what was there is whole.
            ConfigError: it was opened to be read only.
        """
        if self.read_only:
            raise ConfigError(f"the memory {self.path} was opened to be read only")
        with self.lock:
            connection = self.connection
            if connection.in_transaction:
                yield
                return
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:  # on a full disk SQLite has taken it back itself
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise LogError(
                        f"{self.path} cannot be written: {error}; what was there is whole. Make room, or let others end"
                    ) from error
                raise

    def close(self) -> None:
        """Close the file; twice is fine."""
        with self.lock:
            if self._process == os.getpid():
                self._connection.close()

    def copy_to(self, path: str) -> None:
        """Write the whole file, as it is now, into another one."""
        target = sqlite3.connect(path)
        try:
            with self.lock:
                self.connection.backup(target)
        finally:
            target.close()

    # -- the clock -----------------------------------------------------------------------------------------------

    def episodes(self, namespace: str) -> int:
        """How many episodes a namespace has counted."""
        with self.lock:
            found = self.connection.execute("SELECT episodes FROM clock WHERE namespace=?", (namespace,)).fetchone()
        return int(found[0]) if found else 0

    def tick(self, namespace: str, episodes: int) -> None:
        """Count episodes."""
        with self.transaction():
            self.connection.execute(
                "INSERT INTO clock (namespace, episodes) VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET episodes = episodes + excluded.episodes",
                (namespace, episodes),
            )

    def other_clock(self, namespace: str) -> bool | None:
        """Is its time another than the number of its episodes? None where nobody has written anything yet."""
        with self.lock:
            rows = self.connection.execute("SELECT * FROM clock WHERE namespace=?", (namespace,)).fetchall()
        kept = rows[0][2] if rows and len(rows[0]) > 2 else None  # a file of schema 1, read only, has no such column
        return None if kept is None else bool(kept)

    def settle_clock(self, namespace: str, *, other: bool) -> None:
        """Say once which clock a namespace is kept by."""
        self.connection.execute(
            "INSERT INTO clock VALUES (?, 0, ?) ON CONFLICT DO UPDATE SET other = ifnull(other, excluded.other)",
            (namespace, other),
        )

    # -- reading -------------------------------------------------------------------------------------------------

    def select(self, rest: str, values: Sequence[object] = ()) -> list[MemoryEntry]:
        """The entries that a condition, and what follows it, picks."""
        with self.lock:
            rows = self.connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM memory {rest}", tuple(values))
            return [MemoryEntry(*(*row[:-1], bool(row[-1]))) for row in rows]

    def of_key(self, key: Key, more: str = "", values: Sequence[object] = ()) -> list[MemoryEntry]:
        """The entries of a key, as far as another condition picks them."""
        return self.select(f"WHERE {_OF_KEY} {more}", (*key, *values))

    def count(self, namespace: str) -> int:
        """How many entries a namespace has."""
        with self.lock:
            found = self.connection.execute("SELECT count(*) FROM memory WHERE namespace=?", (namespace,)).fetchone()
        return int(found[0])

    def matches(self, key: Key, query: str, most: int) -> list[tuple[int, float]]:
        """By id, how well the entries of a key match a full-text query, best first; -bm25."""
        return self.connection.execute(
            "SELECT memory.id, -bm25(words) FROM words JOIN memory ON memory.id = words.rowid WHERE words MATCH ? "
            f"AND {_OF_KEY} ORDER BY bm25(words), memory.id DESC LIMIT ?",
            (query, *key, most),
        ).fetchall()

    def keys(self, namespace: str) -> list[Key]:
        """The keys under which a namespace has entries."""
        with self.lock:
            return self.connection.execute(
                "SELECT DISTINCT namespace, role, family FROM memory WHERE namespace=?", (namespace,)
            ).fetchall()

    def vectors(self, key: Key) -> dict[int, Vector]:
        """By id, the vectors of a key's entries, as far as they have any."""
        rows = self.connection.execute(f"SELECT id, vector FROM memory WHERE {_OF_KEY} AND vector IS NOT NULL", key)
        return {number: _vector(blob) for number, blob in rows}

    # -- writing -------------------------------------------------------------------------------------------------

    def insert(self, entry: MemoryEntry, vector: Vector | None) -> int:
        """Write a new entry, whose id is not looked at; returns the id that it has."""
        values = (*(getattr(entry, name) for name in _COLUMNS[1:]), None if vector is None else _blob(vector))
        marks = ",".join("?" * len(values))
        names = ", ".join(_COLUMNS[1:])
        number = self.connection.execute(f"INSERT INTO memory ({names}, vector) VALUES ({marks})", values).lastrowid
        assert number is not None
        return number

    def update(self, entry: MemoryEntry, vector: Vector | None) -> None:
        """Write what may change of an entry."""
        self.connection.execute(
            "UPDATE memory SET text=?, cue=?, outcome=?, task=?, strength=?, used=?, uses=?, helped=?, compressed=?, "
            "vector=? WHERE id=?",
            (entry.text, entry.cue, entry.outcome, entry.task, entry.strength, entry.used, entry.uses, entry.helped,
             int(entry.compressed), None if vector is None else _blob(vector), entry.id),
        )  # fmt: skip

    def set_vectors(self, vectors: Mapping[int, Vector]) -> None:
        """Give entries their vectors, by id."""
        self.connection.executemany(
            "UPDATE memory SET vector=? WHERE id=?", [(_blob(vector), number) for number, vector in vectors.items()]
        )

    def trim(self, key: Key, most: int, *, now: float) -> None:
        """Keep the entries of a key that are retained best, the later ones where two are alike."""
        self.connection.execute(
            f"DELETE FROM memory WHERE id IN (SELECT id FROM memory WHERE {_OF_KEY} "
            "ORDER BY max(0, ? - used) / strength, id DESC LIMIT -1 OFFSET ?)",
            (*key, now, most),
        )

    def mark_used(self, numbers: Iterable[int], *, now: float, helped: bool, grown: float, strongest: float) -> None:
        """Count a use of each, and make it `grown` times as strong, up to `strongest`."""
        self.connection.executemany(
            "UPDATE memory SET used=?, uses=uses+1, helped=helped+?, strength=min(strength*?, ?) WHERE id=?",
            [(now, int(helped), grown, strongest, number) for number in numbers],
        )

    def delete(self, numbers: Sequence[int]) -> int:
        """Remove entries by id; returns how many there were."""
        return sum(self.connection.execute("DELETE FROM memory WHERE id=?", (each,)).rowcount for each in numbers)

    # -- the state of a run --------------------------------------------------------------------------------------

    def dump(self, namespace: str) -> dict[str, Any]:
        """Everything that a namespace holds, in plain values."""
        with self.lock:
            rows = self.connection.execute(
                f"SELECT {', '.join(_COLUMNS)}, vector FROM memory WHERE namespace=? ORDER BY id", (namespace,)
            )
            kept = [[*row[:-1], None if row[-1] is None else _vector(row[-1]).tolist()] for row in rows]
            last = self.connection.execute("SELECT seq FROM sqlite_sequence WHERE name='memory'").fetchone()
            return {
                "episodes": self.episodes(namespace),
                "other_clock": self.other_clock(namespace),
                "last": last[0] if last else 0,
                "entries": kept,
            }

    def load(self, namespace: str, state: Mapping[str, Any]) -> None:
        """The inverse of `dump`: whatever was written since is gone."""
        marks = ",".join("?" * (len(_COLUMNS) + 1))
        with self.transaction():
            connection = self.connection
            connection.execute("DELETE FROM memory WHERE namespace=?", (namespace,))
            connection.executemany(
                f"INSERT INTO memory ({', '.join(_COLUMNS)}, vector) VALUES ({marks})",
                [[*row[:-1], None if row[-1] is None else _blob(row[-1])] for row in state["entries"]],
            )
            connection.execute(
                "UPDATE sqlite_sequence SET seq=max(?, (SELECT ifnull(max(id), 0) FROM memory)) WHERE name='memory'",
                (state["last"],),
            )
            connection.execute(
                "INSERT OR REPLACE INTO clock VALUES (?, ?, ?)",
                (namespace, state["episodes"], state.get("other_clock")),
            )


def _vector(blob: bytes) -> Vector:
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)


def _blob(vector: Vector | Sequence[float]) -> bytes:
    return np.asarray(vector, dtype="<f4").tobytes()
