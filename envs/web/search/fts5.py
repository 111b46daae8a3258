"""Search by SQLite's FTS5, from the standard library."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from functools import lru_cache

from cmat_env.envs.web.search.engine import Document

_KEPT = 4_096


class FTS5Engine:
    """An index in memory, searched by any thread, one at a time; the latest queries are remembered."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute("CREATE VIRTUAL TABLE docs USING fts5(body, content='', tokenize='porter unicode61')")
        ordered = sorted(documents)
        self._ids = [name for name, _ in ordered]
        with self._database:
            rows = ((position, text) for position, (_, text) in enumerate(ordered))
            self._database.executemany("INSERT INTO docs(rowid, body) VALUES (?, ?)", rows)
            self._database.execute("INSERT INTO docs(docs) VALUES ('optimize')")
        self.search = lru_cache(maxsize=_KEPT)(self._search)

    def _search(self, terms: tuple[str, ...], limit: int) -> tuple[str, ...]:
        if not terms or limit < 1:
            return ()
        query = " OR ".join(f'"{term}"' for term in terms)
        statement = "SELECT rowid FROM docs WHERE docs MATCH ? ORDER BY round(bm25(docs), 6), rowid LIMIT ?"
        with self._lock:
            rows = self._database.execute(statement, (query, limit)).fetchall()
        return tuple(self._ids[position] for (position,) in rows)

    def close(self) -> None:
        """Free the index."""
        self._database.close()
