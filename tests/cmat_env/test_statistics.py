"""Paired statistics against numbers worked out by hand and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from cmat_env.errors import ConfigError
from cmat_env.scores import wilson
from cmat_env.statistics import McNemar, bootstrap_mean, mcnemar, mean_of_rates, paired_bootstrap


@pytest.mark.parametrize(
    ("only_a", "only_b", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 * 1/2
        (0, 5, 0.0625),  # 2 / 2**5
        (2, 8, 0.109375),  # 2 * (1 + 10 + 45) / 2**10
        (5, 5, 1.0),
        (15, 5, 0.04138946533203125),  # R: binom.test(15, 20)
    ],
)
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int, p_value: float) -> None:
    """Only tasks on which the two differ count, by the two-sided binomial test of one half."""
    a = [True] * only_a + [False] * only_b + [True, True, False]
    b = [False] * only_a + [True] * only_b + [True, True, False]

    assert McNemar(only_a, only_b, p_value) == mcnemar(a, b)


def test_mcnemar_stands_thousands_of_tasks() -> None:
    """Integers beyond the range of floats: 2**3000 overflows a float, the quotient does not."""
    result = mcnemar([True] * 1600 + [False] * 1400, [False] * 1600 + [True] * 1400)

    assert 0.0002 < result.p_value < 0.0004  # normal approximation with continuity: 2 * (1 - Phi(3.633)) = 0.00028


def test_the_bootstrap_interval_is_the_normal_one_where_tasks_are_many() -> None:
    """With 2,000 tasks the percentile interval lies on mean +- 1.96 standard errors."""
    rng = np.random.default_rng(3)
    a, b = rng.random(2000), rng.random(2000) + 0.1
    found = paired_bootstrap(a.tolist(), b.tolist(), seed=1)
    half = 1.96 * (b - a).std() / 2000**0.5

    assert found.mean == pytest.approx((b - a).mean())
    assert found.low == pytest.approx(found.mean - half, abs=0.1 * half)
    assert found.high == pytest.approx(found.mean + half, abs=0.1 * half)


def test_the_bootstrap_is_paired_and_seeded() -> None:
    """A constant difference has no spread, however the tasks differ; the same seed, the same answer."""
    a = [0.0, 0.5, 1.0, 7.0]
    constant = paired_bootstrap(a, [value + 0.25 for value in a], resamples=500)

    assert (0.25, 0.25, 0.25) == (constant.mean, constant.low, constant.high)
    assert paired_bootstrap([0, 1, 0], [1, 1, 0], seed=5) == paired_bootstrap([0, 1, 0], [1, 1, 0], seed=5)


def test_the_mean_of_rates_weighs_groups_alike() -> None:
    """As AgentBench's overall_cat_accuracy: 100 easy tasks and 2 hard ones count the same; one group: Wilson."""
    found = mean_of_rates([(100, 100), (1, 2)])
    alone = mean_of_rates([(7, 20)])

    assert 0.75 == found.mean
    assert (0.0945, 0.9055) == pytest.approx(wilson(1, 2), abs=1e-4)
    assert found.low == pytest.approx(0.75 - ((0.5 - 0.09453) ** 2 + (1 - 0.96301) ** 2) ** 0.5 / 2, abs=1e-4)
    assert found.high == pytest.approx(0.75 + (0.90547 - 0.5) / 2, abs=1e-4)
    assert (alone.low, alone.high) == pytest.approx(wilson(7, 20))
    with pytest.raises(ConfigError, match="every group"):
        mean_of_rates([(1, 1), (0, 0)])


def test_perfect_results_are_not_certain() -> None:
    """20 of 20 leave room for a rate of 84 %."""
    assert mean_of_rates([(20, 20)]).low == pytest.approx(0.8389, abs=1e-4)


def test_a_mean_is_drawn_anew_from_its_values() -> None:
    """Three values of two kinds: the mean of a resample is 0, 1/3, 2/3 or 1."""
    found = bootstrap_mean([0.0, 0.0, 1.0], resamples=4000)

    assert found.mean == pytest.approx(1 / 3)
    assert (0.0, 1.0) == pytest.approx((found.low, found.high))


def test_runs_of_different_tasks_are_refused() -> None:
    """What is not paired is not compared, and nothing is not compared either."""
    with pytest.raises(ConfigError, match="2 tasks against 1"):
        mcnemar([True, False], [True])
    with pytest.raises(ConfigError, match="no task"):
        paired_bootstrap([], [])
    with pytest.raises(ConfigError, match="level"):
        paired_bootstrap([1], [1], level=1.0)
