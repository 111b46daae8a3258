"""Answers of endpoints, kept on disk: what has been paid for once is not asked for again, also after a crash."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmat_env.errors import ConfigError

_WAIT = 60.0
_TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID"


def default_path() -> Path:
    """Where answers are kept unless somebody says otherwise: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cmat-env" / "answers.sqlite"


def key_of(url: str, body: Mapping[str, Any], stream: str) -> str:
    """The name of an answer: all that it depends on.

    Args:
        url: asked.
        body: of the request: model, messages, and every setting.
        stream: which of the answers to the same request; "" where they are all alike.
    """
    whole = json.dumps([url, body, stream], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()


class AnswerCache:
    """A SQLite file of answers, for any number of threads and processes.

    An answer is on the disk when `put` returns. Requests and keys are not: an answer's name is a hash.

    Args:
        path: of the file; it and its folder are made where they are missing.

    Raises:
        ConfigError: it cannot be opened, or is no such file.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=FULL")
            self._file.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the answer cache {self.path} cannot be opened ({error}); choose another file"
            ) from error

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer of this name, if there is one."""
        with self._lock:
            row = self._file.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep an answer; the first one of a name stays."""
        text = json.dumps(answer, separators=(",", ":"))
        with self._lock:
            self._file.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, text))

    def close(self) -> None:
        """Close the file; twice is fine."""
        with self._lock:
            self._file.close()
