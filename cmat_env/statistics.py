"""Is one run better than another? Paired tests and intervals over the same tasks, by the standard library and numpy.

Two runs that played the same tasks are compared task by task: a task that both solve, or neither, says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmat_env.errors import ConfigError
from cmat_env.scores import wilson

_RESAMPLED_AT_ONCE = 4_000_000
"""Numbers that one block of resamples holds at most: 32 MB of indices."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """An exact McNemar test of two runs over the same tasks.

    Attributes:
        only_a: tasks that A alone solved.
        only_b: tasks that B alone solved.
        p_value: two-sided: how likely a split at least this uneven is, if neither is better. 1 if they never differ.
    """

    only_a: int
    only_b: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval.

    Attributes:
        mean: of what was seen.
        low: of the interval.
        high: of the interval.
        level: the interval's coverage, such as 0.95.
    """

    mean: float
    low: float
    high: float
    level: float


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, resamples: int = 10_000, level: float = 0.95) -> Interval:
    """The mean, with the percentile interval of values drawn anew; of no width where all values are the same.

    Args:
        values: one at least.
        seed: of the resampling.
        resamples: how many.
        level: coverage of the interval.

    Raises:
        ConfigError: there is no value.
    """
    return paired_bootstrap([0.0] * len(values), values, seed=seed, resamples=resamples, level=level)


def mean_of_rates(counts: Sequence[tuple[int, int]]) -> Interval:
    """The mean of success rates that weigh alike, with its 95 % interval; of a single rate it is Wilson's.

    Args:
        counts: (successes, episodes) of each group, one episode at least.

    Raises:
        ConfigError: there is no group, or an empty one.

    Source: Zou and Donner 2008, doi:10.1002/sim.3095 (MOVER, with Wilson limits).
    """
    if not counts or not all(episodes > 0 for _, episodes in counts):
        raise ConfigError(f"counts={list(counts)}: a mean of rates needs an episode in every group")
    rates = [successes / episodes for successes, episodes in counts]
    limits = [wilson(successes, episodes) for successes, episodes in counts]
    mean = sum(rates) / len(rates)
    below = math.sqrt(sum((rate - low) ** 2 for rate, (low, _) in zip(rates, limits, strict=True))) / len(rates)
    above = math.sqrt(sum((high - rate) ** 2 for rate, (_, high) in zip(rates, limits, strict=True))) / len(rates)
    return Interval(mean, max(mean - below, 0.0), min(mean + above, 1.0), 0.95)


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> McNemar:
    """The exact test: of the tasks where the two differ, is the split between them that of a fair coin?

    Args:
        a: was each task solved by A?
        b: the same tasks, in the same order, by B.

    Raises:
        ConfigError: they differ in length.

    Source: McNemar 1947, doi:10.1007/BF02295996; the exact form is the two-sided binomial test of one half.
    """
    _check_paired(a, b)
    only_a = sum(bool(x) and not y for x, y in zip(a, b, strict=True))
    only_b = sum(bool(y) and not x for x, y in zip(a, b, strict=True))
    return McNemar(only_a, only_b, _fair_coin(only_a, only_b))


def paired_bootstrap(
    a: Sequence[float], b: Sequence[float], *, seed: int = 0, resamples: int = 10_000, level: float = 0.95
) -> Interval:
    """The mean of B - A, with the percentile interval of tasks drawn anew.

    Args:
        a: by task, A's score (or success).
        b: the same tasks, in the same order, by B.
        seed: of the resampling.
        resamples: how many.
        level: coverage of the interval.

    Raises:
        ConfigError: they differ in length, are empty, or a setting is out of range.

    Source: Efron 1979, doi:10.1214/aos/1176344552; the percentile interval.
    """
    _check_paired(a, b)
    if not len(a):
        raise ConfigError("there is no task to compare; give both runs the same tasks")
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"resamples={resamples} must be at least 1, and level={level} between 0 and 1")
    differences = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    means = _resampled_means(differences, np.random.default_rng(seed), resamples)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(differences.mean()), float(low), float(high), level)


def _fair_coin(heads: int, tails: int) -> float:
    """Two-sided binomial test of one half, in exact integers; symmetric, so one tail doubled."""
    tosses = heads + tails
    tail = sum(math.comb(tosses, count) for count in range(min(heads, tails) + 1))
    return min(1.0, float(2 * tail / 2**tosses))


def _resampled_means(
    values: npt.NDArray[np.float64], rng: np.random.Generator, resamples: int
) -> npt.NDArray[np.float64]:
    """(resamples,) the mean of as many values, drawn with replacement; in blocks, so that memory stays small."""
    block = max(1, _RESAMPLED_AT_ONCE // len(values))
    parts = []
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        parts.append(values[rng.integers(0, len(values), size=(count, len(values)))].mean(axis=1))
    return np.concatenate(parts)


def _check_paired(a: Sequence[float], b: Sequence[float]) -> None:
    if len(a) != len(b):
        raise ConfigError(
            f"{len(a)} tasks against {len(b)}: a paired comparison wants the same tasks in the same order"
        )
