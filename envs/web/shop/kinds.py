"""The kinds of product that generated shops sell, read from `kinds.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

# How a buyer calls an option; kinds never have two of the same name.
OPTION_NAMES: Mapping[str, str] = {
    "clothes": "size", "shoes": "size", "bed": "size", "window": "size", "rug": "size", "pack": "count",
    "model": "compatible model", "fit": "fit type", "storage": "capacity",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of product.

    Attributes:
        query: the search for which it is listed.
        category: from general to special.
        nouns: what it is called.
        attributes: groups, of each of which a product has at most one.
        options: (name, values) of what may be chosen.
        price: lowest and highest, in dollars.
        uses: what it is for.
    """

    query: str
    category: tuple[str, ...]
    nouns: tuple[str, ...]
    attributes: tuple[tuple[str, ...], ...]
    options: tuple[tuple[str, tuple[str, ...]], ...]
    price: tuple[float, float]
    uses: tuple[str, ...]


@cache
def kinds() -> tuple[Kind, ...]:
    """All kinds, in order."""
    data = tomllib.loads(files(__package__ or "").joinpath("kinds.toml").read_text(encoding="utf-8"))
    values = data["options"]
    return tuple(
        Kind(
            query=kind["query"],
            category=tuple(kind["category"]),
            nouns=tuple(kind["nouns"]),
            attributes=tuple(tuple(group.split("|")) for group in kind["attributes"]),
            options=tuple((OPTION_NAMES.get(name, name), tuple(values[name])) for name in kind["options"]),
            price=(kind["price"][0], kind["price"][1]),
            uses=tuple(kind["uses"]),
        )
        for kind in data["kinds"]
    )
