"""Seeded generator of shops and goals. A shop is a pure function of split, size and seed; splits share no product.

Splits differ in brands, ids and draws; kinds of products and words for their qualities are the same, so that what is
learned in one split is of use in another.
"""

from __future__ import annotations

import itertools
import math
import random
import zlib
from functools import cache, lru_cache
from typing import Literal, get_args

from cmat_env.envs.web.search.engine import EngineName
from cmat_env.envs.web.shop.catalogue import Catalogue, Goal, Product
from cmat_env.envs.web.shop.instruct import write_instruction
from cmat_env.envs.web.shop.kinds import Kind, kinds
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

Split = Literal["train", "dev", "heldout"]
SPLITS: tuple[Split, ...] = get_args(Split)
MOST_PRODUCTS = 1_000_000
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_SPACE = 36**7
_SPREAD = 48_271_234_567  # odd and no multiple of 3: numbers below _ID_SPACE are permuted
_SYLLABLES = (
    "al bel cor dan el fen gar hal ist jor kal lum mar nor ov pel quil ras sol tam ul vel wes yor zan",
    "a e i o u an en in or ur",
    "dale fit ko line lux max mo nest ra ria rise shine ta tek ton va vale via way zo",
)
_PRAISE = (
    "Works well for {use}.", "Looks like in the pictures.", "I would buy it again.", "Good value at this price.",
    "The {noun} came earlier than I thought.", "My sister loves hers.", "Better than the one I had before.",
)  # fmt: skip
_BLAME = (
    "Smaller than I thought.", "The box was damaged.", "It is fine, no more than that.", "Took two weeks to arrive.",
    "The colour is a bit off.", "Not for {use}, in my opinion.",
)  # fmt: skip
_PRICE_STEPS = tuple(10.0 * step for step in range(1, 100))
_NO_PRICE_SHARE = 0.15
_OPTION_SHARE = 0.65
_MORE_WORDINGS = 2


@lru_cache(maxsize=8)
def generate_catalogue(split: Split, *, products: int, seed: int, search: EngineName = "auto") -> Catalogue:
    """Make a shop; the latest few are kept, and shared by all environments of this process.

    Args:
        split: "train", "dev" (for choosing settings) or "heldout".
        products: how many.
        seed: another one makes another shop.
        search: name of the engine.

    Raises:
        UnknownNameError: there is no such split.
        ConfigError: the number of products is out of range.
    """
    check_split(split)
    if isinstance(products, bool) or not isinstance(products, int) or not 1 <= products <= MOST_PRODUCTS:
        raise ConfigError(f"products={products!r}: wanted a whole number from 1 to {MOST_PRODUCTS:,}")
    rng = random.Random(f"shop/{split}/{seed}")
    return Catalogue((_product(rng, split, number) for number in range(products)), search=search)


def generate_goal(split: Split, catalogue: Catalogue, *, seed: int) -> Goal:
    """Draw what somebody wants of a shop: a pure function of the shop and the seed.

    Args:
        split: only names the task.
        catalogue: the shop.
        seed: any whole number; neighbours are unrelated.
    """
    rng = random.Random(f"goal/{split}/{seed}")
    product = catalogue.products[int(rng.random() * len(catalogue.products))]
    attributes = tuple(rng.sample(product.attributes, min(len(product.attributes), rng.choice((1, 1, 1, 2, 2, 3)))))
    options = tuple((name, rng.choice(values)) for name, values in product.options if rng.random() < _OPTION_SHARE)
    price_upper = draw_price_limit(rng, product.price, unlimited=_NO_PRICE_SHARE)
    instruction = write_instruction(rng, product, attributes, options, price_upper)
    others = random.Random(f"wordings/{split}/{seed}")
    more = [write_instruction(others, product, attributes, options, price_upper) for _ in range(_MORE_WORDINGS)]
    wordings = tuple(dict.fromkeys((instruction, *more)))
    return Goal(f"{split}-{seed}", instruction, product.id, attributes, options, price_upper, wordings)


