"""Which line of a cache of keys and values belongs to which dialogue, and what it holds."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

from cmat_env.policies.decode import KVStore
from cmat_env.types import Dialogue


@dataclass(slots=True)
class Line:
    """A dialogue's line of a KVStore, the ids whose keys and values it holds, and what gives it back."""

    number: int
    give_back: weakref.finalize[..., Dialogue]
    token_ids: list[int] = field(default_factory=list)

    def fed(self, wanted: list[int]) -> int:
        """How many of the wanted ids need not be fed again: those that it begins with, but never the last one."""
        cached, most = self.token_ids, min(len(self.token_ids), len(wanted) - 1)
        if cached[:most] == wanted[:most]:
            return most
        return next(index for index in range(most) if cached[index] != wanted[index])


class Lines:
    """The lines of dialogues; each is given back by `release`, or when its dialogue is no more."""

    def __init__(self) -> None:
        self._lines: weakref.WeakKeyDictionary[Dialogue, Line] = weakref.WeakKeyDictionary()

    def of(self, dialogue: Dialogue, store: KVStore) -> Line:
        """A dialogue's line, taken from the store if it has none yet."""
        if dialogue not in self._lines:
            number = store.take()
            self._lines[dialogue] = Line(number, weakref.finalize(dialogue, _give_back, weakref.ref(store), number))
        return self._lines[dialogue]

    def release(self, dialogues: Sequence[Dialogue]) -> None:
        """The dialogues are over: their lines may be used again."""
        for dialogue in dialogues:
            line = self._lines.pop(dialogue, None)
            if line:
                line.give_back()


def _give_back(store: weakref.ref[KVStore], line: int) -> None:
    """The line is free, if its store is still in use."""
    known = store()
    if known is not None:
        known.give_back(line)
