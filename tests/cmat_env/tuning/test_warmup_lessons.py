"""Demonstrations that teach to reflect and to heed: what their prompts hold, and what they must not hold."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from cmat_env.errors import ConfigError
from cmat_env.lessons import TASKS, TRIALS, Lessons
from cmat_env.tuning.presets import settings_of
from cmat_env.tuning.warmup import demonstrate
from cmat_env.types import Dialogue, Trajectory

OVERRIDES = ("warm_start.episodes=400", "warm_start.lessons=0.6", "task.settings.level=3")


@pytest.fixture(scope="module")
def played() -> tuple[list[Dialogue], list[Trajectory]]:
    """Ten streams, some of which teach lessons."""
    trajectories: list[Trajectory] = []
    settings = settings_of("tinyagent-nano-db", [*OVERRIDES, "warm_start.settings.demonstrator_error=0.5"])
    return demonstrate(settings, lambda _, trajectory: trajectories.append(trajectory)), trajectories


def prompt(trajectory: Trajectory) -> str:
    """The system prompt of the assistant."""
    return trajectory.dialogues["assistant"][0].messages[0].content


def test_all_three_kinds_of_streams_are_there(played: tuple[list[Dialogue], list[Trajectory]]) -> None:
    """With a checker, with trials alone, and with a memory; without a checker where lessons are taught."""
    _, trajectories = played
    recalling = [each for each in trajectories if TASKS in prompt(each)]
    again = [each for each in trajectories if TRIALS in prompt(each) and TASKS not in prompt(each)]

    assert recalling
    assert again
    assert any("checker" in each.dialogues for each in trajectories)
    assert not any("checker" in each.dialogues for each in (*recalling, *again))


def test_a_second_trial_is_told_the_plan_and_does_better(
    played: tuple[list[Dialogue], list[Trajectory]],
) -> None:
    """The prompt holds what the first trial wrote; with two columns to choose from that is right."""
    _, trajectories = played
    again = [(first, second) for first, second in itertools.pairwise(trajectories) if second.trial == 1]
    for first, second in again:
        assert Lessons.of(f"{TRIALS}\n- {first.steps[-1].generation.text}").plan == Lessons.of(prompt(second)).plan
        executed = next(step.generation.text for step in first.steps if step.kind == "act")
        assert Lessons.of(prompt(second)).plan[0] not in executed
    assert len(again) > 10
    assert all(second.success for _, second in again)


def test_a_stream_remembers_its_own_house_alone(played: tuple[list[Dialogue], list[Trajectory]]) -> None:
    """Whatever solved an earlier task was written in the same stream; and the second half does better."""
    _, trajectories = played
    solved: dict[int, str] = {}
    halves: dict[bool, list[bool]] = {False: [], True: []}
    recalling = {each.seed // 40 for each in trajectories if TASKS in prompt(each)}
    for each in trajectories:
        house = each.seed // 40
        for note in Lessons.of(prompt(each)).solved:
            question = note.removeprefix("Solved: ").partition(" Table ")[0]
            assert question in solved.get(house, "")
        solved[house] = solved.get(house, "") + each.steps[0].observation["message"]
        if house in recalling and each.trial == 0:
            halves[each.seed % 40 >= 20].append(each.success)

    assert sum(halves[True]) / len(halves[True]) > sum(halves[False]) / len(halves[False])


def test_reflections_are_imitated(played: tuple[list[Dialogue], list[Trajectory]]) -> None:
    """They are replies of the assistant in the dialogues to imitate."""
    dialogues, _ = played
    said = [m.content for d in dialogues for m in d.messages if m.speaker == "assistant" and "I will try " in m.content]

    assert len(said) > 10


def test_the_demonstrations_are_a_function_of_the_seed() -> None:
    """The same again, word by word."""
    settings = settings_of("tinyagent-nano-db", [*OVERRIDES, "warm_start.episodes=120"])
    first, second = ([d.messages for d in demonstrate(settings)] for _ in range(2))

    assert first == second


def test_a_task_whose_demonstrator_does_not_reflect_is_told() -> None:
    """The shop's knows no lessons."""
    settings = settings_of(
        "tinyagent-nano-db", ['task.env="cmat/WebShop-v0"', "task.settings={}", "warm_start.lessons=1.0"]
    )
    with pytest.raises(
        ConfigError, match=r"WebShopEnv has no lesson\(\), which the reflecting demonstrator policy needs"
    ):
        demonstrate(replace(settings, warm_start=replace(settings.warm_start, settings={})))
