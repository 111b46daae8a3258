"""A customer who comes back: linked purchases in one shop."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any

import pytest

from cmat_env.envs.web.shop import Goal, Product, generate_catalogue
from cmat_env.envs.web.shop.chain import LINKS, generate_chain
from cmat_env.envs.web.shop.reward import score_purchase
from cmat_env.errors import ConfigError
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


def test_the_usual_tasks_are_those_of_ever() -> None:
    """Two or three parts, the same thing again: published figures were measured on what these seeds give."""
    shop = generate_catalogue("train", products=200, seed=0)
    tasks = [generate_chain("train", shop, seed=seed) for seed in range(60)]
    said = "\n".join(
        f"{goal} {part.options}" for task in tasks for goal, part in zip(task.goals, task.parts, strict=True)
    )

    assert "60a28e7120416b1e" == hashlib.sha256(said.encode()).hexdigest()[:16]
    assert {("buy", "again"), ("buy", "again", "again")} == {task.families for task in tasks}


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_four_parts_of_all_links_are_solved_and_judged(split: str) -> None:
    """Gold solves them all, and no right action is called bad."""
    report = evaluate(
        functools.partial(make, ID, tasks=f"generated:{split}", products=200, parts=(2, 3, 4), links=LINKS),
        {"user": "user:split", "assistant": "gold", "checker": "oracle"},
        episodes=60,
    )

    assert report.success_rate == 1.0
    assert {"2 parts", "3 parts", "4 parts"} == set(report.by_type)
    assert {"buy", *LINKS} == set(report.parts)
    assert report.checker is not None
    assert 0.0 == report.checker.false_alarm_rate


def linked(kind: str) -> tuple[Any, Goal, Product, Product]:
    """A task of two parts, with the later goal, the first product, and the one in mind for the second."""
    task = make_task(ID, parts=(2,), links=(kind,), products=200)
    task.reset(seed=1)
    first, later = task.task.parts
    by_id = task.inner.shop.catalogue.by_id
    return task, later, by_id[first.product_id], by_id[later.product_id]


def test_what_is_cheaper_costs_less_than_the_first() -> None:
    """Any of its kind that does is right; the first one again, or one for as much, is not."""
    _, goal, first, wanted = linked("cheaper")

    assert wanted.query == first.query
    assert wanted.price < first.price
    assert 1.0 == score_purchase(goal, wanted, wanted, ()).reward
    assert 0.0 == score_purchase(goal, wanted, first, ()).reward
    assert 0.0 == score_purchase(goal, wanted, dataclasses.replace(wanted, price=first.price), ()).reward


def test_what_matches_has_the_option_of_the_first() -> None:
    """Another kind of thing; without the option it is not right."""
    task, goal, first, wanted = linked("matching")

    assert wanted.query != first.query
    assert goal.options[0] in task.task.parts[0].options
    assert 1.0 == score_purchase(goal, wanted, wanted, goal.options).reward
    assert 1.0 > score_purchase(goal, wanted, wanted, ()).reward
    assert goal.options[0][1] not in task.task.goals[1]


def test_a_budget_is_what_the_first_leaves_of_a_sum() -> None:
    """Of the sum that is said, to the cent."""
    task, goal, first, wanted = linked("budget")
    total = next(int(word) for word in task.task.goals[1].replace(",", " ").split() if word.isdigit())
    over = dataclasses.replace(wanted, price=round(total - first.price + 0.01, 2))

    assert goal.price_upper == pytest.approx(total - first.price)
    assert wanted.price <= goal.price_upper
    assert 1.0 == score_purchase(goal, wanted, wanted, ()).reward
    assert 1.0 > score_purchase(goal, wanted, over, ()).reward


@pytest.mark.parametrize("kind", ["cheaper", "budget"])
def test_where_its_price_matters_the_first_purchase_is_without_doubt(kind: str) -> None:
    """No other product of the shop fulfils the first goal, so that whoever bought rightly has bought that one."""
    shop = generate_catalogue("train", products=200, seed=0)
    for seed in range(30):
        first = generate_chain("train", shop, seed=seed, lengths=(2,), links=(kind,)).parts[0]  # type: ignore[arg-type]
        wanted = shop.by_id[first.product_id]
        right = [
            product
            for product in shop.products
            if score_purchase(first, wanted, product, [(n, v) for n, vs in product.options for v in vs]).reward == 1.0
        ]
        assert [wanted] == right


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"parts": (5,)}, ConfigError),
        ({"parts": (4,), "links": ("cheaper",)}, ConfigError),
        ({"links": ("dearer",)}, ConfigError),
        ({"retries": 1}, ConfigError),
        ({"products": 1, "links": ("matching",)}, ConfigError),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], error: type[Exception]) -> None:
    """Met when the task is made."""
    with pytest.raises(error):
        make_task(ID, **{"products": 200, **settings})


def test_a_purchase_that_was_wrong_may_be_tried_again() -> None:
    """From the front page, with the same wish."""
    task = make_task(ID, parts=(2,), products=200, report=True, retries=1)
    task.reset(seed=0)
    first, second = (task.inner.solution_of(part) for part in task.task.parts)
    for action in [*first, *first]:
        observation, *_, info = task.step(action)

    assert "Part 2 was wrong; it may be answered again." in observation
    assert task.task.goals[1] in observation
    assert info["milestone"]
    for action in second:
        *_, info = task.step(action)
    assert info["success"]


def test_the_next_part_begins_at_the_front_page() -> None:
    """The assistant is shown where it is, with the new wish on the page."""
    task = make_task(ID, parts=(2,), products=200)
    task.reset(seed=0)
    for action in task.inner.solution_of(task.task.parts[0]):
        observation, *_ = task.step(action)

    assert "Part 1 of 2 is answered." in observation
    assert task.task.goals[1] in observation
