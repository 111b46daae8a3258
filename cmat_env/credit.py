"""What an update made of the tokens of one reply: written into an episode log, shown by `cmat replay --tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmat_env.log_fields import LineError, json_safe, take


@dataclass(frozen=True, slots=True)
class TokenCredit:
    """The tokens of one reply as a tuner saw them, each (T,).

    Attributes:
        advantages: how much more, or less, likely the update should make each token.
        ratios: probability of each token after the update, over that under which it was sampled.
        trained: True = the token was in the loss.

    Raises:
        ValueError: they differ in length.
    """

    advantages: tuple[float, ...]
    ratios: tuple[float, ...]
    trained: tuple[bool, ...]

    def __post_init__(self) -> None:
        if not len(self.advantages) == len(self.ratios) == len(self.trained):
            lengths = len(self.advantages), len(self.ratios), len(self.trained)
            raise ValueError(f"{lengths} advantages, ratios and trained; one of each a token")

    def line(self) -> dict[str, Any]:
        """As part of a step's line."""
        return {
            "advantages": json_safe(self.advantages),
            "ratios": json_safe(self.ratios),
            "trained": list(self.trained),
        }

    @classmethod
    def read(cls, line: object) -> TokenCredit:
        """The inverse of `line`.

        Raises:
            LineError: a field is missing or of another type.
        """
        if not isinstance(line, Mapping):
            raise LineError(f"field 'credit' must be an object, not {type(line).__name__}")
        advantages, ratios = (tuple(map(float, take(line, name, list))) for name in ("advantages", "ratios"))
        return cls(advantages, ratios, tuple(map(bool, take(line, "trained", list))))
