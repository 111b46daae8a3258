"""WebShop's reward of a purchase, between 0 and 1.

    r = r_type * (attributes found + options chosen + [price <= limit]) / (|attributes| + |options| + 1)

Source: Yao et al. 2022, arXiv:2207.01206, section 3, and web_agent_site/engine/goal.py of princeton-nlp/WebShop.
Ours: nouns of a title are told by a list of words and endings instead of spaCy; a goal without a price limit counts its
price as kept; the product in mind itself has r_type 1 whatever its title is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.fuzz import token_set_ratio
from rapidfuzz.utils import default_process

from cmat_env.envs.web.shop.catalogue import Goal, Product

_ENOUGH = 85
_COLOURS = (
    "aqua", "beige", "black", "blue", "bronze", "brown", "burgundy", "champagne", "charcoal", "chrome", "clear",
    "copper", "coral", "cream", "fuchsia", "gold", "gray", "grey", "green", "indigo", "ivory", "khaki", "lavender",
    "lilac", "magenta", "maroon", "mint", "navy", "nude", "olive", "orange", "peach", "pink", "plum", "purple", "red",
    "rose", "rust", "silver", "tan", "teal", "transparent", "turquoise", "violet", "white", "yellow",
)  # fmt: skip
_PLAIN_WORDS = """
    a able all an and any are as at best big black blue brown by cool cozy dark deep dry easy extra fast fine for fresh
    free from full gold good gray great green heavy high hot in into is it its large light long low mini modern natural
    new no non of off old on one or orange out over pink plus portable premium pure purple quick red round short silver
    size slim small smart soft strong super thick thin to top tough true two ultra up vintage warm white wide with
    without yellow your
    """
_NO_NOUNS = frozenset(_PLAIN_WORDS.split())
_ADJECTIVES = ("able", "ible", "ful", "less", "ous", "ive", "ish", "ed", "ly", "est", "proof")
_WORD = re.compile(r"[a-z]{3,}")


@dataclass(frozen=True, slots=True)
class Score:
    """The parts of a reward.

    Attributes:
        reward: in [0, 1].
        type: 0, 0.1, 0.5 or 1: is it the right kind of thing?
        attributes: how many of the wanted ones it has.
        options: how many of the wanted ones were chosen.
        price: is it within the limit?
    """

    reward: float
    type: float
    attributes: int
    options: int
    price: bool


def score_purchase(goal: Goal, wanted: Product, bought: Product, chosen: Iterable[tuple[str, str]]) -> Score:
    """Grade a purchase.

    Args:
        goal: what was asked for.
        wanted: the product that the goal has in mind.
        bought: the product.
        chosen: (name, value) of the options that were chosen.
    """
    kind = _type_score(wanted, bought)
    attributes = sum(_has_attribute(bought, attribute) for attribute in goal.attributes)
    values = [_colour_of(value) for _, value in chosen]
    options = sum(any(alike(value, _colour_of(want)) for value in values) for _, want in goal.options)
    price = bought.price <= goal.price_upper
    share = (attributes + options + price) / (len(goal.attributes) + len(goal.options) + 1)
    return Score(kind * share, kind, attributes, options, price)


def can_fulfil(goal: Goal, wanted: Product, bought: Product) -> bool:
    """Can a purchase of this product earn the whole reward?"""
    every = [(name, value) for name, values in bought.options for value in values]
    return score_purchase(goal, wanted, bought, every).reward == 1.0


@lru_cache(maxsize=8_192)
def _nouns(title: str) -> frozenset[str]:
    """The words of a title that look like nouns."""
    words = _WORD.findall(title.lower())
    return frozenset(word for word in words if word not in _NO_NOUNS and not word.endswith(_ADJECTIVES))


def _type_score(wanted: Product, bought: Product) -> float:
    if wanted.id == bought.id:
        return 1.0
    nouns = _nouns(wanted.name)
    title = len(nouns & _nouns(bought.name)) / len(nouns) if nouns else 0.2
    if title == 0.0:
        return 0.0
    if title < 0.1:
        return 0.1
    same_query = bool(wanted.query) and wanted.query == bought.query
    same_category = len(set(wanted.category) & set(bought.category)) >= 2
    return 1.0 if same_query or same_category or title > 0.2 else 0.5


def _has_attribute(product: Product, attribute: str) -> bool:
    if any(alike(own, attribute) for own in product.attributes):
        return True
    needle = attribute.lower()
    texts = (product.name, product.description, *product.features)
    return any(needle in text.lower() for text in texts)


def _colour_of(value: str) -> str:
    """The colour that a value names, as upstream in the order of the list; the value itself if it names none."""
    value = value.lower()
    return next((colour for colour in _COLOURS if colour in value), value)


@lru_cache(maxsize=65_536)
def alike(one: str, other: str) -> bool:
    """Are two texts the same to WebShop's fuzzy match?"""
    return round(token_set_ratio(one, other, processor=default_process)) > _ENOUGH
