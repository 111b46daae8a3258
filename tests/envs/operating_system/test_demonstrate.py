"""The imperfect demonstrator: whether it errs, what it copies, what it does when it is refused, and what it learns."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from cmat_env.envs.operating_system import OSEnv, OSTask, SandboxSettings
from cmat_env.envs.operating_system.generate import FAMILIES, generate
from cmat_env.lessons import Lessons

EACH = 3


@pytest.fixture(scope="module")
def tasks() -> list[OSTask]:
    """A few of every family."""
    found: dict[str, list[OSTask]] = {name: [] for name in FAMILIES}
    for seed in range(1000):
        task = generate("train", seed=seed)
        if len(found[task.family]) < EACH:
            found[task.family].append(task)
    return [task for family in found.values() for task in family]


def play(env: OSEnv, seed: int) -> tuple[str, bool]:
    """One episode of the demonstrator: family, success."""
    _, info = env.reset(seed=seed)
    rng, over, end = random.Random(seed), False, info
    while not over:
        _, _, terminated, truncated, end = env.step(env.demonstrate(rng))
        over = terminated or truncated
    return info["task_type"], bool(end["success"])


@pytest.mark.parametrize("error", [0.0, 1.0])
def test_only_its_slips_fail(settings: SandboxSettings, tasks: list[OSTask], error: float) -> None:
    """Without them it solves every task; with them, at most one of a family by accident."""
    env = OSEnv(tasks, sandbox=settings, demonstrator_error=error)
    played = [play(env, seed) for seed in range(len(env.source.ids or ()))]  # fewer where the sandbox has one user
    env.close()
    solved = Counter(family for family, success in played if success)

    assert len(FAMILIES) - 2 <= len(dict(played)) <= len(FAMILIES)
    assert all(abs(solved[family] - EACH * (1 - error)) <= error for family in dict(played)), solved


def test_the_answer_copies_what_really_came_out(begin: Callable[..., OSEnv]) -> None:
    """The last action quotes what the slip printed."""
    task = next(task for task in (generate("train", seed=seed) for seed in range(99)) if task.family == "links")
    env = begin(task, demonstrator_error=1.0)
    action = env.demonstrate(random.Random(0))
    env.step(action)

    assert env.codec.bash(task.slip) == action
    assert env.codec.answer("step1") == env.demonstrate(random.Random(0))


def test_what_is_refused_is_done_in_the_other_way(begin: Callable[..., OSEnv]) -> None:
    """A refused script gives way to the other one; after a refused answer the other script is run; then it insists."""
    task = next(task for task in (generate("train", seed=seed) for seed in range(99)) if task.family == "links")
    env, rng = begin(task, demonstrator_error=1.0), random.Random(0)
    right, slip = (env.codec.bash(script) for script in task.scripts)

    assert slip == env.demonstrate(rng)
    assert right == env.demonstrate(rng, [slip])
    env.step(slip)
    answer = env.demonstrate(rng)
    assert right == env.demonstrate(rng, [answer])
    assert answer == env.demonstrate(rng, [answer, right])


def test_a_reflection_plans_what_was_not_tried_and_the_next_trial_heeds_it(begin: Callable[..., OSEnv]) -> None:
    """What is planned is done, however often it errs."""
    task = next(task for task in (generate("train", seed=seed) for seed in range(99)) if task.family == "links")
    env, rng = begin(task, demonstrator_error=1.0), random.Random(0)
    env.step(env.demonstrate(rng))
    lesson = env.lesson(rng)

    assert f"I will try {task.scripts[0]}." == lesson
    env.reset(seed=0)
    lessons = Lessons.of(f"Work.\n\nFrom your earlier trials of this task:\n- {lesson}")
    assert env.codec.bash(task.scripts[0]) == env.demonstrate(rng, lessons=lessons)


def test_every_plan_can_be_read_back() -> None:
    """No script holds what stands between the moves of a plan, or a line's end."""
    tasks = [generate(split, seed=seed) for split in ("train", "heldout") for seed in range(500)]

    assert not [script for task in tasks for script in task.scripts if "; " in script or "\n" in script]


def test_a_task_without_a_slip_is_demonstrated_by_its_solution(begin: Callable[..., OSEnv], count: OSTask) -> None:
    """As AgentBench's are."""
    env, rng = begin(count, demonstrator_error=1.0), random.Random(0)
    assert env.codec.bash("wc -l < /root/f") == env.demonstrate(rng)
    env.step(env.demonstrate(rng))
    assert env.codec.answer("5") == env.demonstrate(rng)
