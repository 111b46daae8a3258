"""`cmat/WebShop-Composite-v0`: a customer who comes back: two or three linked purchases in one shop.

The first purchase is any goal of the shop; each later one speaks of the one before: the same thing again, in another
of its options.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from functools import partial

from cmat_env.envs.composite.env import Closing, CompositeEnv, Paying
from cmat_env.envs.composite.tasks import Composite, composite_source
from cmat_env.envs.source import split_of
from cmat_env.envs.web.shop.catalogue import Catalogue, Goal
from cmat_env.envs.web.shop.codec import FormatName
from cmat_env.envs.web.shop.env import WebShopEnv
from cmat_env.envs.web.shop.generate import SPLITS, Split, generate_goal
from cmat_env.errors import ConfigError

LENGTHS = (2, 3)
_TRIES = 1_000
_AGAIN = ("buy the same thing again, but with {name} {value}", "now the same in {name} {value}, please")


def generate_chain(
    split: Split, catalogue: Catalogue, *, seed: int, lengths: Sequence[int] = LENGTHS
) -> Composite[Goal]:
    """Draw one composite task: a pure function of the shop and the seed.

    Args:
        split: only names the task.
        catalogue: the shop.
        seed: any whole number; neighbours are unrelated.
        lengths: numbers of purchases to draw from.

    Raises:
        ConfigError: there is no such length, or no product of the shop has enough options.
    """
    if not lengths or not set(lengths) <= set(LENGTHS):
        raise ConfigError(f"parts={lengths!r}: wanted some of {', '.join(map(str, LENGTHS))}")
    rng = random.Random(f"chain/{split}/{seed}")
    length = rng.choice(tuple(lengths))
    for _ in range(_TRIES):
        first = generate_goal(split, catalogue, seed=rng.getrandbits(48))
        rich = [(name, values) for name, values in catalogue.by_id[first.product_id].options if len(values) >= length]
        if rich:
            break
    else:
        raise ConfigError(f"no product of the shop has an option with {length} values; wanted a larger shop")
    name, values = rng.choice(rich)
    wanted = dict(first.options).get(name)
    others = rng.sample([value for value in values if value != wanted], length - 1)
    said = [(first.instruction,), *(tuple(w.format(name=name, value=value) for w in _AGAIN) for value in others)]
    goals = tuple(rng.choice(words) for words in said)
    id = f"composite-{split}-{seed}"
    kept = tuple((key, value) for key, value in first.options if key != name)
    parts = [dataclasses.replace(first, id=f"{id}/0")]
    for place, value in enumerate(others, 1):
        options = (*kept, (name, value))
        parts.append(dataclasses.replace(first, id=f"{id}/{place}", instruction=goals[place], options=options))
    return Composite(
        id=id,
        family=f"{length} parts",
        parts=tuple(parts),
        families=("buy", *("again",) * (length - 1)),
        opening="",
        goals=goals,
        wordings=tuple(said),
    )


def WebShopCompositeEnv(  # noqa: N802 - what `register` and users call like the other environments
    tasks: str | Sequence[Composite[Goal]] = "generated:train",
    *,
    parts: Sequence[int] = LENGTHS,
    closing: Closing = "answers",
    reward: Paying = "whole",
    products: int = 1_000,
    shop_seed: int = 0,
    action_format: FormatName = "text",
    max_rounds: int | None = None,
) -> CompositeEnv:
    """A composite task of the shop.

    Args:
        tasks: "generated:train", "generated:dev", "generated:heldout" (each a shop of its own), or the tasks, for the
            shop of training.
        parts: of generated tasks, numbers of purchases to draw from.
        closing, reward: see `CompositeEnv`.
        products, shop_seed, action_format, max_rounds: see `WebShopEnv`; rounds are those of a purchase.

    Raises:
        ConfigError, UnknownNameError: an argument is not what it should be.
    """
    inner = WebShopEnv(
        f"generated:{split_of(tasks, SPLITS) or 'train'}",
        products=products,
        shop_seed=shop_seed,
        action_format=action_format,
        max_rounds=max_rounds,
    )
    catalogue, lengths = inner.shop.catalogue, tuple(parts)
    source = composite_source(
        tasks, SPLITS, lambda split: partial(generate_chain, split, catalogue, lengths=lengths), parts=parts
    )
    return CompositeEnv(inner, source, closing=closing, reward=reward)
