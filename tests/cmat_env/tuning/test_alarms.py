"""Alarms: rows of metrics in, words out; healthy runs ring no bell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from cmat_env.errors import ConfigError
from cmat_env.tuning.alarms import Alarm, AlarmSettings, find

HEALTHY = {"kl_per_sequence": 1.0, "tokens_per_turn": 20.0, "clip_fraction": 0.01, "entropy": 0.1}


def rows(*changes: dict[str, float], success: float = 0.5) -> list[dict[str, Any]]:
    """One row an iteration: healthy figures of the assistant, but for these changes."""
    return [{"success": success, "roles": {"assistant": HEALTHY | change}} for change in changes]


def figures(alarms: Sequence[Alarm]) -> list[tuple[str, float, float]]:
    """What rang, at which value, over which limit."""
    return [(alarm.figure, alarm.value, alarm.limit) for alarm in alarms]


@pytest.mark.parametrize(
    ("change", "figure", "value", "limit", "advice"),
    [
        ({"kl_per_sequence": 6.0}, "kl_per_sequence", 6.0, 5.0, "lower tuner.learning_rate or tuner.kl_target"),
        ({"clip_fraction": 0.25}, "clip_fraction", 0.25, 0.1, "25% of the tokens are clipped"),
        ({"tokens_per_turn": 40.0}, "tokens_per_turn", 2.0, 1.5, "2.0 times as long as at first"),
        ({"entropy": 0.0}, "entropy", 0.0, 0.01, "nothing is left to select from"),
        ({"entropy": 0.8}, "entropy", 8.0, 4.0, "its replies fall apart"),
    ],
)
def test_each_alarm_by_itself(change: dict[str, float], figure: str, value: float, limit: float, advice: str) -> None:
    """Three healthy iterations, then three that are not: one alarm, with the figure, the limit and what to do."""
    (alarm,) = find(rows({}, {}, {}, change, change, change), AlarmSettings())

    assert ("assistant", figure, value, limit) == (alarm.role, alarm.figure, alarm.value, alarm.limit)
    assert advice in alarm.text


def test_the_mean_of_a_few_iterations_counts() -> None:
    """One at 9 nats between two at 1 is noise (mean 3.7); two of three are not (mean 6.3)."""
    spike = {"kl_per_sequence": 9.0}

    assert [] == find(rows({}, spike, {}), AlarmSettings())
    assert [("kl_per_sequence", 19 / 3, 5.0)] == figures(find(rows({}, spike, spike), AlarmSettings()))


def test_a_limit_is_still_healthy() -> None:
    """At the limit itself nothing rings."""
    edge = {"kl_per_sequence": 5.0, "clip_fraction": 0.1, "tokens_per_turn": 30.0, "entropy": 0.4}

    assert [] == find(rows({}, {}, {}, edge, edge, edge), AlarmSettings(window=1))


def test_certainty_is_no_fault_of_what_succeeds() -> None:
    """No entropy and 95 % success: it has learned; with 60 % it has settled too early."""
    certain = rows(*[{"entropy": 0.001}] * 3, success=0.95)

    assert [] == find(certain, AlarmSettings())
    assert ["entropy"] == [
        alarm.figure for alarm in find(rows(*[{"entropy": 0.001}] * 3, success=0.6), AlarmSettings())
    ]


def test_roles_are_looked_at_one_by_one() -> None:
    """The checker's alarm names the checker."""
    bad = HEALTHY | {"kl_per_sequence": 14.0}
    both = [{"success": 0.5, "roles": {"assistant": HEALTHY, "checker": bad}}]
    (alarm,) = find(both, AlarmSettings(window=1))

    assert ("checker", 14.0) == (alarm.role, alarm.value)


def test_zero_switches_an_alarm_off() -> None:
    """Each by itself, all at once here."""
    bad = {"kl_per_sequence": 99.0, "clip_fraction": 0.9, "tokens_per_turn": 900.0, "entropy": 9.0}
    off = AlarmSettings(
        window=1, kl_per_sequence=0.0, clip_fraction=0.0, length_growth=0.0, entropy_low=0.0, entropy_growth=0.0
    )

    assert 4 == len(find(rows({}, bad), AlarmSettings(window=1)))
    assert [] == find(rows({}, bad), off)


@pytest.mark.parametrize(
    "figure", [{}, {"tokens": 0.0}, {"kl_per_sequence": math.nan}, {"tokens_per_turn": 0.0}], ids=str
)
def test_what_is_not_measured_rings_no_bell(figure: dict[str, float]) -> None:
    """No rows, no figures, an iteration in which a role said nothing."""
    assert [] == find([], AlarmSettings())
    assert [] == find([{"success": 0.0, "roles": {"assistant": figure}}] * 4, AlarmSettings())


# KL, tokens, clipped, entropy, success: every third iteration of `tinyagent-nano-db` with the assistant alone, seed 0,
# PPO, whose success rose from 0.55 to 0.84 (recorded in development, 26 November 2026)
RECORDED = [
    (0.000, 21.305, 0.000, 0.070, 0.539), (0.396, 22.406, 0.008, 0.110, 0.555), (2.066, 23.266, 0.011, 0.115, 0.633),
    (4.216, 25.562, 0.021, 0.147, 0.680), (3.177, 24.359, 0.010, 0.113, 0.719), (2.519, 23.477, 0.009, 0.091, 0.766),
    (2.273, 22.703, 0.007, 0.075, 0.844), (1.847, 23.406, 0.009, 0.076, 0.828), (1.591, 22.875, 0.006, 0.065, 0.797),
    (1.179, 22.570, 0.004, 0.058, 0.828), (2.111, 23.438, 0.006, 0.061, 0.852), (2.401, 22.531, 0.005, 0.058, 0.750),
]  # fmt: skip


@pytest.mark.parametrize("window", [1, 3])
def test_a_run_that_learned_rings_no_bell(window: int) -> None:
    """The recorded figures of a healthy run, iteration by iteration, smoothed or not."""
    names = ("kl_per_sequence", "tokens_per_turn", "clip_fraction", "entropy")
    seen = [
        {"success": success, "roles": {"assistant": dict(zip(names, values, strict=True))}}
        for *values, success in RECORDED
    ]

    assert [] == [alarm for end in range(len(seen)) for alarm in find(seen[: end + 1], AlarmSettings(window=window))]


@pytest.mark.parametrize(
    ("kl", "rings"), [(0.3, False), (3.0, False), (7.5, True), (8.7, True), (18.7, True), (28.0, True), (37.0, True)]
)
def test_the_divergences_that_were_measured_ring(kl: float, rings: bool) -> None:
    """Healthy 0.3 to 3 nats a sequence; runs that decayed had 8.7 to 37, and even the one that came back from 7.5."""
    assert rings == bool(find(rows(*[{"kl_per_sequence": kl}] * 3), AlarmSettings()))


def test_impossible_bands_are_refused() -> None:
    """Each with its name."""
    with pytest.raises(ConfigError, match="window=0 must be at least 1"):
        AlarmSettings(window=0)
    with pytest.raises(ConfigError, match=r"clip_fraction=-0\.1 must not be negative; 0 = off"):
        AlarmSettings(clip_fraction=-0.1)
