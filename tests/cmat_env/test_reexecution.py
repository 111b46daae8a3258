"""Logs played again: what was recorded comes again, a divergence is named, forks go on from the past, diffs find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cmat_env import registry
from cmat_env.errors import ConfigError, LogError
from cmat_env.forking import fork
from cmat_env.ledger import RewardRule
from cmat_env.log import EpisodeWriter, read_episodes
from cmat_env.log_lines import EpisodeRecord
from cmat_env.plan import Limits
from cmat_env.policies.spec import parse_spec
from cmat_env.reexecution import Divergence, remake, verify
from cmat_env.replay_diff import compare, detail, table
from cmat_env.rollout import Episode, Rollout
from cmat_env.types import Payment, Task

TEAM = {"user": "echo", "assistant": "demonstrator", "checker": "coin:0.4"}
Played = Callable[..., list[EpisodeRecord]]


@pytest.fixture
def played(guess_task: type[Task], tmp_path: Path) -> Iterator[Played]:
    """`played({"assistant": "gold"}, seeds=(1, 2))`: episodes of a registered game, written and read again."""
    registry.register("test/Guess-v0", guess_task)

    def play(
        changes: dict[str, str] | None = None, *, seeds: tuple[int, ...] = (0, 1, 2), turns: int = 100, **settings: Any
    ) -> list[EpisodeRecord]:
        team = TEAM | (changes or {})
        given: dict[str, Any] = {"roles": tuple(team), "rewards": RewardRule(bad=2.0), **settings}
        rollout = Rollout(
            lambda: registry.make("test/Guess-v0", **given),
            {role: parse_spec(spec, role=role) for role, spec in team.items()},
            prompts={"assistant": "Play well. {instructions}"},
            seed=5,
            limits=Limits(turns=turns),
        )
        log = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        with EpisodeWriter(log, policies=team, settings=given, notes={"seed": 5}) as writer:
            for episode in rollout.run([Episode(seed, {"task": 3 + seed}, sample=seed) for seed in seeds]).finished:
                writer.write(episode)
        rollout.close()
        return list(read_episodes(log))

    yield play
    registry._registry.pop("test/Guess-v0")


def text_of(*parts: Any) -> str:
    """What a screen without colour shows."""
    console = Console(width=100, color_system=None, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in parts:
        console.print(part)
    return console.export_text()


def test_what_was_recorded_comes_again(played: Played) -> None:
    """Settings, reward rule, options and sample are in the log; also where a limit cut the episode off."""
    for record in [*played(), *played(turns=4), *played(max_rounds=2, max_revisions=3)]:
        assert verify(record) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda step: {"observation": {**step.observation, "message": "lower"}}, "observation.message"),
        (lambda step: {"agent": "checker_0"}, "agent"),
        (lambda step: {"payments": (Payment("assistant", 9.0, "task", 0),)}, "payments"),
        (lambda step: {"info": {}}, "info"),
    ],
)
def test_the_first_divergence_is_named(played: Played, change: Callable[[Any], dict[str, Any]], field: str) -> None:
    """Its step, its field, what was recorded and what came now."""
    [record] = played(seeds=(1,))
    steps = list(record.trajectory.steps)
    steps[1] = replace(steps[1], **change(steps[1]))
    changed = replace(record, trajectory=replace(record.trajectory, steps=tuple(steps)))
    found = verify(changed)

    assert found is not None
    assert (1, field) == (found.step, found.field)
    assert found.recorded != found.now


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"score": 0.5}, ("score", 0.5, 1.0)),
        ({"outcome": "wrong"}, ("outcome", "wrong", "correct")),
        ({"payments": ()}, ("returns", {"user": 0.0, "assistant": 0.0, "checker": 0.0}, None)),
    ],
)
def test_another_end_is_a_divergence(played: Played, changes: dict[str, Any], expected: tuple[str, Any, Any]) -> None:
    """Score, outcome and the sum of the ledger."""
    [record] = played({"assistant": "gold"}, seeds=(1,))
    found = verify(replace(record, trajectory=replace(record.trajectory, **changes)))

    assert found is not None
    assert expected[:2] == (found.field, found.recorded)
    assert expected[2] in (None, found.now)


def test_an_episode_that_lacks_its_end_goes_on(played: Played) -> None:
    """A log that stops early, and one that goes on after the end."""
    [record] = played({"assistant": "gold"}, seeds=(1,))
    steps = record.trajectory.steps
    short = replace(record, trajectory=replace(record.trajectory, steps=steps[:1]))
    long = replace(record, trajectory=replace(record.trajectory, steps=(*steps, steps[-1])))

    assert Divergence(1, "end", "correct", "the episode goes on") == verify(short)
    assert Divergence(len(steps), "end", "the episode goes on", "correct") == verify(long)


def test_a_task_that_crashes_now_is_a_divergence(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an exception of ours."""
    [record] = played({"assistant": "gold"}, seeds=(1,))
    env = remake(record)
    monkeypatch.setattr(env.task, "step", lambda action: 1 / 0)
    found = verify(record, env)

    assert found is not None
    assert ("crash", "ZeroDivisionError: division by zero") == (found.field, found.now)


