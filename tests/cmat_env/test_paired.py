"""Paired evaluation: tests by literal numbers, arms on the same episodes, and nothing that is not paired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cmat_env.agents.memory_store import LongTermMemory, NewMemory
from cmat_env.cli import main
from cmat_env.errors import ConfigError
from cmat_env.log import read_episodes
from cmat_env.paired import compare, evaluate_paired
from cmat_env.plan import Trials
from cmat_env.types import Dialogue, Generation, Policy, Trajectory


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


class Pupil:
    """Always answers the same, and takes a note of each task that it fails."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """A note where it is asked to reflect, else a number."""
        asked = [dialogue.messages[-1].content for dialogue in dialogues]
        return [
            Generation("I should count." if "was not solved" in text else 'Action: Answer\nFinal Answer: ["7"]')
            for text in asked
        ]


@pytest.mark.parametrize("old", [0, 3])
def test_no_arm_knows_what_another_has_learnt(tmp_path: Path, old: int) -> None:
    """Each begins with the memory of the start, if there is one, learns from its own episodes, and leaves the file."""
    file = tmp_path / "m.sqlite"
    if old:
        with LongTermMemory(file) as memory:
            memory.add(NewMemory("assistant", "cmat/DB-v0", f"old note {number}") for number in range(old))
    told: dict[str, list[list[str]]] = {}

    def on_end(arm: str, index: int, episode: Trajectory) -> None:
        told.setdefault(arm, []).append([item.text for item in episode.recalled.get("assistant", ())])

    team: dict[str, Policy | str] = {"assistant": Pupil(), "checker": "approve"}
    found = evaluate_paired("cmat/DB-v0", team, episodes=4, memory=file, continual=True, on_end=on_end)

    assert ["checker", "no checker", "random verdicts", "oracle"] == list(told)
    assert all([f"old note {n}" for n in reversed(range(old))] == sorted(t[0], reverse=True) for t in told.values())
    assert all("I should count." in heard[-1] for heard in told.values())
    uses = [arm.report.memory for arm in found.arms.values()]
    assert [(True, old, old + 1)] * 4 == [(use.continual, use.before, use.after) for use in uses if use]
    if old:
        with LongTermMemory(file) as memory:
            assert [f"old note {number}" for number in range(old)] == [entry.text for entry in memory.entries()]
    assert bool(old) == file.exists()


def test_a_memory_that_is_missing_is_named(tmp_path: Path) -> None:
    """Only the continual setting makes one."""
    with pytest.raises(ConfigError, match=r"none\.sqlite: no such memory"):
        evaluate_paired(
            "cmat/DB-v0", {"assistant": "gold", "checker": "approve"}, episodes=1, memory=tmp_path / "none.sqlite"
        )


def test_the_last_trial_decides_and_all_are_paid_for() -> None:
    """With trials a task counts as solved if any of them solved it; the replies of all are counted."""
    team: dict[str, Policy | str] = {"assistant": Pupil(), "checker": "approve"}
    once, twice = (evaluate_paired("cmat/DB-v0", team, episodes=10, trials=Trials(n)) for n in (1, 2))
    arms = [found.arms["checker"] for found in (once, twice)]

    assert [10, 20] == [arm.verdicts for arm in arms]
    assert [1, 2] == [len(arm.report.trials) for arm in arms]
    assert 0 == arms[1].report.trials[1].solved


PUPIL = """
from cmat_env.types import Generation
class Pupil:
    def generate(self, dialogues, *, seed):
        return [Generation('Action: Operation\\n```sql\\nSHOW TABLES\\n```') for _ in dialogues]
"""


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--trials", "2"], {"trials": 2}),
        (["--budget", "64"], {"budget": True}),
        (["--memory", "m.sqlite"], {"memory": (False, 1)}),
        (["--memory", "m.sqlite", "--continual", "--trials", "2"], {"memory": (True, 1), "trials": 2}),
    ],
)
def test_arms_play_by_the_flags_of_any_evaluation(
    flags: list[str], told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials, memory and a budget are those of every arm."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "pupil.py").write_text(PUPIL)
    with LongTermMemory("m.sqlite") as memory:
        memory.add([NewMemory("assistant", "cmat/DB-v0", "a note")])
    command = "eval cmat/DB-v0 --assistant pupil:Pupil --checker approve --episodes 3 --paired --json report.json"

    assert 0 == main([*command.split(), "--record", "run", *flags])

    report = json.loads(Path("report.json").read_text())
    arms = list(report["paired"]["arms"].values())
    assert 4 == len(arms)
    assert all(told.get("trials", 1) == len(arm["trials"]) for arm in arms)
    uses = [(arm["memory"]["continual"], arm["memory"]["before"]) if arm["memory"] else None for arm in arms]
    assert [told.get("memory")] * 4 == uses
    dialogues = [each for record in read_episodes("run") for each in record.trajectory.dialogues["assistant"]]
    noted = any("are left out" in message.content for each in dialogues for message in each.messages)
    assert told.get("budget", False) == noted
    with LongTermMemory("m.sqlite") as memory:
        assert ["a note"] == [entry.text for entry in memory.entries()]


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
