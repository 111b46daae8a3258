"""Vectors of what is remembered, by any embedding that the user brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cmat_env.agents.memory_entry import MemoryEntry
from cmat_env.agents.memory_table import Vector
from cmat_env.errors import ConfigError

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Texts -> a vector each, all of one length."""


class Vectors:
    """Unit vectors of texts.

    Args:
        embed: texts to vectors.
    """

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._known: dict[int, tuple[str, Vector]] = {}

    def of(self, texts: Sequence[str]) -> list[Vector]:
        """A vector for each text."""
        vectors = [np.asarray(vector, dtype=np.float32) for vector in self._embed(texts)]
        if len(vectors) != len(texts) or any(vector.ndim != 1 for vector in vectors):
            raise ConfigError(f"embed gave {len(vectors)} vectors for {len(texts)} texts; wanted a flat one for each")
        return [vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors]

    def of_entries(self, entries: Sequence[MemoryEntry]) -> dict[int, Vector]:
        """By id, the vectors of memories, of their text and cue; each is asked for once."""
        texts = {entry.id: f"{entry.text} {entry.cue}".strip() for entry in entries}
        new = [number for number, text in texts.items() if self._known.get(number, ("",))[0] != text]
        if new:
            found = self.of([texts[number] for number in new])
            self._known |= {number: (texts[number], vector) for number, vector in zip(new, found, strict=True)}
        return {number: self._known[number][1] for number in texts}
