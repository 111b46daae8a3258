"""A customer who comes back: linked purchases in one shop."""

from __future__ import annotations

import functools

import pytest

from cmat_env.evaluate import evaluate
from cmat_env.registry import make, make_task
from cmat_env.testing import check_task

ID = "cmat/WebShop-Composite-v0"


def test_keeps_the_contract_of_a_task() -> None:
    """Junk, forks, repetition, solutions: as every task."""
    check_task(lambda: make_task(ID, products=200), seeds=(0, 1))


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_gold_solves_every_split(split: str) -> None:
    """60 dialogues each, told part by part."""
    report = evaluate(
        functools.partial(make, ID, tasks=f"generated:{split}", products=200),
        {"user": "user:split", "assistant": "gold", "checker": "oracle"},
        episodes=60,
    )

    assert report.success_rate == 1.0
    assert {"2 parts", "3 parts"} == set(report.by_type)


def test_the_same_purchase_again_is_not_the_next_one() -> None:
    """The second part wants another option: whoever buys the first thing twice has one part right."""
    task = make_task(ID, parts=(2,), products=200)
    task.reset(seed=0)
    once = task.inner.solution_of(task.task.parts[0])
    for action in [*once, *once]:
        *_, info = task.step(action)

    assert [True, False] == [part["right"] for part in info["parts"]]
    assert 0.5 == info["score"]
    assert not info["success"]


def test_the_next_part_begins_at_the_front_page() -> None:
    """The assistant is shown where it is, with the new wish on the page."""
    task = make_task(ID, parts=(2,), products=200)
    task.reset(seed=0)
    for action in task.inner.solution_of(task.task.parts[0]):
        observation, *_ = task.step(action)

    assert "Part 1 of 2 is answered." in observation
    assert task.task.goals[1] in observation
