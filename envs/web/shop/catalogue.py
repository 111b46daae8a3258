"""What a shop sells, and what somebody wants of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cmat_env.envs.web.search import SearchEngine, open_engine
from cmat_env.envs.web.search.engine import EngineName
from cmat_env.envs.web.text import clean
from cmat_env.errors import ConfigError
from cmat_env.types import Brief

Choices = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Product:
    """One product; all texts are `text.clean`.

    Attributes:
        id: unique in a catalogue, upper-case letters and digits, such as "B01K8XNV2Q".
        name: its title.
        category: from general to special.
        query: the search for which it was listed; products of one kind share it.
        price: in dollars.
        attributes: what it is, such as "machine washable".
        options: (name, values) of what a buyer chooses.
        description: a paragraph.
        features: bullet points.
        reviews: (stars, text).
    """

    id: str
    name: str
    category: tuple[str, ...]
    query: str
    price: float
    attributes: tuple[str, ...] = ()
    options: Choices = ()
    description: str = ""
    features: tuple[str, ...] = ()
    reviews: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(
        cls,
        id: str,
        name: str,
        *,
        category: Iterable[str] = (),
        query: str = "",
        price: float,
        attributes: Iterable[str] = (),
        options: Iterable[tuple[str, Iterable[str]]] = (),
        description: str = "",
        features: Iterable[str] = (),
        reviews: Iterable[tuple[int, str]] = (),
    ) -> Product:
        """A product from texts of any origin: they are cleaned, empty and repeated ones dropped.

        Raises:
            ConfigError: the id or the price is unusable.
        """
        if not (id.isascii() and id.isalnum()):
            raise ConfigError(f"product id {id!r}: wanted letters and digits, such as 'B01K8XNV2Q'")
        if not 0 <= price < 1e9:
            raise ConfigError(f"product {id}: price {price!r} is no amount in dollars")
        return cls(
            id=id.upper(),
            name=clean(name, limit=500) or id.upper(),
            category=_cleaned(category),
            query=clean(query),
            price=round(float(price), 2),
            attributes=_cleaned(attributes),
            options=tuple((clean(key, limit=100), kept) for key, values in options if (kept := _cleaned(values))),
            description=clean(description),
            features=_cleaned(features),
            reviews=tuple((stars, clean(text)) for stars, text in reviews),
        )

    def __hash__(self) -> int:  # in the place of one over all texts; caches of drawn pages look products up
        return hash(self.id)

    @property
    def searched_text(self) -> str:
        """What a search engine reads of it. What stands on its sub-pages is not among it: one has to look there."""
        options = " ".join(f"{name} {' '.join(values)}" for name, values in self.options)
        return " ".join((self.name, *self.category, self.query, options))


def _cleaned(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kept for text in texts if (kept := clean(text, limit=1_000))))


@dataclass(frozen=True, slots=True)
class Goal:
    """What somebody wants to buy.

    Attributes:
        id: names the task.
        instruction: their words.
        product_id: the product that they have in mind.
        attributes: what it must be.
        options: (name, value) of what must be chosen.
        price_upper: in dollars, inclusive; infinite = no limit.
        wordings: some ways to say a generated instruction, itself among them.
    """

    id: str
    instruction: str
    product_id: str
    attributes: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    price_upper: float
    wordings: tuple[str, ...] = ()

    @property
    def details(self) -> tuple[str, ...]:
        """What somebody with this goal says when asked for one thing; a generated instruction says it all at once."""
        limit = f"It may cost {self.price_upper:.2f} dollars at most: my budget, the price limit."
        return (
            *((limit,) if math.isfinite(self.price_upper) else ()),
            *(f"The option {name} is {value}." for name, value in self.options),
            *((f"The attributes are: {', '.join(self.attributes)}.",) if self.attributes else ()),
        )

    @property
    def brief(self) -> Brief | None:
        """What the user of a generated task wants and knows; None = no more than the statement."""
        return Brief("", (self.instruction,), (self.wordings,), details=self.details) if self.wordings else None


class Catalogue:
    """Products by id, and a search over them. It never changes, so any number of environments share one.

    Args:
        products: at least one; ids are unique.
        search: name of the engine.

    Raises:
        ConfigError: no product, or two with the same id.
    """

    def __init__(self, products: Iterable[Product], *, search: EngineName = "auto") -> None:
        self.products = tuple(products)
        self.by_id = {product.id: product for product in self.products}
        if not self.products:
            raise ConfigError("a shop needs at least one product")
        if len(self.by_id) < len(self.products):
            raise ConfigError("two products have the same id; give each its own")
        self.engine: SearchEngine = open_engine(
            ((product.id, product.searched_text) for product in self.products), name=search
        )
