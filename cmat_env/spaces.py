"""The space of what language-model agents read and write: any string up to a length."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from gymnasium.spaces import Text

_TABLES = "_char_"
_DRAWS = 16
_LIMIT = 1 << 30

_WORDS: Sequence[str] = (
    "the", "row", "table", "name", "price", "city", "year", "what", "is", "list", "file", "count", "largest",
    "select", "from", "where", "page", "click", "and", "not", "café", "3", "17", "2024", "0.5", "it's",
)  # fmt: skip
_TEMPLATES: Sequence[str] = (
    "{} {} {} {}",
    "{} {}? {} {} {}.",
    "Answer: {}",
    "Answer: {} {}",
    "Verdict: approve",
    "Verdict: revise. {} {} {}",
    "SELECT {} FROM {} WHERE {} = '{}'",
    "SELECT COUNT(*) FROM `{}`;",
    "Action: Operation\n```sql\nUPDATE {} SET {} = {};\n```",
    "Act: bash\n```bash\nls -l {} | grep {}\n```",
    "click [{}]",
    "{}",
)


@lru_cache(maxsize=1)
def _tables() -> dict[str, Any]:
    """The character tables of the base class, which every AnyText has alike and no pickle needs to carry."""
    return {name: table for name, table in vars(AnyText(0)).items() if name.startswith(_TABLES)}


class AnyText(Text):
    """Every string of at most `max_length` characters, whatever the characters are.

    Gymnasium's own `Text` contains only strings over a listed alphabet, by default without a space. Samples of this
    one are plausible messages (words, SQL, shell commands, verdicts), drawn from the space's own generator alone.

    The length counts characters, not tokens. Text cannot live in the shared memory of
    `gymnasium.vector.AsyncVectorEnv`: give that `shared_memory=False`.

    Args:
        max_length: characters, inclusive.
        min_length: characters, inclusive.
        seed: of the generator that samples.
    """

    def __init__(
        self, max_length: int = 100_000, *, min_length: int = 0, seed: int | np.random.Generator | None = None
    ) -> None:
        super().__init__(max_length, min_length=min_length, charset=string.printable, seed=seed)

    def contains(self, x: Any) -> bool:
        """Is `x` a string of a legal length?"""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """Draw a plausible message.

        Args:
            mask: as for `gymnasium.spaces.Text`, over the printable ASCII characters; then the text is line noise.
            probability: likewise.
        """
        if mask is not None or probability is not None:
            return super().sample(mask, probability)
        draws: list[int] = self.np_random.integers(_LIMIT, size=_DRAWS).tolist()
        template = _TEMPLATES[draws[0] % len(_TEMPLATES)]
        text = template.format(*(_WORDS[draw % len(_WORDS)] for draw in draws[1:8]))
        while len(text) < self.min_length:
            text = f"{text} {text}"
        if len(text) > self.max_length:
            text = text[: self.min_length + draws[8] % (self.max_length - self.min_length + 1)]
        return text

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """A batch of strings as JSON has them."""
        return [str(text) for text in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """A batch of strings from JSON."""
        return [str(text) for text in sample_n]

    @property
    def is_np_flattenable(self) -> bool:
        """No array of a fixed length and alphabet holds every text."""
        return False

    def __repr__(self) -> str:
        least = f", min_length={self.min_length}" if self.min_length else ""
        return f"AnyText({self.max_length}{least})"

    def __eq__(self, other: object, /) -> bool:
        return (
            isinstance(other, AnyText) and self.min_length == other.min_length and self.max_length == other.max_length
        )

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith(_TABLES)}

    def __setstate__(self, state: Any) -> None:
        super().__setstate__({**_tables(), **dict(state)})
