"""The imperfect demonstrator of the shop, and pages with fewer results."""

from __future__ import annotations

import random

import pytest

from cmat_env.envs.web.shop import WebShopEnv
from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate
from cmat_env.policies.scripted import DemonstratorPolicy
from cmat_env.registry import make


def solved(error: float, *, episodes: int = 40) -> float:
    """Share of the episodes that the demonstrator solves."""
    report = evaluate(
        lambda: make("cmat/WebShop-v0", roles=("assistant",), products=100, per_page=3, demonstrator_error=error),
        {"assistant": DemonstratorPolicy()},
        episodes=episodes,
    )
    return report.success_rate or 0.0


def test_slips_cost_success_and_without_them_nearly_all_is_right() -> None:
    """So that reward has something to select: what is right is among what was shown."""
    assert solved(0.0) >= 0.95
    assert 0.1 < solved(0.5) < 0.7
    assert solved(1.0) < 0.1


def actions(env: WebShopEnv) -> list[str]:
    """The demonstrator's episode of seed 0."""
    env.reset(seed=0)
    rng, over = random.Random(0), False
    taken: list[str] = []
    while not over:
        taken.append(env.demonstrate(rng))
        _, _, over, _, _ = env.step(taken[-1])
    return taken


def test_it_searches_with_the_words_of_the_instruction_and_takes_what_is_wanted() -> None:
    """What it does can be read off what it was shown; slips take another product, and no options."""
    env = WebShopEnv(products=100, per_page=3, demonstrator_error=0.0)
    right = actions(env)
    goal = env.task
    slipping = WebShopEnv(products=100, per_page=3, demonstrator_error=1.0)
    wrong = actions(slipping)

    assert [f"Action: search[{goal.instruction}]", f"Action: click[{goal.product_id.lower()}]"] == right[:2]
    assert len(right) == 3 + len(goal.options)
    assert right[0] == wrong[0]
    assert right[1] != wrong[1]
    assert ["Action: click[buy now]"] == wrong[2:]


def test_a_refused_slip_is_followed_by_what_is_right() -> None:
    """The checker's word is heard, once there is another choice."""
    env = WebShopEnv(products=100, per_page=3, demonstrator_error=1.0)
    env.reset(seed=0)
    env.step(env.demonstrate(random.Random(0)))
    slip = env.demonstrate(random.Random(0))

    assert f"Action: click[{env.task.product_id.lower()}]" == env.demonstrate(random.Random(0), [slip])


def test_a_page_shows_no_more_results_than_it_should() -> None:
    """The others are on the next page."""
    env = WebShopEnv(products=100, per_page=3)
    env.reset(seed=0)
    first = env.step(f"search[{env.task.instruction}]")[0]
    second = env.step("click[next >]")[0]

    assert 3 == first.count("[SEP] $")
    assert "Page 2" in second
    with pytest.raises(ConfigError, match="per_page=0"):
        WebShopEnv(per_page=0)
    with pytest.raises(ConfigError, match="demonstrator_error"):
        WebShopEnv(demonstrator_error=1.5)
