"""WebShop's own product and goal files, for those who have them; nothing of them is shipped here.

Wanted in one folder: `items_shuffle_1000.json` (or `items_shuffle.json`), `items_ins_v2_1000.json` (or
`items_ins_v2.json`) and `items_human_ins.json` (without it, the synthetic goals of items_ins_v2 are taken).
Goals stand in upstream's order (shuffled by seed 233): AgentBench's standard set is 0:200, its development set 200:280.
Ours: price limits and prices of products with a range come from seeds of their own, so that they never change.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmat_env.envs.web.search.engine import EngineName
from cmat_env.envs.web.shop.catalogue import Catalogue, Goal, Product
from cmat_env.envs.web.shop.generate import draw_price_limit
from cmat_env.envs.web.shop.reward import alike
from cmat_env.envs.web.text import clean
from cmat_env.errors import ConfigError, TaskFileError

_NAMES = ("items_shuffle_1000.json", "items_shuffle.json")
_ATTRIBUTES = ("items_ins_v2_1000.json", "items_ins_v2.json")
_HUMAN = "items_human_ins.json"
_SHUFFLE = 233
_NO_PRICE = 100.0
_MOST_COMBINATIONS = 1_000


def load_webshop(place: str | Path, *, search: EngineName = "auto") -> tuple[Catalogue, list[Goal]]:
    """Read products and goals.

    Args:
        place: the folder, or the product file in it.
        search: name of the engine.

    Raises:
        TaskFileError: a file is missing or malformed.
    """
    path = Path(place)
    folder = path if path.is_dir() else path.parent
    file = _first(folder, _NAMES) if path.is_dir() else path
    details = _read(_first(folder, _ATTRIBUTES))
    human = _read(folder / _HUMAN) if (folder / _HUMAN).is_file() else None
    rows = _read(file)
    if not isinstance(rows, list) or not isinstance(details, dict) or not isinstance(human or {}, dict):
        raise TaskFileError(
            f"{file}: wanted a list of products, and objects by asin beside it; take WebShop's own files"
        )
    products: dict[str, Product] = {}
    goals: list[Goal] = []
    for number, row in enumerate(rows):
        try:
            product = _product(row, details)
            if product is None or product.id in products:
                continue
            products[product.id] = product
            found = _synthetic(product, details) if human is None else _human(product, human.get(row["asin"], ()))
            goals.extend(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TaskFileError(f"{file}: product {number}: {type(error).__name__}: {error}") from error
    if not goals:
        raise TaskFileError(f"{folder}: not a single goal for the {len(products)} products of {file.name}")
    random.Random(_SHUFFLE).shuffle(goals)
    return Catalogue(products.values(), search=search), goals


def slice_of(text: str | None) -> slice:
    """The goals that a text such as "0:200" names.

    Raises:
        ConfigError: it is no such text.
    """
    match = re.fullmatch(r"(\d{0,7}):(\d{0,7})", text or ":")
    if match is None:
        raise ConfigError(f"goals={text!r}: wanted FIRST:END, such as 0:200")
    return slice(*(int(number) if number else None for number in match.groups()))


def _first(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise TaskFileError(f"{folder} has no {' or '.join(names)}; put WebShop's data files there")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskFileError(f"{file} cannot be read: {error}") from error


def _product(row: Mapping[str, Any], details: Mapping[str, Any]) -> Product | None:
    """A product; None where upstream leaves it out, too."""
    asin = str(row["asin"])
    if asin == "nan" or len(asin) > 10:
        return None
    bullets = row.get("small_description") or ()
    options = row.get("customization_options") or {}
    return Product.of(
        asin,
        str(row["name"]),
        category=str(row.get("product_category") or "").split("\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"),
        query=str(row.get("query") or "").lower().strip(),
        price=_price(asin, row.get("pricing")),
        attributes=(details.get(asin) or {}).get("attributes") or (),
        options=[(name.lower(), list(_values(values))) for name, values in options.items() if values],
        description=str(row.get("full_description") or ""),
        features=bullets if isinstance(bullets, list) else [str(bullets)],
    )


def _values(values: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for value in values:
        yield str(value["value"]).strip().replace("/", " | ").lower()


def _price(asin: str, pricing: object) -> float:
    """One price, or of a range a draw that depends on the product alone."""
    amounts = [float(found) for part in str(pricing or "").split("$")[1:] if (found := re.sub(r"[^\d.]", "", part))]
    if len(amounts) > 1:
        return random.Random(f"price/{asin}").uniform(amounts[0], amounts[1])
    return amounts[0] if amounts else _NO_PRICE


def _human(product: Product, instructions: Sequence[Mapping[str, Any]]) -> Iterator[Goal]:
    for index, instruction in enumerate(instructions):
        attributes = instruction["instruction_attributes"]
        if attributes:
            options = instruction.get("instruction_options") or ()
            values = options.values() if isinstance(options, Mapping) else options
            text = str(instruction["instruction"]).strip(".")
            yield _goal(product, index, text, attributes, [_named(product, str(value)) for value in values])


def _synthetic(product: Product, details: Mapping[str, Any]) -> Iterator[Goal]:
    """A goal for each combination of options, at most 1,000 of a product."""
    entry = details.get(product.id) or {}
    text = entry.get("instruction")
    if not text or not entry.get("instruction_attributes"):
        return
    named = sorted(product.options)
    combinations = itertools.product(*(values for _, values in named))
    for index, values in enumerate(itertools.islice(combinations, _MOST_COMBINATIONS)):
        options = [(name, value) for (name, _), value in zip(named, values, strict=True)]
        said = ", and ".join(f"{name}: {value}" for name, value in options)
        whole = f"{str(text).strip('.')} with {said}" if said else str(text).strip(".")
        yield _goal(product, index, whole, entry["instruction_attributes"], options)


def _named(product: Product, value: str) -> tuple[str, str]:
    """The option of a product that a wanted value means, "" as its name where it has none."""
    value = clean(value.lower())
    offered = [(name, own) for name, values in product.options for own in values]
    exact = next((pair for pair in offered if pair[1] == value), None)
    return exact or next((pair for pair in offered if alike(pair[1], value)), ("", value))


def _goal(
    product: Product, index: int, text: str, attributes: Sequence[str], options: Sequence[tuple[str, str]]
) -> Goal:
    limit = draw_price_limit(random.Random(f"limit/{product.id}/{index}"), product.price)
    price = f", and price lower than {limit:.2f} dollars" if math.isfinite(limit) else ""
    wanted = tuple(clean(str(attribute)) for attribute in attributes)
    return Goal(f"{product.id}-{index}", clean(text) + price, product.id, wanted, tuple(options), limit)
