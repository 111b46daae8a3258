"""Long-term memory: reflections and experiences in one SQLite file, found again by words, recency and usefulness.

    memory = LongTermMemory("memory.sqlite")
    memory.add([NewMemory("assistant", "cmat/DB-v0", "Quote names that hold a space.", cue=statement)])
    memory.recall("assistant", "cmat/DB-v0", statement)

Every write is one transaction in a write-ahead log: any number of threads and processes may share a file, and a
process that is killed leaves whole writes behind and no others. Time is counted in episodes by the file itself
(`tick`), so that nothing depends on the hour; any other clock can be given, and then always must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cmat_env.agents.memory_entry import MemoryEntry, NewMemory
from cmat_env.agents.memory_rules import MemorySettings, clipped, compressed, query_of, scaled, worth
from cmat_env.agents.memory_table import Key, MemoryTable, Vector
from cmat_env.agents.memory_vectors import Embed, Vectors
from cmat_env.closing import Closing
from cmat_env.errors import ConfigError

__all__ = ["SHARED", "Embed", "LongTermMemory", "MemoryEntry", "NewMemory"]

SHARED = "shared"
"""The namespace of those who name none."""
_CANDIDATES = 64
_LONGEST_CUE = 2000


class LongTermMemory(Closing):
    """A file of memories, seen from one namespace: what is written in another cannot be recalled here.

    Args:
        path: the file, made if missing, with its folder; ":memory:" = one of this object alone.
        settings: how it keeps and finds.
        namespace: who shares what is written.
        clock: the time, in any unit; None = the number of episodes that this namespace has counted with `tick`.
        embed: texts to vectors, always the same ones; then likeness is their cosine instead of shared words. What was
            written without it is embedded when it is first looked through.
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
        self._vectors = Vectors(embed) if embed else None
        self._table = MemoryTable(self.path, read_only=read_only)

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The time.

        Raises:
            ConfigError: this namespace is kept by another clock, so that ages would be wrong.
        """
        other = self.other_clock(self.namespace)
        if other is not None and other != (self._clock is not None):
            kept, wanted = ("a clock of its own", "the same clock=") if other else ("episodes", "no clock=")
            raise ConfigError(f"{self.path}: namespace {self.namespace!r} is kept by {kept}; give {wanted}")
        return float(self._clock()) if self._clock else float(self.episodes())

    def other_clock(self, namespace: str) -> bool | None:
        """Is a namespace kept by another clock than its episodes? None where nothing was written yet."""
        return self._table.other_clock(namespace)

    def episodes(self, namespace: str | None = None) -> int:
        """How many episodes were counted in a namespace, by default this one."""
        return self._table.episodes(namespace or self.namespace)

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
        key = self._key(role, family)
        with self._table.lock:
            likeness = self._likeness(key, about)
            found = self._table.of_key(key, "ORDER BY used DESC, id DESC LIMIT ?", (_CANDIDATES,))
            others = sorted(likeness.keys() - {entry.id for entry in found})
            found += self._table.select(f"WHERE id IN ({','.join('?' * len(others))})", others)
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
        return self._table.select(f"WHERE {condition} ORDER BY id", tuple(wanted.values()))

    def get(self, number: int) -> MemoryEntry | None:
        """The memory of this id, in whatever namespace."""
        return next(iter(self._table.select("WHERE id=?", (number,))), None)

    def __len__(self) -> int:
        """How many this namespace has."""
        return self._table.count(self.namespace)

    # -- writing -------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes of the block together, or none of them; nobody else writes meanwhile.

        Raises:
            LogError: they cannot be written, such as to a full disk; what was there is whole.
            ConfigError: it was opened to be read only.
        """
        with self._table.transaction():
            self._table.settle_clock(self.namespace, other=self._clock is not None)
            yield

    def tick(self, episodes: int = 1) -> None:
        """Count episodes: the time of this namespace, unless another clock was given."""
        with self.transaction():
            self._table.tick(self.namespace, episodes)

    def add(self, memories: Iterable[NewMemory]) -> list[int]:
        """Remember; returns the ids.

        A text that this role has for the family already is not kept twice: it is fresh again, belongs to the newer task
        with its cue and outcome, and is stronger where it has helped. Beyond the capacity what is retained least goes.
        """
        numbers, keys = [], set()
        with self.transaction():
            now = self.now
            for new in memories:
                text = clipped(new.text, self.settings.longest)
                if not text:
                    continue
                keys.add(key := self._key(new.role, new.family))
                same = self._table.of_key(key, "AND text=?", (text,))
                numbers.append(self._again(same[0], new, now) if same else self._insert(new, text, now))
            for key in keys:
                self._table.trim(key, self.settings.capacity, now=now)
        return numbers

    def reinforce(self, numbers: Iterable[int], *, helped: bool) -> None:
        """Mark what was recalled for an episode: it is fresh again, and stronger where the episode was a success."""
        grown = 1 + self.settings.growth if helped else 1.0
        with self.transaction():
            self._table.mark_used(numbers, now=self.now, helped=helped, grown=grown, strongest=self.settings.strongest)

    def consolidate(self) -> None:
        """Forget, shorten, and keep the bound: what SAGE does with two thresholds, once over this namespace."""
        with self.transaction():
            now, rule = self.now, self.settings
            for entry in self._table.select("WHERE namespace=? ORDER BY id", (self.namespace,)):
                left = entry.retention(now)
                if left < rule.forget_below:
                    self._table.delete([entry.id])
                elif left < rule.compress_below and not entry.compressed:
                    self._compress(entry)
            for key in self._table.keys(self.namespace):
                self._table.trim(key, rule.capacity, now=now)

    def forget(self, numbers: Iterable[int]) -> int:
        """Remove memories by id, in whatever namespace; returns how many there were."""
        with self._table.transaction():
            return self._table.delete(list(numbers))

    # -- the state of a run --------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that this namespace holds, in plain values."""
        return self._table.dump(self.namespace)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`: whatever was written since is gone."""
        self._table.load(self.namespace, state)

    def copy_to(self, path: Path | str) -> None:
        """Write all namespaces, as they are now, into another file."""
        self._table.copy_to(str(path))

    def close(self) -> None:
        """Close the file; twice is fine."""
        self._table.close()

    # -- within --------------------------------------------------------------------------------------------------

    def _key(self, role: str, family: str) -> Key:
        return self.namespace, role, family

    def _likeness(self, key: Key, about: str) -> dict[int, float]:
        """By id, in [0, 1]: how like a text the memories of a role are, the best ones."""
        best = self._cosines(key, about, self._vectors) if self._vectors else self._matches(key, about)
        return dict(zip((number for number, _ in best), scaled([value for _, value in best]), strict=True))

    def _matches(self, key: Key, about: str) -> list[tuple[int, float]]:
        query = query_of(about)
        return self._table.matches(key, query, _CANDIDATES) if query else []

    def _cosines(self, key: Key, about: str, vectors: Vectors) -> list[tuple[int, float]]:
        asked = vectors.of([about])[0]
        known = {number: each for number, each in self._table.vectors(key).items() if len(each) == len(asked)}
        blank = [entry for entry in self._table.of_key(key) if entry.id not in known]
        if blank:  # written without an embedding, or with another one
            added = vectors.of_entries(blank)
            if not self.read_only:
                with self.transaction():
                    self._table.set_vectors(added)
            known |= added
        alike = [(number, float(vector @ asked)) for number, vector in known.items()]
        return sorted(alike, key=lambda pair: (-pair[1], -pair[0]))[:_CANDIDATES]

    def _insert(self, new: NewMemory, text: str, now: float) -> int:
        entry = MemoryEntry(
            id=0, namespace=self.namespace, role=new.role, family=new.family, text=text,
            cue=clipped(new.cue, _LONGEST_CUE), outcome=new.outcome, task=new.task, kind=new.kind,
            strength=self.settings.strength, made=now, used=now, uses=new.uses, helped=new.helped, compressed=False,
        )  # fmt: skip
        return self._table.insert(entry, self._vector_of(entry))

    def _again(self, old: MemoryEntry, new: NewMemory, now: float) -> int:
        grown = 1 + self.settings.growth if new.helped else 1.0
        newer = replace(
            old, cue=clipped(new.cue, _LONGEST_CUE), outcome=new.outcome, task=new.task, used=now,
            uses=old.uses + new.uses, helped=old.helped + new.helped,
            strength=min(old.strength * grown, self.settings.strongest),
        )  # fmt: skip
        self._table.update(newer, self._vector_of(newer))
        return old.id

    def _vector_of(self, entry: MemoryEntry) -> Vector | None:
        return next(iter(self._vectors.of_entries([entry]).values())) if self._vectors else None

    def _compress(self, entry: MemoryEntry) -> None:
        """Shorten a memory; one of the same words, if there is one, is taken in."""
        rule = self.settings
        text = compressed(entry.text, rule.compressed_length)
        twins = self._table.of_key(self._key(entry.role, entry.family), "AND text=? AND id<?", (text, entry.id))
        uses = entry.uses + sum(twin.uses for twin in twins)
        helped = entry.helped + sum(twin.helped for twin in twins)
        strength = min(
            max([entry.strength, *(t.strength for t in twins)]) * (1 + rule.compressed_growth), rule.strongest
        )
        shorter = replace(entry, text=text, uses=uses, helped=helped, strength=strength, compressed=True)
        self._table.delete([twin.id for twin in twins])
        self._table.update(shorter, self._vector_of(shorter))


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
