"""Generated shops and goals: reproducible, disjoint, unambiguous, in the manner of people."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from cmat_env.envs.web.shop import generate_catalogue, generate_goal
from cmat_env.envs.web.shop.generate import SPLITS, Split, brands
from cmat_env.envs.web.shop.kinds import kinds
from cmat_env.envs.web.shop.reward import _colour_of, alike, score_purchase
from cmat_env.errors import ConfigError, UnknownNameError

COUNT = 1_000


def test_a_shop_and_its_goals_are_the_same_in_every_process() -> None:
    """Nothing depends on the hash seed or on what was made before."""
    code = (
        "from cmat_env.envs.web.shop import generate_catalogue, generate_goal; import hashlib;"
        "c = generate_catalogue('train', products=50, seed=3);"
        "t = repr(c.products) + repr([generate_goal('train', c, seed=s) for s in range(20)]);"
        "print(hashlib.sha256(t.encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert 1 == len(digests)


def test_splits_share_no_product_brand_or_title() -> None:
    """What is held out was never on a shelf of another split."""
    shops = [generate_catalogue(split, products=COUNT, seed=0) for split in SPLITS]
    for one, other in itertools.combinations(shops, 2):
        assert set() == set(one.by_id) & set(other.by_id)
        assert set() == {product.name for product in one.products} & {product.name for product in other.products}
    for one_split, other_split in itertools.combinations(SPLITS, 2):
        assert set() == set(brands(one_split)) & set(brands(other_split))


def test_a_shop_is_varied() -> None:
    """At least 12 departments, every kind, a title for each product, and prices, options and reviews of all sorts."""
    products = generate_catalogue("train", products=COUNT, seed=0).products

    assert 12 <= len({product.category[0] for product in products})
    assert {kind.query for kind in kinds()} == {product.query for product in products}
    assert COUNT == len({product.name for product in products})
    assert {0, 1, 2, 3} >= {len(product.options) for product in products} >= {0, 1, 2}
    assert {0, 1, 2, 3, 4} == {len(product.reviews) for product in products}


@pytest.mark.parametrize("split", SPLITS)
def test_goals_ask_for_what_the_product_is(split: Split) -> None:
    """The product in mind earns 1 with the wanted options, and its price keeps the limit; the words say it all."""
    shop = generate_catalogue(split, products=COUNT, seed=0)
    for seed in range(300):
        goal = generate_goal(split, shop, seed=seed)
        product = shop.by_id[goal.product_id]
        assert 1.0 == score_purchase(goal, product, product, goal.options).reward
        assert set(goal.attributes) <= set(product.attributes)
        said = [*goal.attributes, *(value for _, value in goal.options)]
        said += [f"{goal.price_upper:.0f}"] if math.isfinite(goal.price_upper) else []
        assert [] == [text for text in said if text not in goal.instruction]


def test_no_wrong_option_counts_as_the_right_one() -> None:
    """Values that a buyer can choose among are told apart by the reward's fuzzy match, as are attributes of a kind."""
    for kind in kinds():
        values = [value for _, group in kind.options for value in group]
        attributes = [attribute for group in kind.attributes for attribute in group]
        for one, other in itertools.combinations(values, 2):
            assert not alike(_colour_of(one), _colour_of(other)), (kind.query, one, other)
        for one, other in itertools.permutations(attributes, 2):
            assert not alike(one, other), (kind.query, one, other)
            assert one not in other, (kind.query, one, other)


def test_instructions_are_varied_and_about_as_long_as_those_of_people(agentbench: Path) -> None:
    """Against WebShop's human goals: nearly no repetition, lengths that overlap, ways to begin of the same spread."""
    human = json.loads((agentbench / "web" / "webshop_human_goals.json").read_text(encoding="utf-8"))
    shop = generate_catalogue("train", products=COUNT, seed=0)
    ours = [generate_goal("train", shop, seed=seed).instruction for seed in range(2_000)]

    assert 0.98 < len(set(ours)) / len(ours)
    lengths = [statistics.median(len(text.split()) for text in texts) for texts in (human, ours)]
    assert 10 <= lengths[0] <= lengths[1] <= 24
    assert 40 <= len({" ".join(text.split()[:3]) for text in ours})


def test_mistakes_in_settings_are_told() -> None:
    """An unknown split names the nearest; a wrong size says what is wanted."""
    with pytest.raises(UnknownNameError, match="did you mean 'heldout'"):
        generate_catalogue("held-out", products=5, seed=0)
    for wrong in (0, -1, True, 2_000_000):
        with pytest.raises(ConfigError, match="from 1 to"):
            generate_catalogue("train", products=wrong, seed=0)
