"""Composite questions: each about what the one before has found, whose variables stay at hand."""

from __future__ import annotations

import dataclasses
import functools
import random

import pytest

from cmat_env.envs.knowledge_graph.env import KGEnv
from cmat_env.envs.knowledge_graph.generate.chain import LATER, generate_chain
from cmat_env.evaluate import evaluate
from cmat_env.registry import make, make_task
from cmat_env.testing import check_task

ID = "cmat/KG-Composite-v0"


def test_keeps_the_contract_of_a_task() -> None:
    """Junk, forks, repetition, solutions: as every task."""
    check_task(lambda: make_task(ID), seeds=(0, 1))


@pytest.mark.parametrize("split", ["train", "dev", "heldout"])
def test_gold_solves_every_split_and_the_judge_agrees(split: str) -> None:
    """100 dialogues each, told part by part; no right action is called bad."""
    report = evaluate(
        functools.partial(make, ID, tasks=f"generated:{split}"),
        {"user": "user:split", "assistant": "gold", "checker": "oracle"},
        episodes=100,
    )

    assert report.success_rate == 1.0
    assert set(LATER) <= set(report.parts)
    assert report.checker is not None
    assert 0.0 == report.checker.false_alarm_rate


def test_splits_share_no_first_part() -> None:
    """What is learned of a training task answers no held-out one."""
    facts = KGEnv().graph.facts
    first = {
        split: {(task.parts[0].answers, task.parts[0].actions) for task in tasks}
        for split, tasks in ((s, [generate_chain(facts, s, seed=i) for i in range(100)]) for s in ("train", "heldout"))
    }  # fmt: skip

    assert len(first["train"]) > 50
    assert not first["train"] & first["heldout"]


def test_variables_of_a_part_stay_at_hand() -> None:
    """The second part begins where the first one ended: its calls may name #0."""
    task = make_task(ID, parts=(2,))
    seed = next(
        s
        for s in range(200)
        if [c.tool for c in generate_chain(task.inner.graph.facts, "train", seed=s, lengths=(2,)).parts[1].actions][-1]
        == "count"
    )
    task.reset(seed=seed)
    *first, count, answer = task.solution()
    for action in first:
        observation, *_ = task.step(action)

    assert "Part 1 of 2 is answered." == observation
    assert "count(#" in count
    task.step(count)
    *_, info = task.step(answer)
    assert info["success"]


def test_a_part_that_was_wrong_may_be_tried_again() -> None:
    """With the variables that were at hand before it: the solution's numbers hold."""
    task = make_task(ID, parts=(2,), report=True, retries=1)
    facts = task.inner.graph.facts
    seed = next(s for s in range(200) if generate_chain(facts, "train", seed=s, lengths=(2,)).families[0] == "hop_2")
    task.reset(seed=seed)
    *_, answer = first = task.inner.solution_of(task.task.parts[0])
    for action in [*first[:-1], answer.replace("#1", "#0")]:
        observation, *_ = task.step(action)

    assert "Part 1 was wrong; it may be answered again." == observation
    for action in task.solution():
        *_, info = task.step(action)
    assert info["success"]


def test_the_demonstrator_plays_the_parts() -> None:
    """Where it never errs every part is right."""
    report = evaluate(ID, {"assistant": "demonstrator"}, episodes=20)
    task = make_task(ID, parts=(2,))
    task.inner.settings = dataclasses.replace(task.inner.settings, demonstrator_error=0.0)
    task.reset(seed=3)
    over, rng = False, random.Random(0)
    while not over:
        *_, over, _, info = task.step(task.demonstrate(rng))

    assert info["success"]
    assert 0 < (report.total.success_rate or 0.0) < 1
