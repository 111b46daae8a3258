"""Evaluation: intervals by literal numbers, what counts and what does not, and no dependence on width or workers."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import gymnasium
import pytest

from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError, UnknownNameError
from cmat_env.evaluate import evaluate, plan_episodes
from cmat_env.policies.scripted import ApprovePolicy, EchoPolicy
from cmat_env.registry import make
from cmat_env.report import EvalReport
from cmat_env.rollout import Episode
from cmat_env.scores import CheckerScore, EpisodeRow, Score, wilson
from cmat_env.spaces import AnyText
from cmat_env.types import Dialogue, Generation, Judgement, Step, Trajectory, Verdict


class Say(gymnasium.Env[str, str]):
    """Say the word of the task; task "crash" raises, task "slow" wants it twice."""

    observation_space = AnyText(1000)
    action_space = AnyText(1000)
    task_ids = ("yes", "crash", "no", "slow")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Take the task of the options."""
        self.word = self.task_ids[(options or {"task": 0})["task"]]
        self.left = 2 if self.word == "slow" else 1
        return f"say {self.word}", {"task_id": self.word, "task_type": self.word[:1]}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Count down; "yes" and "slow" are solved, "no" is not."""
        if self.word == "crash":
            raise RuntimeError("the task broke")
        self.left -= 1
        won = self.word != "no"
        return (
            "",
            float(won and not self.left),
            not self.left,
            False,
            {"success": won, "outcome": "won" if won else "lost"},
        )


def make_say() -> CollabEnv:
    """The task above, with an assistant alone."""
    return CollabEnv(Say(), roles=("assistant",), env_id="test/Say-v0")


@pytest.mark.parametrize(
    ("solved", "episodes", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (60, 60, 0.9398, 1.0), (81, 100, 0.7222, 0.8749)],
)
def test_wilson_interval(solved: int, episodes: int, low: float, high: float) -> None:
    """Values of the published formula, to four places."""
    assert (low, high) == tuple(round(bound, 4) for bound in wilson(solved, episodes))


@pytest.mark.parametrize(
    ("tasks", "episodes", "expected"),
    [
        (3, None, [(0, 0), (1, 1), (2, 2)]),
        (3, 2, [(0, 0), (1, 1)]),
        (2, 3, [(0, 0), (1, 1), (2, 0)]),
        (None, 2, [(0, None), (1, None)]),
    ],
)
def test_episodes_of_a_file_come_in_order_and_generated_ones_by_seed(
    tasks: int | None, episodes: int | None, expected: list[tuple[int, int | None]]
) -> None:
    """A file's tasks once each by default, anew when more are wanted; generated ones have a seed alone."""
    plan = plan_episodes(tasks, episodes, seed=0)

    assert expected == [(each.seed, each.options["task"] if each.options else None) for each in plan]


def test_runs_of_different_seeds_share_no_episode() -> None:
    """Another seed is another set of tasks, however many are played; 100 are the default."""
    first, second = plan_episodes(None, None, seed=0), plan_episodes(None, 1000, seed=1)

    assert (100, 1000) == (len(first), len(second))
    assert set() == {each.seed for each in first} & {each.seed for each in second}


def test_a_crashed_episode_is_counted_and_never_scored() -> None:
    """Three of four are finished; rates, types and rows know nothing of the crash."""
    report = evaluate(make_say, {"assistant": EchoPolicy()})

    assert (3, 2 / 3) == (report.episodes, report.success_rate)
    assert ("seed 1: RuntimeError: the task broke",) == report.dropped
    assert {"won": 2, "lost": 1} == report.outcomes
    assert [("yes", 1.0, 1), ("no", 0.0, 1), ("slow", 1.0, 2)] == [
        (row.task_id, row.reward, row.turns) for row in report.per_episode
    ]


