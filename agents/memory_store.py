"""Long-term memory: reflections and experiences in one SQLite file, found again by words, recency and usefulness.

    memory = LongTermMemory("memory.sqlite")
    memory.add([NewMemory("assistant", "cmat/DB-v0", "Quote names that hold a space.", cue=statement)])
    memory.recall("assistant", "cmat/DB-v0", statement)

Every write is one transaction in a write-ahead log: any number of threads and processes may share a file, and a
process that is killed leaves whole writes behind and no others. Time is counted in episodes by the file itself
(`tick`), so that nothing depends on the hour; any other clock can be given.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cmat_env.agents.memory_entry import MemoryEntry, NewMemory
from cmat_env.agents.memory_file import open_file
from cmat_env.agents.memory_rules import MemorySettings, clipped, compressed, query_of, scaled, worth
from cmat_env.errors import ConfigError, LogError

__all__ = ["SHARED", "Embed", "LongTermMemory", "MemoryEntry", "NewMemory"]

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Texts -> a vector each, all of one length."""
Vector = npt.NDArray[np.float32]

SHARED = "shared"
"""The namespace of those who name none."""
_CANDIDATES = 64
_COLUMNS = (
    "id", "namespace", "role", "family", "text", "cue", "outcome", "task", "kind", "strength", "made", "used", "uses",
    "helped", "compressed",
)  # fmt: skip


