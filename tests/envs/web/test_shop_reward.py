"""WebShop's reward, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cmat_env.envs.web.shop import Goal, Product
from cmat_env.envs.web.shop.reward import Score, score_purchase

RED = ("color", "red")
WANTED = Product.of(
    "A1",
    "Norvale Running Shoes",
    category=("Clothing", "Shoes", "Running"),
    query="running shoes",
    price=40,
    attributes=("arch support",),
    description="With a non slip sole.",
)
OTHER = replace(WANTED, id="A2", query="sneakers")
GOAL = Goal("g", "", "A1", ("arch support", "non slip"), (RED, ("size", "8")), 50.0)


def test_everything_right_is_worth_one() -> None:
    """An attribute counts from the list or the text; options count by value."""
    assert Score(1.0, 1.0, 2, 2, True) == score_purchase(GOAL, WANTED, WANTED, [RED, ("size", "8")])


@pytest.mark.parametrize(
    ("bought", "chosen", "reward"),
    [
        (WANTED, [RED], 4 / 5),
        (WANTED, [], 3 / 5),
        (replace(WANTED, price=51.0), [RED, ("size", "8")], 4 / 5),
        (replace(WANTED, attributes=(), description=""), [RED, ("size", "8")], 3 / 5),
        (replace(WANTED, attributes=("support arch",), description=""), [RED, ("size", "8")], 4 / 5),
    ],
)
def test_each_part_missing_costs_its_share(bought: Product, chosen: list[tuple[str, str]], reward: float) -> None:
    """r = r_type (attributes + options + price) / (n + m + 1); the match of attributes ignores the order of words."""
    assert reward == pytest.approx(score_purchase(GOAL, WANTED, bought, chosen).reward)


@pytest.mark.parametrize(
    ("name", "category", "query", "kind"),
    [
        ("Norvale Running Shoes", (), "", 1.0),
        ("Some Table Lamp", ("Clothing", "Shoes", "Running"), "running shoes", 0.0),
        ("Velour Shoes", (), "", 1.0),
    ],
)
def test_the_type_is_told_by_title_category_and_query(
    name: str, category: tuple[str, ...], query: str, kind: float
) -> None:
    """A title without a shared noun is worth nothing, even in the right category."""
    bought = replace(OTHER, name=name, category=category, query=query)
    assert kind == score_purchase(GOAL, WANTED, bought, [RED, ("size", "8")]).type


def test_a_long_title_with_few_shared_nouns_is_half_or_a_tenth() -> None:
    """Between 0 and 0.1 of the nouns shared: 0.1. Up to 0.2 without category or query: 0.5."""
    nouns = [f"noun{letter}" for letter in "abcdefghijk"]
    wanted = replace(WANTED, name=" ".join(nouns))
    bought = replace(OTHER, category=(), query="")

    assert 0.1 == score_purchase(GOAL, wanted, replace(bought, name="nouna"), []).type
    assert 0.5 == score_purchase(GOAL, wanted, replace(bought, name="nouna nounb"), []).type
    assert 1.0 == score_purchase(GOAL, wanted, replace(bought, name="nouna nounb", query="running shoes"), []).type


def test_colours_are_compared_by_their_name() -> None:
    """As upstream, a shade counts as its colour."""
    goal = replace(GOAL, options=(("color", "navy blue"),))
    assert 1 == score_purchase(goal, WANTED, WANTED, [("color", "blue | matte")]).options
    assert 0 == score_purchase(goal, WANTED, WANTED, [("color", "green")]).options


def test_no_price_limit_is_always_kept() -> None:
    """A goal without a limit gives its price point to any price."""
    assert score_purchase(replace(GOAL, price_upper=math.inf), WANTED, WANTED, []).price