def test_a_report_of_nothing_has_no_rate() -> None:
    """Where every episode crashed there is no success rate, rather than 0."""
    report = evaluate(make_say, {"assistant": EchoPolicy()}, episodes=[Episode(0, {"task": 1})])

    assert (0, None, 1) == (report.episodes, report.success_rate, len(report.dropped))
    assert None is report.to_json()["success_rate"]


def test_json_has_the_fields_of_the_design() -> None:
    """The names are a promise, and the values plain JSON."""
    report = evaluate(make_say, {"assistant": EchoPolicy()}, episodes=1)
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    score = {"episodes": 1, "success_rate": 1.0, "mean_reward": 1.0, "success_ci95": list(wilson(1, 1))}

    assert {"env": "test/Say-v0", "by_type": {"y": score}, "outcomes": {"won": 1}, **score} == {
        name: data[name] for name in ("env", "by_type", "outcomes", *score)
    }
    row = {"task_id": "yes", "task_type": "y", "success": True, "reward": 1.0, "turns": 1, "outcome": "won"}
    row |= {"prompt_tokens": 0, "reply_tokens": 0, "cost": None, "calls": None}
    assert [row] == data["per_episode"]
    assert data["seconds"] >= 0
    assert (0, [], None) == (data["dropped"], data["errors"], data["checker"])


def checked(*verdicts: tuple[bool, bool | None]) -> Trajectory:
    """An episode whose checker gave these (approve, was it good?) verdicts."""
    steps = tuple(
        Step(
            index, "checker_0", "checker", index, {"message": "", "speaker": "assistant"}, Generation(""),
            verdict=Verdict(approve, parsed=index > 0), judgement=None if good is None else Judgement(good),
        )
        for index, (approve, good) in enumerate(verdicts)
    )  # fmt: skip
    return Trajectory("e", "t", "k", 0, steps, {"checker": (Dialogue("checker"),)}, (), True, 1.0, "won", True, False)


def test_a_report_is_read_back_as_it_was() -> None:
    """There and back through JSON, with a checker and without, and of nothing."""
    checker = CheckerScore(3, 2, 0.5, None, 1.0, 0.0, 1)
    rows = (EpisodeRow("t", "kind", True, 1.0, 2, "correct"), EpisodeRow("u", "other", False, 0.0, 1, "limit"))
    played = EvalReport(
        "e", Score.of(rows), {"kind": Score.of(rows[:1])}, {"correct": 1}, 0.5, rows, ("gone",), checker, {"s": "why"}
    )
    for report in (played, EvalReport.of("e", [], seconds=0.0)):
        assert report == EvalReport.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False)))


def test_checker_scores_by_hand() -> None:
    """Refused: 2 bad, 1 good, 1 unjudged; approved: 1 bad, 3 good."""
    verdicts = [(False, False)] * 2 + [(False, True), (False, None), (True, False)] + [(True, True)] * 3

    assert CheckerScore(8, 7, 4 / 8, 2 / 3, 2 / 3, 1 / 4, 1) == CheckerScore.of([checked(*verdicts)])
    assert CheckerScore(0, 0, None, None, None, None, 0) == CheckerScore.of([checked()])
    assert CheckerScore.of([]) is None


def test_scores_of_nothing() -> None:
    """No rows: no rate, no reward, and an interval that says nothing."""
    assert Score(0, None, (0.0, 1.0), None) == Score.of([])


def test_a_report_lists_types_by_name_and_outcomes_by_frequency() -> None:
    """So that two reports can be compared line by line."""
    report = EvalReport.of("e", [checked(), checked()], seconds=1.0)

    assert ["k"] == list(report.by_type)
    assert {"won": 2} == report.outcomes
    assert EpisodeRow("t", "k", True, 0.0, 0, "won") == report.per_episode[0]


@pytest.mark.parametrize("width", [1, 3, 64])
def test_episodes_are_handed_on_in_order_and_once(width: int) -> None:
    """Whatever ends first: positions rise, crashed ones are left out."""
    told: list[int] = []
    evaluate(make_say, {"assistant": EchoPolicy()}, width=width, on_end=lambda index, _: told.append(index))

    assert [0, 2, 3] == told