def draw_price_limit(rng: random.Random, price: float, *, unlimited: float = 0.0) -> float:
    """WebShop's rule, from a seeded generator: of the next four steps of $10 two are drawn, and the higher is taken.

    Args:
        rng: all randomness.
        price: of the product.
        unlimited: share of goals that name no price.
    """
    steps = [step for step in _PRICE_STEPS if step > price][:4]
    if len(steps) < 2 or rng.random() < unlimited:
        return math.inf
    return max(rng.sample(steps, 2))


def check_split(split: str) -> None:
    """Raise UnknownNameError unless there is such a split."""
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r} is unknown; {did_you_mean(str(split), SPLITS)}")


@cache
def brands(split: Split) -> tuple[str, ...]:
    """Invented brands; no two splits have one in common."""
    rng = random.Random("brands")
    names = {"".join(parts).capitalize() for parts in itertools.product(*(line.split() for line in _SYLLABLES))}
    mine = [name for name in sorted(names) if zlib.crc32(name.encode()) % len(SPLITS) == SPLITS.index(split)]
    return tuple(rng.sample(mine, 150))


def _product(rng: random.Random, split: Split, number: int) -> Product:
    kind = rng.choice(kinds())
    noun, use = rng.choice(kind.nouns), rng.choice(kind.uses)
    groups = rng.sample(kind.attributes, min(len(kind.attributes), rng.randint(3, 6)))
    attributes = tuple(rng.choice(group) for group in groups)
    options = tuple((name, _some(rng, values)) for name, values in kind.options if rng.random() < 0.85)
    brand = rng.choice(brands(split))
    series = f"{rng.choice('ABCDEFGHKLMNPRSTVX')}{number * 37 % 100_003}"
    named = rng.sample(attributes, min(len(attributes), rng.randint(1, 3)))
    title = f"{brand} {series} {' '.join(part.title() for part in (*named[1:], noun))} for {use}, {named[0].title()}"
    return Product(
        id=_id(split, number),
        name=title,
        category=kind.category,
        query=kind.query,
        price=_price(rng, kind),
        attributes=attributes,
        options=options,
        description=f"By {brand}: {noun} for {use}. {rng.choice(_PITCHES).format(brand=brand, noun=noun)}",
        features=tuple(rng.choice(_FEATURES).format(attribute, noun=noun) for attribute in attributes),
        reviews=tuple(_review(rng, noun, use) for _ in range(rng.choice((0, 1, 2, 3, 4)))),
    )


_PITCHES = (
    "Every part is checked before it leaves our house.", "{brand} has made things since 1987.",
    "If you are not happy with it, send it back within 30 days.", "Comes in a plain box without plastic.",
    "A gift that people keep.", "Read the instructions before first use of the {noun}.",
)  # fmt: skip
_FEATURES = (
    "{0}: what you would expect of it, and a little more", "You asked for {0}, here it is", "{0} for years to come",
    "This {noun} has it: {0}", "{0}, tested by people like you",
)  # fmt: skip


def _some(rng: random.Random, values: tuple[str, ...]) -> tuple[str, ...]:
    chosen = set(rng.sample(values, min(len(values), rng.randint(2, 6))))
    return tuple(value for value in values if value in chosen)


def _price(rng: random.Random, kind: Kind) -> float:
    low, high = kind.price
    whole = math.floor(low * math.pow(high / low, rng.random()))
    return whole + rng.choice((0.99, 0.95, 0.49, 0.0))


def _review(rng: random.Random, noun: str, use: str) -> tuple[int, str]:
    stars = rng.choice((1, 2, 3, 4, 4, 5, 5, 5))
    return stars, rng.choice(_PRAISE if stars > 3 else _BLAME).format(noun=noun, use=use)


def _id(split: Split, number: int) -> str:
    """Ten letters and digits, like those of a well-known shop, another beginning for each split."""
    code = number * _SPREAD % _ID_SPACE
    letters = ""
    for _ in range(7):
        code, digit = divmod(code, 36)
        letters = _DIGITS[digit] + letters
    return f"B0{_DIGITS[SPLITS.index(split)]}{letters}"