def test_an_environment_without_a_name_cannot_be_made_again(played: Played) -> None:
    """The error says how to do it in Python."""
    [record] = played(seeds=(1,))
    custom = replace(record, trajectory=replace(record.trajectory, env_id="custom"))

    with pytest.raises(LogError, match=r"verify\(record, env\)"):
        verify(custom)
    assert verify(custom, remake(record)) is None


def test_a_fork_keeps_the_past_and_goes_on_with_another(played: Played) -> None:
    """From any step: the steps before are the recorded ones, and gold solves what is left."""
    [record] = played({"assistant": "random"}, seeds=(1,))
    assert not record.trajectory.success
    for step in (1, 2, 5):
        forked, team = fork(record, step, {"assistant": "gold"})
        past = record.trajectory.steps[: step - 1]
        assert [s.generation.text for s in past] == [s.generation.text for s in forked.steps[: step - 1]]
        assert "gold" == team["assistant"]
        assert forked.success
        assert 3 + 1 == int(forked.task_id.removeprefix("guess-"))
        prompt = forked.dialogues["assistant"][0].messages[0].content
        assert prompt == record.trajectory.dialogues["assistant"][0].messages[0].content


def test_a_fork_with_the_same_policies_is_the_same_episode(played: Played) -> None:
    """Seeds, samples and prompts are those of the log."""
    for record in played():
        forked, _ = fork(record, 3, {})
        assert [s.generation.text for s in record.trajectory.steps] == [s.generation.text for s in forked.steps]


def test_forks_that_cannot_be_are_refused(played: Played) -> None:
    """No such step, nobody to play, and a past that does not come again."""
    [record] = played(seeds=(1,))
    with pytest.raises(ConfigError, match="no step 99: the episode has steps 1 to"):
        fork(record, 99, {"assistant": "gold"})
    with pytest.raises(ConfigError, match="who plays the checker from step 1 on"):
        fork(replace(record, policies={"user": "echo"}), 1, {"assistant": "gold"})
    steps = list(record.trajectory.steps)
    steps[0] = replace(steps[0], observation={**steps[0].observation, "message": "else"})
    changed = replace(record, trajectory=replace(record.trajectory, steps=tuple(steps)))
    with pytest.raises(LogError, match=r"at step 1 \(observation\.message\), before the fork"):
        fork(changed, 3, {"assistant": "gold"})


def test_logs_are_compared_episode_by_episode(played: Played) -> None:
    """What is in both, where each pair parts, who solved it; an episode that is in one alone is counted."""
    ours, theirs = played({"assistant": "gold"}), played({"assistant": "random"}, seeds=(1, 2, 7))
    comparison = compare(ours, theirs)
    same = compare(ours, ours)

    assert (2, 1, 1) == (len(comparison.pairs), comparison.only_a, comparison.only_b)
    assert [(2, "only A"), (3, "only A")] == [(pair.number, pair.solved) for pair in comparison.different]
    assert {(1, "text")} == {(pair.step, pair.field) for pair in comparison.different}
    assert ([], "both") == (same.different, same.pairs[0].solved)
    shown = text_of(table(comparison))
    assert "2 episodes in both: 0 the same, 2 part" in shown
    assert "only A: 2" in shown
    detailed = text_of(*detail(comparison.different[0]))
    assert ["shared up to step 1", "assistant gold", "assistant random"] == [
        words for words in ("shared up to step 1", "assistant gold", "assistant random") if words in detailed
    ]
    assert "the same in both" in text_of(*detail(same.pairs[0]))


def test_episodes_that_end_otherwise_part(played: Played) -> None:
    """Equal as far as the shorter one goes, or with another end."""
    [record] = played(seeds=(1,))
    count = len(record.trajectory.steps)
    shorter = replace(record, trajectory=replace(record.trajectory, steps=record.trajectory.steps[:-1]))
    otherwise = replace(record, trajectory=replace(record.trajectory, outcome="else"))

    assert [(count - 1, "length")] == [(p.step, p.field) for p in compare([record], [shorter]).different]
    assert [(count, "outcome")] == [(p.step, p.field) for p in compare([record], [otherwise]).different]
    assert "after" in text_of(*detail(compare([record], [shorter]).different[0]))
