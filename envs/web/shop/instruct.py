"""Words for a goal, in the manner of the instructions that people wrote for WebShop: short, loose, in any order."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from cmat_env.envs.web.shop.catalogue import Product
from cmat_env.envs.web.shop.kinds import kinds

_OPENERS = (
    *("i am looking for", "i am looking for", "im looking for", "i would like", "i need", "i want", "looking for"),
    *("i am interested in", "find me", "can you find", "help me find", "i want to buy", "id like to buy", "get me"),
    *("im searching for", "i want to find", "please get me", "i need to buy", "show me", "i am in need of"),
)
_AFTER = (", {}", " with {}", " that is {}", ". it should be {}", ", must be {}", " which is {}")
_OPTION = {
    "color": ("in {}", "in the color {}", "that is {} colored", ", {}", ". pick the {} one"),
    "size": ("in size {}", "in a size {}", ", size {}", ". the size should be {}"),
    "flavor": ("in {} flavor", ", {} flavored", ". i want the {} flavor"),
    "scent": ("in {} scent", ". choose the {} scent", ", {} scented"),
}
_OPTION_OTHER = (", {name} {}", "({name}: {})", ", {} as {name}", ". the {name} should be {}")
_PRICE = (
    ", and price lower than {:.2f} dollars",
    ", and price lower than {:.2f} dollars",
    " under ${:.0f}",
    " for less than {:.0f} dollars",
    ", my budget is ${:.0f}",
    ", price below {:.0f} dollars please",
    ". it must not cost more than ${:.2f}",
)


def write_instruction(
    rng: random.Random,
    product: Product,
    attributes: Sequence[str],
    options: Sequence[tuple[str, str]],
    price_upper: float,
) -> str:
    """One to three sentences that name the kind of product, all attributes and options, and the price limit.

    Args:
        rng: all randomness.
        product: the product in mind; its brand is not given away.
        attributes: what it must be.
        options: (name, value) of what must be chosen.
        price_upper: in dollars; infinite = not said.
    """
    noun = noun_of(product)
    before = [attribute for attribute in attributes if rng.random() < 0.55]
    after = [attribute for attribute in attributes if attribute not in before]
    phrase = f"{', '.join(before[:-1])} {before[-1]} {noun}".strip() if before else noun
    article = "" if noun.endswith("s") and rng.random() < 0.8 else "an " if phrase[0] in "aeiou" else "a "
    use = f" for {product.name.rpartition(' for ')[2].partition(',')[0]}" if rng.random() < 0.35 else ""
    clauses = [rng.choice(_OPTION.get(name, _OPTION_OTHER)).format(value, name=name) for name, value in options]
    if after:
        clauses.append(rng.choice(_AFTER).format(" and ".join(after)))
    rng.shuffle(clauses)
    # A clause that begins a sentence comes after those that go on with the first one.
    clauses.sort(key=lambda clause: clause.startswith("."))
    text = f"{rng.choice(_OPENERS)} {article}{phrase}{use}"
    for clause in clauses:
        text += clause if clause[0] in ",. " else f" {clause}"
    if math.isfinite(price_upper):
        text += rng.choice(_PRICE).format(price_upper)
    return text


def noun_of(product: Product) -> str:
    """What the product is called: the noun of its kind that its title holds."""
    title = product.name.lower()
    for kind in kinds():
        for noun in kind.nouns:
            if kind.query == product.query and noun in title:
                return noun
    return product.query or product.name
