"""Paired evaluation: tests by literal numbers, arms on the same episodes, and nothing that is not paired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmat_env.cli import main
from cmat_env.errors import ConfigError
from cmat_env.paired import compare, evaluate_paired
from cmat_env.types import Trajectory


def test_a_difference_by_hand() -> None:
    """Four of ten won and one lost is a gain of 0.3, whose interval holds it and is no wider than the data allow."""
    found = compare([True] * 6 + [False] * 4, [False] * 4 + [True] * 3 + [False] * 3)

    assert (10, 4, 1) == (found.episodes, found.won, found.lost)
    assert found.gain == pytest.approx(0.3)
    assert -0.2 <= found.ci95[0] <= 0.0
    assert 0.6 <= found.ci95[1] <= 0.8
    assert found == compare([True] * 6 + [False] * 4, [False] * 4 + [True] * 3 + [False] * 3)


def test_the_bootstrap_interval_is_as_wide_as_the_normal_one() -> None:
    """With 400 episodes both agree: 30 won, 10 lost: 0.05 +- 1.96 sqrt((0.1 - 0.0025) / 400)."""
    found = compare([True] * 30 + [False] * 370, [False] * 30 + [True] * 10 + [False] * 360)

    assert (0.05, 0.0194, 0.0806) == pytest.approx((found.gain, *found.ci95), abs=0.004)


def test_episodes_must_be_the_same() -> None:
    """What is not paired is not compared."""
    with pytest.raises(ConfigError, match="same tasks"):
        compare([True], [True, False])


def test_arms_play_the_same_episodes_and_differ_in_the_checker_alone() -> None:
    """First proposals are the same in every arm; the oracle is the bound; a checker that always approves is none."""
    first: dict[str, dict[int, str]] = {}

    def on_end(arm: str, index: int, episode: Trajectory) -> None:
        first.setdefault(arm, {})[index] = next(s.generation.text for s in episode.steps if s.role == "assistant")

    team = {"assistant": "demonstrator", "checker": "approve"}
    found = evaluate_paired("cmat/DB-v0", team, episodes=60, on_end=on_end)

    assert ["checker", "no checker", "random verdicts", "oracle"] == list(found.arms)
    assert all(proposals == first["checker"] for proposals in first.values())
    assert 0.0 == found.differences["checker - no checker"].gain == found.differences["checker - random verdicts"].gain
    bound = found.differences["oracle - no checker"]
    assert bound.gain > 0.2
    assert bound.lost == 0
    assert bound.p_value < 0.01
    assert found.arms["no checker"].verdicts == 0 < found.arms["checker"].verdicts


def test_random_verdicts_come_at_the_checkers_own_rate() -> None:
    """The baseline asks for as many revisions, and knows nothing."""
    found = evaluate_paired("cmat/DB-v0", {"assistant": "demonstrator", "checker": "coin:0.4"}, episodes=150)
    rates = [found.arms[name].report.checker for name in ("checker", "random verdicts")]

    assert all(score is not None and score.revision_rate == pytest.approx(0.4, abs=0.06) for score in rates)


def test_without_a_checker_there_is_nothing_to_measure() -> None:
    """Said before anything is played."""
    with pytest.raises(ConfigError, match="measures the checker"):
        evaluate_paired("cmat/DB-v0", {"assistant": "gold"}, episodes=1)


def test_the_command_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--paired` prints the arms and keeps them in the JSON report."""
    file = tmp_path / "report.json"
    command = "eval cmat/DB-v0 --assistant demonstrator --checker oracle --episodes 20 --paired --json"

    assert main([*command.split(), str(file)]) == 0

    report = json.loads(file.read_text())
    assert report["success_rate"] == report["paired"]["arms"]["checker"]["success_rate"]
    assert "checker - no checker" in report["paired"]["differences"]
    shown = capsys.readouterr().out
    assert "random verdicts" in shown
    assert "McNemar p" in shown
