"""`cmat/WebShop-Composite-v0`: a customer who comes back: two to four linked purchases in one shop.

The first purchase is any goal of the shop; each later one speaks of it: "again" = the same thing in another of its
options, "cheaper" = another of its kind for less, "matching" = something else in the option that the first was wanted
in, "budget" = something else, from what the first leaves of a sum. Where its price matters, no other product fulfils
the first goal.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from cmat_env.checks import check_known
from cmat_env.envs.composite.env import Closing, CompositeEnv, Paying
from cmat_env.envs.composite.tasks import Composite, composite_source
from cmat_env.envs.source import split_of
from cmat_env.envs.web.shop.catalogue import Catalogue, Goal
from cmat_env.envs.web.shop.codec import FormatName
from cmat_env.envs.web.shop.env import WebShopEnv
from cmat_env.envs.web.shop.generate import SPLITS, Split, generate_goal
from cmat_env.envs.web.shop.instruct import noun_of
from cmat_env.envs.web.shop.reward import can_fulfil
from cmat_env.errors import ConfigError

LinkName = Literal["again", "cheaper", "matching", "budget"]
LENGTHS = (2, 3, 4)
USUAL_LENGTHS = (2, 3)
_TRIES = 1_000
_PRICED = frozenset({"cheaper", "budget"})


@dataclass(frozen=True, slots=True)
class Link:
    """A later purchase.

    Attributes:
        goal: what is wanted; its id and its words are given when it takes its place.
        wordings: ways to say it.
        detail: a thing that they say, by itself.
        vague: ways to say it without that; () = there are none.
    """

    goal: Goal
    wordings: tuple[str, ...]
    detail: str = ""
    vague: tuple[str, ...] = ()


def _again(first: Goal, name: str, value: str, *, alone: bool) -> Link:
    """`alone` = no other link is in the task, so that there is no doubt which thing is meant."""
    thing, it = ("the same thing", "the same") if alone else ("the first thing", "the first thing again")
    kept = tuple((key, wanted) for key, wanted in first.options if key != name)
    return Link(
        dataclasses.replace(first, options=(*kept, (name, value)), wordings=()),
        (f"buy {thing} again, but with {name} {value}", f"now {it} in {name} {value}, please"),
        f"The option {name} is {value}.",
        (f"buy {thing} again, but with another {name}", f"now {it} in another {name}, please"),
    )


def _cheaper(rng: random.Random, first: Goal, shop: Catalogue) -> Link | None:
    bought = shop.by_id[first.product_id]
    others = [each for each in shop.products if each.query == bought.query and each.price < bought.price]
    if not others:
        return None
    goal = Goal("", "", rng.choice(others).id, (), (), round(bought.price - 0.01, 2))
    kind = bought.query
    return Link(
        goal, (f"now some other {kind} that cost less than the first", f"find me cheaper {kind} than the first")
    )


def _matching(rng: random.Random, first: Goal, shop: Catalogue) -> Link | None:
    query = shop.by_id[first.product_id].query
    name, value = rng.choice(first.options) if first.options else ("", "")
    others = [each for each in shop.products if each.query != query and value in dict(each.options).get(name, ())]
    if not others:
        return None
    wanted = rng.choice(others)
    attribute, noun = rng.choice(wanted.attributes), noun_of(wanted)
    goal = Goal("", "", wanted.id, (attribute,), ((name, value),), math.inf)
    return Link(
        goal,
        (
            f"now {noun} with {attribute}, in the same {name} as the first",
            f"to go with the first, get me {noun}, {attribute}, in its {name}",
        ),
    )


def _budget(rng: random.Random, first: Goal, shop: Catalogue) -> Link | None:
    bought = shop.by_id[first.product_id]
    others = [each for each in shop.products if each.query != bought.query]
    if not others:
        return None
    wanted = rng.choice(others)
    attribute, noun = rng.choice(wanted.attributes), noun_of(wanted)
    total = 10 * math.ceil((bought.price + wanted.price) / 10)
    goal = Goal("", "", wanted.id, (attribute,), (), round(total - bought.price, 2))
    return Link(
        goal,
        (
            f"i have {total} dollars for the first and {noun} with {attribute} together, buy the latter with the rest",
            f"now {noun}, {attribute}, for what the first leaves of {total} dollars",
        ),
        f"My budget for the first and this together is {total} dollars.",
        (
            f"my budget is for the first and {noun} with {attribute} together, buy the latter with the rest",
            f"now {noun}, {attribute}, for what the first leaves of my budget",
        ),
    )


_OTHERS: Mapping[str, Callable[[random.Random, Goal, Catalogue], Link | None]] = {
    "cheaper": _cheaper,
    "matching": _matching,
    "budget": _budget,
}
LINKS = ("again", *_OTHERS)


def generate_chain(
    split: Split,
    catalogue: Catalogue,
    *,
    seed: int,
    lengths: Sequence[int] = USUAL_LENGTHS,
    links: Sequence[LinkName] = ("again",),
    vague: bool = False,
) -> Composite[Goal]:
    """Draw one composite task: a pure function of the shop and the other arguments.

    Args:
        split: only names the task.
        catalogue: the shop.
        seed: any whole number; neighbours are unrelated.
        lengths: numbers of purchases to draw from.
        links: kinds of later purchases to draw from; each but "again" is used once in a task.
        vague: leave the other option and the budget out of what is said; the user knows them.

    Raises:
        ConfigError: there is no such length, too few links for one, or the shop has no such purchases.
        UnknownNameError: there is no such link.
    """
    if not lengths or not set(lengths) <= set(LENGTHS):
        raise ConfigError(f"parts={lengths!r}: wanted some of {', '.join(map(str, LENGTHS))}")
    for link in links:
        check_known("links", link, LINKS)
    rng = random.Random(f"chain/{split}/{seed}")
    kinds = _kinds(rng, rng.choice(tuple(lengths)) - 1, links)
    for _ in range(_TRIES):
        first = generate_goal(split, catalogue, seed=rng.getrandbits(48))
        drawn = _links(rng, first, catalogue, kinds)
        if drawn is not None:
            return _chain(rng, first, kinds, drawn, id=f"composite-{split}-{seed}", vague=vague)
    raise ConfigError(f"no first purchase of the shop can be followed by {', '.join(kinds)}; wanted a larger shop")


def _kinds(rng: random.Random, count: int, links: Sequence[str]) -> list[str]:
    """Which links a task has, in order."""
    others = [name for name in dict.fromkeys(links) if name != "again"]
    pool = [*others, *["again"] * (max(1, count - len(others)) if "again" in links else 0)]
    if len(pool) < count:
        raise ConfigError(f"links={list(links)!r} are too few for {count + 1} parts; add 'again', which may come twice")
    return rng.sample(pool, count) if others else pool


def _links(rng: random.Random, first: Goal, shop: Catalogue, kinds: Sequence[str]) -> list[Link] | None:
    """The later purchases; None where this first one cannot be followed by them."""
    again = kinds.count("again")
    rich = [(name, values) for name, values in shop.by_id[first.product_id].options if len(values) > again]
    if (again and not rich) or (_PRICED.intersection(kinds) and not _is_alone(first, shop)):
        return None
    values: list[str] = []
    if again:
        name, offered = rng.choice(rich)
        wanted = dict(first.options).get(name)
        values = rng.sample([value for value in offered if value != wanted], again)
    drawn = []
    for kind in kinds:
        if kind == "again":
            link: Link | None = _again(first, name, values.pop(0), alone=again == len(kinds))
        else:
            link = _OTHERS[kind](rng, first, shop)
        if link is None:
            return None
        drawn.append(link)
    return drawn


def _is_alone(goal: Goal, shop: Catalogue) -> bool:
    """Does no other product fulfil the goal?"""
    wanted = shop.by_id[goal.product_id]
    return not any(each.id != wanted.id and can_fulfil(goal, wanted, each) for each in shop.products)


def _chain(
    rng: random.Random, first: Goal, kinds: Sequence[str], links: Sequence[Link], *, id: str, vague: bool
) -> Composite[Goal]:
    said = [(first.instruction,), *(link.vague if vague and link.vague else link.wordings for link in links)]
    goals = tuple(rng.choice(words) for words in said)
    wanted = [first, *(link.goal for link in links)]
    told = [(f"Part {number}: {link.detail}", bool(link.vague)) for number, link in enumerate(links, 2) if link.detail]
    return Composite(
        id=id,
        family=f"{len(goals)} parts",
        parts=tuple(
            dataclasses.replace(goal, id=f"{id}/{place}", instruction=words)
            for place, (goal, words) in enumerate(zip(wanted, goals, strict=True))
        ),
        families=("buy", *kinds),
        opening="",
        goals=goals,
        wordings=(first.wordings, *said[1:]),
        facts=tuple(text for text, left_out in told if vague and left_out),
        details=(
            *(f"Part 1: {detail}" for detail in first.details),
            *(text for text, left_out in told if not (vague and left_out)),
        ),
    )


def WebShopCompositeEnv(  # noqa: N802 - what `register` and users call like the other environments
    tasks: str | Sequence[Composite[Goal]] = "generated:train",
    *,
    parts: Sequence[int] = USUAL_LENGTHS,
    links: Sequence[LinkName] = ("again",),
    vague: bool = False,
    closing: Closing = "answers",
    reward: Paying = "whole",
    report: bool = False,
    retries: int = 0,
    products: int = 1_000,
    shop_seed: int = 0,
    action_format: FormatName = "text",
    max_rounds: int | None = None,
) -> CompositeEnv:
    """A composite task of the shop.

    Args:
        tasks: "generated:train", "generated:dev", "generated:heldout" (each a shop of its own), or the tasks, for the
            shop of training.
        parts: of generated tasks, numbers of purchases to draw from: 2, 3, 4.
        links: of generated tasks, kinds of later purchases to draw from: "again", "cheaper", "matching", "budget".
        vague: of generated tasks, leave a detail out that the user knows and tells when asked (`questions=N`).
        closing, reward, report, retries: see `CompositeEnv`.
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
    catalogue, lengths, kinds = inner.shop.catalogue, tuple(parts), tuple(links)
    source = composite_source(
        tasks,
        SPLITS,
        lambda split: partial(generate_chain, split, catalogue, lengths=lengths, links=kinds, vague=vague),
        parts=parts,
    )
    return CompositeEnv(inner, source, closing=closing, reward=reward, report=report, retries=retries)