def test_what_is_finished_is_handed_on_when_the_run_is_stopped() -> None:
    """Ctrl-C in the middle loses no finished episode."""

    class Stops(EchoPolicy):
        def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
            if any(dialogue.replies for dialogue in dialogues):
                raise KeyboardInterrupt
            return super().generate(dialogues, seed=seed)

    told: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        evaluate(make_say, {"assistant": Stops()}, on_end=lambda index, _: told.append(index))

    assert [0, 2] == told


def test_workers_change_nothing() -> None:
    """Two processes give the same rows as one, and hand on the same episodes in the same order."""
    team = {"assistant": "random", "checker": "coin:0.5"}
    make_env = functools.partial(make, "cmat/DB-v0", roles=tuple(team))
    reports, told = [], []
    for workers in (1, 2):
        seen: list[tuple[int, tuple[str, ...]]] = []
        reports.append(
            evaluate(
                make_env, team, episodes=9, workers=workers,
                on_end=lambda index, episode, to=seen: to.append(  # type: ignore[misc]
                    (index, tuple(step.generation.text for step in episode.steps))
                ),
            )
        )  # fmt: skip
        told.append(seen)

    assert reports[0].per_episode == reports[1].per_episode
    assert reports[0].checker == reports[1].checker
    assert told[0] == told[1]
    assert 9 == len(told[0])


def test_workers_need_what_can_be_sent() -> None:
    """A function made on the spot cannot travel; the error says what to do."""

    def make_env() -> CollabEnv:
        return make_say()

    with pytest.raises(ConfigError, match=r"workers=2: .* give the environment's id"):
        evaluate(make_env, {"assistant": EchoPolicy()}, workers=2)


def test_an_environment_can_be_named() -> None:
    """The roles are those that have a policy."""
    report = evaluate("cmat/DB-v0", {"assistant": "gold", "checker": ApprovePolicy()}, episodes=3)

    assert (3, 1.0, "cmat/DB-v0") == (report.episodes, report.success_rate, report.env)


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_oracle_finds_the_proposal_in_real_messages(*, dry_run: bool) -> None:
    """It errs never, with and without a dry run in the message, and so the team gains."""
    make_env = functools.partial(make, "cmat/DB-v0", roles=("assistant", "checker"), dry_run=dry_run)
    scores = [
        evaluate(make_env, {"assistant": "demonstrator", "checker": checker}, episodes=40)
        for checker in ("approve", "oracle")
    ]

    assert scores[1].checker is not None
    assert (1.0, 1.0, 0.0) == (
        scores[1].checker.precision,
        scores[1].checker.recall,
        scores[1].checker.false_alarm_rate,
    )
    assert (scores[1].success_rate or 0) > (scores[0].success_rate or 0) + 0.2


@pytest.mark.parametrize(
    ("env", "policies", "settings", "error", "words"),
    [
        ("cmat/DB-v1", {"assistant": "gold"}, {}, UnknownNameError, "did you mean 'cmat/DB-v0'"),
        ("cmat/DB-v0", {"assistent": "gold"}, {}, ConfigError, "did you mean 'assistant'"),
        ("cmat/DB-v0", {"assistant": "golt"}, {}, UnknownNameError, "did you mean 'gold'"),
        ("cmat/DB-v0", {"assistant": "gold"}, {"workers": 0}, ConfigError, "workers=0"),
        ("cmat/DB-v0", {"assistant": "gold"}, {"episodes": 0}, ConfigError, "episodes=0"),
    ],
)
def test_a_wrong_setting_is_named(
    env: str, policies: dict[str, str], settings: dict[str, int], error: type[Exception], words: str
) -> None:
    """Environment, role, policy, numbers."""
    with pytest.raises(error) as caught:
        evaluate(env, policies, **settings)  # type: ignore[arg-type]

    assert words in str(caught.value)
