"""Text as a vector of a fixed length, for learners that read arrays: hashed words, and how two texts overlap.

Source: Weinberger et al. 2009, "Feature hashing for large scale multitask learning", arXiv:0902.2206.
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmat_env.checks import check_whole
from cmat_env.types import Dialogue

_WORD = re.compile(r"\w+|[^\w\s]")
_MORE = 4  # numbers of a choice besides its hashed words
_LONGEST = 4000
Vector = Any


@dataclass(frozen=True, slots=True)
class MenuFeatures:
    """What a learner sees of a dialogue and of the choices that it has.

    Beside each other: the task's statement and the latest message, hashed to `context` numbers each; then for every
    choice its words, hashed to `choice` numbers, three numbers on how it overlaps with the statement (words that every
    choice has do not count), and one that is 1 if the role has said it before. All numbers are in [-1, 1].

    Attributes:
        context: numbers for each of the two messages.
        choice: numbers for each choice, besides the four.
        size: choices that there may be.

    Raises:
        ConfigError: one of them is not a whole number above 0.
    """

    context: int = 128
    choice: int = 32
    size: int = 4

    def __post_init__(self) -> None:
        for name in ("context", "choice", "size"):
            check_whole(name, getattr(self, name))

    @property
    def length(self) -> int:
        """Numbers in all."""
        return 2 * self.context + self.size * (self.choice + _MORE)

    def of(self, dialogue: Dialogue, choices: Sequence[str]) -> Vector:
        """The vector.

        Shapes: (length,) float32.
        """
        heard = [each.content for each in dialogue.messages if each.speaker != "system"] or [""]
        parts = [hashed(heard[0], self.context), hashed(heard[-1], self.context)]
        stated = set(words_of(heard[0]))
        said = {each.content for each in dialogue.messages if each.speaker == dialogue.role}
        words = [words_of(choice) for choice in choices[: self.size]]
        common = set[str]().union(*words).intersection(*words) if len(words) > 1 else set[str]()
        for choice, known in zip(choices, words, strict=False):
            own = [word for word in known if word not in common]
            before = np.array([choice in said], dtype=np.float32)
            parts += [hashed(choice, self.choice), _overlap(own, stated), before]
        vector = np.zeros(self.length, dtype=np.float32)
        seen = np.concatenate(parts)
        vector[: len(seen)] = seen
        return vector


def words_of(text: str) -> list[str]:
    """Words and signs in lower case, of a text's first and last 2,000 characters."""
    short = text if len(text) <= _LONGEST else text[: _LONGEST // 2] + text[-_LONGEST // 2 :]
    return _WORD.findall(short.lower())


def hashed(text: str, size: int) -> Vector:
    """Words and pairs of words, each at a place and with a sign that its hash gives; of length 1, or all 0.

    Shapes: (size,) float32.
    """
    words = words_of(text)
    vector = np.zeros(size, dtype=np.float32)
    for feature in (*words, *(f"{one} {other}" for one, other in itertools.pairwise(words))):
        code = zlib.crc32(feature.encode("utf-8", "surrogatepass"))
        vector[(code >> 1) % size] += 1.0 if code & 1 else -1.0
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def _overlap(words: Sequence[str], stated: set[str]) -> Vector:
    """Which share of the choice was stated, which share of the statement it takes up, and how long it is."""
    own = set(words)
    common = len(own & stated)
    return np.array(
        [common / max(len(own), 1), common / max(len(stated), 1), min(math.log1p(len(words)) / 8.0, 1.0)],
        dtype=np.float32,
    )