class LongTermMemory:
    """A file of memories, seen from one namespace: what is written in another cannot be recalled here.

    Args:
        path: the file, made if missing, with its folder; ":memory:" = one of this object alone.
        settings: how it keeps and finds.
        namespace: who shares what is written.
        clock: the time, in any unit; None = the number of episodes that this namespace has counted with `tick`.
        embed: texts to vectors; then likeness is their cosine instead of shared words.
        read_only: nothing can be written; the file must exist.

    Raises:
        ConfigError: the file cannot be opened, or is none of ours.
    """

    def __init__(
        self,
        path: Path | str,
        settings: MemorySettings | None = None,
        *,
        namespace: str = SHARED,
        clock: Callable[[], float] | None = None,
        embed: Embed | None = None,
        read_only: bool = False,
    ) -> None:
        self.path = str(path)
        self.settings = settings or MemorySettings()
        self.namespace = namespace
        self.read_only = read_only
        self._clock = clock
        self._embed = embed
        self._lock = threading.RLock()
        try:
            self._connection = open_file(self.path, read_only=read_only)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{self.path} cannot be opened as a memory: {error}; choose another file") from error
        self._process = os.getpid()
        self._inherited: list[sqlite3.Connection] = []

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The time."""
        return float(self._clock()) if self._clock else float(self.episodes())

    def episodes(self, namespace: str | None = None) -> int:
        """How many episodes were counted in a namespace, by default this one."""
        with self._lock:
            row = (
                self._here()
                .execute("SELECT episodes FROM clock WHERE namespace=?", (namespace or self.namespace,))
                .fetchone()
            )
        return int(row[0]) if row else 0

    def recall(self, role: str, family: str, about: str, *, most: int | None = None) -> list[MemoryEntry]:
        """What comes to mind of a task, best first. Nothing is marked: see `reinforce`.

        The score is relevance * likeness + recency * retention + worth * (helped + 1) / (uses + 2); likeness is bm25,
        or the cosine of vectors, as a share of the best. Where two are alike the later one wins. Of reflections and
        of experiences there is at most half each, rounded up, as long as there are others: whoever succeeds often
        writes more experiences than it can be told.

        Args:
            role: whose memory.
            family: of the task.
            about: what likeness is measured to, such as the statement of the task.
            most: how many; by default the setting.
        """
        count = self.settings.recall if most is None else most
        if count <= 0:
            return []
        with self._lock:
            likeness = self._likeness(role, family, about)
            chosen = self._key(role, family)
            recent = self._select("WHERE namespace=? AND role=? AND family=? ORDER BY used DESC, id DESC LIMIT ?",
                                  (*chosen, _CANDIDATES))  # fmt: skip
            known = {entry.id for entry in recent}
            others = [number for number in likeness if number not in known]
            marks = ",".join("?" * len(others))
            found = recent + (self._select(f"WHERE id IN ({marks})", others) if others else [])
            now = self.now
        mix = self.settings
        scores = {
            entry.id: mix.relevance * likeness.get(entry.id, 0.0)
            + mix.recency * entry.retention(now)
            + mix.worth * worth(entry.helped, entry.uses)
            for entry in found
        }
        return _mixed(sorted(found, key=lambda entry: (-scores[entry.id], -entry.id)), count)

    def entries(
        self, *, role: str | None = None, family: str | None = None, namespace: str | None = None
    ) -> list[MemoryEntry]:
        """All memories by id, also those of other namespaces; of one role, family or namespace where it is given."""
        given = {"role": role, "family": family, "namespace": namespace}
        wanted = {name: value for name, value in given.items() if value is not None}
        condition = " AND ".join(f"{name}=?" for name in wanted) or "1"
        with self._lock:
            return self._select(f"WHERE {condition} ORDER BY id", tuple(wanted.values()))

    def get(self, number: int) -> MemoryEntry | None:
        """The memory of this id, in whatever namespace."""
        with self._lock:
            return next(iter(self._select("WHERE id=?", (number,))), None)

    def __len__(self) -> int:
        """How many this namespace has."""
        with self._lock:
            row = self._here().execute("SELECT count(*) FROM memory WHERE namespace=?", (self.namespace,)).fetchone()
            return int(row[0])

    # -- writing -------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes of the block together, or none of them; nobody else writes meanwhile.

        Raises:
            LogError: they cannot be written, such as to a full disk; what was there is whole.
        """
        if self.read_only:
            raise ConfigError(f"the memory {self.path} was opened to be read only")
        with self._lock:
            connection = self._here()
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

    def tick(self, episodes: int = 1) -> None:
        """Count episodes: the time of this namespace, unless another clock was given."""
        with self.transaction():
            self._here().execute(
                "INSERT INTO clock VALUES (?, ?) ON CONFLICT DO UPDATE SET episodes = episodes + excluded.episodes",
                (self.namespace, episodes),
            )

    def add(self, memories: Iterable[NewMemory]) -> list[int]:
        """Remember; returns the ids. A text that this role has for the family already is made stronger instead."""
        numbers = []
        with self.transaction():
            now = self.now
            for new in memories:
                text = clipped(new.text, self.settings.longest)
                if not text:
                    continue
                same = self._select("WHERE namespace=? AND role=? AND family=? AND text=?",
                                    (*self._key(new.role, new.family), text))  # fmt: skip
                numbers.append(self._again(same[0], new, now) if same else self._insert(new, text, now))
        return numbers

    def reinforce(self, numbers: Iterable[int], *, helped: bool) -> None:
        """Mark what was recalled for an episode: it is fresh again, and stronger where the episode was a success."""
        grown = 1 + self.settings.growth if helped else 1.0
        with self.transaction():
            now = self.now
            self._here().executemany(
                "UPDATE memory SET used=?, uses=uses+1, helped=helped+?, strength=min(strength*?, ?) WHERE id=?",
                [(now, int(helped), grown, self.settings.strongest, number) for number in numbers],
            )

    def consolidate(self) -> None:
        """Forget, shorten, and keep the bound: what SAGE does with two thresholds, once over this namespace."""
        with self.transaction():
            now, rule = self.now, self.settings
            for entry in self._select("WHERE namespace=? ORDER BY id", (self.namespace,)):
                left = entry.retention(now)
                if left < rule.forget_below:
                    self._delete([entry.id])
                elif left < rule.compress_below and not entry.compressed:
                    self._compress(entry)
            kept: dict[tuple[str, str], list[MemoryEntry]] = {}
            for entry in self._select("WHERE namespace=?", (self.namespace,)):
                kept.setdefault((entry.role, entry.family), []).append(entry)
            for entries in kept.values():
                best = sorted(entries, key=lambda entry: (-entry.retention(now), -entry.id))
                self._delete([entry.id for entry in best[rule.capacity :]])

    def forget(self, numbers: Iterable[int]) -> int:
        """Remove memories by id, in whatever namespace; returns how many there were."""
        with self.transaction():
            return self._delete(list(numbers))

    # -- the state of a run --------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that this namespace holds, in plain values."""
        with self._lock:
            columns = ", ".join(_COLUMNS)
            rows = self._here().execute(
                f"SELECT {columns}, vector FROM memory WHERE namespace=? ORDER BY id", (self.namespace,)
            )
            kept = [[*row[:-1], None if row[-1] is None else _vector(row[-1]).tolist()] for row in rows]
            last = self._here().execute("SELECT seq FROM sqlite_sequence WHERE name='memory'").fetchone()
            return {"episodes": self.episodes(), "last": last[0] if last else 0, "entries": kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`: whatever was written since is gone."""
        marks = ",".join("?" * (len(_COLUMNS) + 1))
        with self.transaction():
            connection = self._here()
            connection.execute("DELETE FROM memory WHERE namespace=?", (self.namespace,))
            connection.executemany(
                f"INSERT INTO memory ({', '.join(_COLUMNS)}, vector) VALUES ({marks})",
                [[*row[:-1], None if row[-1] is None else _blob(row[-1])] for row in state["entries"]],
            )
            connection.execute(
                "UPDATE sqlite_sequence SET seq=max(?, (SELECT ifnull(max(id), 0) FROM memory)) WHERE name='memory'",
                (state["last"],),
            )
            connection.execute("INSERT OR REPLACE INTO clock VALUES (?, ?)", (self.namespace, state["episodes"]))

    def close(self) -> None:
        """Close the file; twice is fine."""
        with self._lock:
            if self._process == os.getpid():
                self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- within --------------------------------------------------------------------------------------------------

    def _here(self) -> sqlite3.Connection:
        """The connection; in a process that was forked, one of its own."""
        if self._process != os.getpid():
            self._inherited.append(self._connection)  # SQLite: it must be neither used nor closed here
            self._connection, self._process = open_file(self.path, read_only=self.read_only), os.getpid()
        return self._connection

    def _key(self, role: str, family: str) -> tuple[str, str, str]:
        return self.namespace, role, family

    def _select(self, rest: str, values: Sequence[object]) -> list[MemoryEntry]:
        rows = self._here().execute(f"SELECT {', '.join(_COLUMNS)} FROM memory {rest}", tuple(values))
        return [MemoryEntry(*(*row[:-1], bool(row[-1]))) for row in rows]

    def _likeness(self, role: str, family: str, about: str) -> dict[int, float]:
        """By id, in [0, 1]: how like a text the memories of a role are, the best ones."""
        if self._embed is not None:
            return self._cosines(role, family, about)
        query = query_of(about)
        if not query:
            return {}
        rows = (
            self._here()
            .execute(
                "SELECT memory.id, -bm25(words) FROM words JOIN memory ON memory.id = words.rowid WHERE words MATCH ? "
                "AND namespace=? AND role=? AND family=? ORDER BY bm25(words), memory.id DESC LIMIT ?",
                (query, *self._key(role, family), _CANDIDATES),
            )
            .fetchall()
        )
        return dict(zip((row[0] for row in rows), scaled([row[1] for row in rows]), strict=True))

    def _cosines(self, role: str, family: str, about: str) -> dict[int, float]:
        rows = self._here().execute(
            "SELECT id, vector FROM memory WHERE namespace=? AND role=? AND family=? AND vector IS NOT NULL",
            self._key(role, family),
        )
        found = [(number, _vector(blob)) for number, blob in rows]
        asked = self._vectors([about])[0]
        alike = [(number, float(vector @ asked)) for number, vector in found if len(vector) == len(asked)]
        best = sorted(alike, key=lambda pair: (-pair[1], -pair[0]))[:_CANDIDATES]
        return dict(zip((number for number, _ in best), scaled([value for _, value in best]), strict=True))

    def _vectors(self, texts: Sequence[str]) -> list[Vector]:
        """Unit vectors."""
        assert self._embed is not None
        vectors = [np.asarray(vector, dtype=np.float32) for vector in self._embed(texts)]
        if len(vectors) != len(texts) or any(vector.ndim != 1 for vector in vectors):
            raise ConfigError(f"embed gave {len(vectors)} vectors for {len(texts)} texts; wanted a flat one for each")
        return [vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors]

    def _insert(self, new: NewMemory, text: str, now: float) -> int:
        cue = clipped(new.cue, 2000)
        vector = _blob(self._vectors([f"{text} {cue}".strip()])[0]) if self._embed else None
        key, names = self._key(new.role, new.family), ", ".join(_COLUMNS[1:])
        values = (*key, text, cue, new.outcome, new.task, new.kind, self.settings.strength, now, now, new.uses,
                  new.helped, 0, vector)  # fmt: skip
        marks = ",".join("?" * len(values))
        number = self._here().execute(f"INSERT INTO memory ({names}, vector) VALUES ({marks})", values).lastrowid
        assert number is not None
        return number

    def _again(self, old: MemoryEntry, new: NewMemory, now: float) -> int:
        grown = replace(
            old, used=now, uses=old.uses + new.uses, helped=old.helped + new.helped, outcome=new.outcome, task=new.task,
            strength=min(old.strength * (1 + self.settings.growth), self.settings.strongest),
        )  # fmt: skip
        self._update(grown)
        return old.id

    def _compress(self, entry: MemoryEntry) -> None:
        """Shorten a memory; one of the same words, if there is one, is taken in."""
        rule = self.settings
        text = compressed(entry.text, rule.compressed_length)
        twins = self._select(
            "WHERE namespace=? AND role=? AND family=? AND text=? AND id<?",
            (*self._key(entry.role, entry.family), text, entry.id),
        )
        uses = entry.uses + sum(twin.uses for twin in twins)
        helped = entry.helped + sum(twin.helped for twin in twins)
        strength = min(
            max([entry.strength, *(t.strength for t in twins)]) * (1 + rule.compressed_growth), rule.strongest
        )
        shorter = replace(entry, text=text, uses=uses, helped=helped, strength=strength, compressed=True)
        self._delete([twin.id for twin in twins])
        self._update(shorter)

    def _update(self, entry: MemoryEntry) -> None:
        self._here().execute(
            "UPDATE memory SET text=?, outcome=?, task=?, strength=?, used=?, uses=?, helped=?, compressed=? "
            "WHERE id=?",
            (entry.text, entry.outcome, entry.task, entry.strength, entry.used, entry.uses, entry.helped,
             int(entry.compressed), entry.id),
        )  # fmt: skip

    def _delete(self, numbers: Sequence[int]) -> int:
        connection = self._here()
        return sum(connection.execute("DELETE FROM memory WHERE id=?", (number,)).rowcount for number in numbers)


def _mixed(ranked: Sequence[MemoryEntry], count: int) -> list[MemoryEntry]:
    """The first ones, of which no kind has more than half while there are others; in order."""
    most = -(-count // 2)
    of_kind: dict[str, int] = {}
    chosen: list[int] = []
    spare: list[int] = []
    for place, entry in enumerate(ranked):
        of_kind[entry.kind] = of_kind.get(entry.kind, 0) + 1
        (chosen if of_kind[entry.kind] <= most else spare).append(place)
    taken = sorted((chosen + spare)[:count]) if len(chosen) < count else chosen[:count]
    return [ranked[place] for place in taken]


def _vector(blob: bytes) -> Vector:
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)


def _blob(vector: Vector | Sequence[float]) -> bytes:
    return np.asarray(vector, dtype="<f4").tobytes()
