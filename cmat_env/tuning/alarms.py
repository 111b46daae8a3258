"""Early alarms: what in the latest metrics says that a run goes wrong, and what to do about it.

Bands are those of runs that were measured; see docs/tuning.md. A figure is the mean of the latest few iterations, so
that one noisy iteration rings no bell.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmat_env.errors import ConfigError

Row = Mapping[str, Any]
"""A line of metrics.jsonl."""


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """Where a figure of a role leaves its healthy band; 0 switches an alarm off.

    Attributes:
        window: iterations that are averaged.
        kl_per_sequence: above this many nats from the frozen base an episode, little recovers.
        length_growth: tokens a turn, over those of the first iterations.
        clip_fraction: above this share of clipped tokens, steps are too large.
        entropy_low: below this many nats a token, nothing is left to select from ...
        solved: ... unless this share of the episodes succeeds already.
        entropy_growth: entropy over that of the first iterations.
    """

    window: int = 3
    kl_per_sequence: float = 5.0
    length_growth: float = 1.5
    clip_fraction: float = 0.1
    entropy_low: float = 0.01
    solved: float = 0.9
    entropy_growth: float = 4.0

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ConfigError(f"window={self.window} must be at least 1")
        for item in dataclasses.fields(self):
            if getattr(self, item.name) < 0:
                raise ConfigError(f"{item.name}={getattr(self, item.name)} must not be negative; 0 = off")


@dataclass(frozen=True, slots=True)
class Alarm:
    """One figure of one role outside its band.

    Attributes:
        role: whose.
        figure: its name in metrics.jsonl.
        value: as compared with the limit.
        limit: of the band.
        text: what is wrong, and what to do.
    """

    role: str
    figure: str
    value: float
    limit: float
    text: str


def find(rows: Sequence[Row], settings: AlarmSettings) -> list[Alarm]:
    """The alarms of the latest of some iterations.

    Args:
        rows: of all iterations so far, in order.
        settings: the bands.
    """
    if not rows:
        return []
    return [alarm for role in rows[-1]["roles"] for alarm in _of_role(rows, role, settings)]


def _of_role(rows: Sequence[Row], role: str, bands: AlarmSettings) -> Iterator[Alarm]:
    kl = _latest(rows, role, "kl_per_sequence", bands.window)
    if bands.kl_per_sequence and kl > bands.kl_per_sequence:
        yield Alarm(role, "kl_per_sequence", kl, bands.kl_per_sequence,
                    f"{kl:.1f} nats an episode from the base, and little recovers from above "
                    f"{bands.kl_per_sequence:g}: lower tuner.learning_rate or tuner.kl_target")  # fmt: skip
    clipped = _latest(rows, role, "clip_fraction", bands.window)
    if bands.clip_fraction and clipped > bands.clip_fraction:
        yield Alarm(role, "clip_fraction", clipped, bands.clip_fraction,
                    f"{clipped:.0%} of the tokens are clipped: steps are too large; lower tuner.learning_rate or "
                    "tuner.epochs")  # fmt: skip
    growth = _growth(rows, role, "tokens_per_turn", bands.window)
    if bands.length_growth and growth > bands.length_growth:
        yield Alarm(role, "tokens_per_turn", growth, bands.length_growth,
                    f"turns are {growth:.1f} times as long as at first: it rambles and forgets to end its turns; "
                    "lower tuner.learning_rate, or raise tuner.kl_beta")  # fmt: skip
    entropy = _latest(rows, role, "entropy", bands.window)
    success = _mean([row["success"] for row in rows[-bands.window :]])
    if bands.entropy_low and entropy < bands.entropy_low and success < bands.solved:
        yield Alarm(role, "entropy", entropy, bands.entropy_low,
                    f"entropy fell to {entropy:.4f} nats a token while {1 - success:.0%} of the episodes fail: nothing "
                    "is left to select from; raise tuner.kl_beta, or set tuner.entropy_bonus")  # fmt: skip
    wider = _growth(rows, role, "entropy", bands.window)
    if bands.entropy_growth and wider > bands.entropy_growth:
        yield Alarm(role, "entropy", wider, bands.entropy_growth,
                    f"entropy is {wider:.1f} times that of the first iterations: its replies fall apart; lower "
                    "tuner.learning_rate or tuner.entropy_bonus")  # fmt: skip


def _latest(rows: Sequence[Row], role: str, figure: str, window: int) -> float:
    """The mean of the latest iterations; NaN, which no comparison is true of, before there are enough of them."""
    if len(rows) < window:
        return math.nan
    return _mean([row["roles"].get(role, {}).get(figure, math.nan) for row in rows[-window:]])


def _growth(rows: Sequence[Row], role: str, figure: str, window: int) -> float:
    """The mean of the latest iterations over that of the first ones."""
    first = _latest(rows[:window], role, figure, window)
    return _latest(rows, role, figure, window) / first if first else math.nan


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
