"""The arithmetic of long-term memory: how a memory fades, what brings it back, and how it is shortened.

Sources: the forgetting curve with a strength and two thresholds, SAGE (arXiv:2409.00872, section on memory); a mix of
relevance, recency and worth, Park et al. 2023 (arXiv:2304.03442, section 4.1). Weights, growth and worth are ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from cmat_env.errors import ConfigError

_SENTENCE = re.compile(r"(?s)(.*?[.!?])(?:\s|$)")
_WORD = re.compile(r"[^\W_]\w*")
_MOST_WORDS = 64


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """How long-term memory keeps and finds.

    Attributes:
        recall: most memories that a role is given for an episode; 0 = none.
        relevance: weight of likeness to the new task in what is recalled.
        recency: weight of retention.
        worth: weight of past usefulness.
        strength: of a new memory, in units of the clock (episodes, unless another clock is given).
        growth: the strength is multiplied by 1 + growth when a memory was recalled and the episode was a success.
        strongest: no strength grows beyond this.
        compress_below: a memory whose retention is below this is shortened; SAGE's first threshold.
        forget_below: one below this is forgotten; SAGE's second.
        compressed_growth: the strength is multiplied by 1 + this once, when a memory is shortened.
        compressed_length: characters of a shortened memory at most.
        longest: characters of any memory at most.
        capacity: memories of one role, task family and namespace at most.
    """

    recall: int = 4
    relevance: float = 1.0
    recency: float = 0.5
    worth: float = 0.5
    strength: float = 200.0
    growth: float = 0.5
    strongest: float = 10_000.0
    compress_below: float = 0.5
    forget_below: float = 0.1
    compressed_growth: float = 0.5
    compressed_length: int = 120
    longest: int = 400
    capacity: int = 500

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise ConfigError(f"memory {field.name}={value!r} must be a number of at least 0")
        for name in ("strength", "strongest", "compressed_length", "longest", "capacity"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"memory {name}={getattr(self, name)} must be above 0")
        if not self.forget_below <= self.compress_below <= 1:
            raise ConfigError(
                f"memory forget_below={self.forget_below} and compress_below={self.compress_below} must be in order, "
                "and at most 1"
            )


def retention(age: float, strength: float) -> float:
    """How much of a memory is left, in (0, 1]: exp(-age / strength).

    Source: SAGE, arXiv:2409.00872 (R = exp(-tau / S), after Ebbinghaus).
    """
    return math.exp(-max(0.0, age) / strength)


def worth(helped: int, uses: int) -> float:
    """The expected share of successes among the episodes that recall a memory, from a uniform prior.

    Source: Laplace's rule of succession; ours here.
    """
    return (helped + 1) / (uses + 2)


def compressed(text: str, length: int) -> str:
    """The first sentence, cut to a length; what SAGE lets a language model do is done by rule here."""
    first = _SENTENCE.match(text.strip())
    return clipped(first[1] if first else text, length)


def clipped(text: str, length: int) -> str:
    """The text in one line, with an ellipsis where it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: max(0, length - 1)].rstrip() + "…"


def query_of(text: str) -> str:
    """A full-text query that finds whatever shares a word with a text; empty if it has none. No text is its syntax."""
    found = dict.fromkeys(word.lower() for word in _WORD.findall(text))
    return " OR ".join(f'"{word}"' for word in list(found)[:_MOST_WORDS])


def scaled(values: Sequence[float]) -> list[float]:
    """The values as shares of the largest; nothing is relevant where none is above 0."""
    top = max(values, default=0.0)
    return [max(0.0, value) / top if top > 0 else 0.0 for value in values]
