"""Which shop and which goals an environment plays with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cmat_env.envs.source import Generated, Listed, Source, split_of
from cmat_env.envs.web.search.engine import EngineName
from cmat_env.envs.web.shop.catalogue import Catalogue, Goal
from cmat_env.envs.web.shop.generate import SPLITS, generate_catalogue, generate_goal
from cmat_env.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Stock:
    """A shop and its goals.

    Attributes:
        catalogue: what is sold.
        source: picks goals.
        task_types: families of goals: the departments of the shop.
    """

    catalogue: Catalogue
    source: Source[Goal]
    task_types: tuple[str, ...]


def open_stock(
    tasks: str | Path | Sequence[Goal],
    *,
    products: int,
    shop_seed: int,
    catalogue: Catalogue | None,
    goals: str | None,
    search: EngineName,
) -> Stock:
    """Find the shop and the goals that a user asks for; the arguments are those of `WebShopEnv`.

    Raises:
        UnknownNameError: there is no such split.
        TaskFileError: a file of WebShop cannot be read.
        ConfigError: arguments do not go together.
    """
    split = split_of(tasks, SPLITS)
    if split is not None:
        if goals is not None:
            raise ConfigError("goals chooses among WebShop's own; leave it out, or name goals by options={'task': ...}")
        chosen = catalogue or generate_catalogue(split, products=products, seed=shop_seed, search=search)
        return _stock(chosen, Generated(split, partial(generate_goal, split, chosen)))
    if isinstance(tasks, str | Path):
        if catalogue is not None:
            raise ConfigError("a folder of WebShop has its own products; leave catalogue out")
        from cmat_env.envs.web.shop.webshop_files import load_webshop, slice_of  # noqa: PLC0415 - rarely wanted

        catalogue, listed = load_webshop(tasks, search=search)
        return _stock(catalogue, Listed(listed[slice_of(goals)]))
    if catalogue is None:
        raise ConfigError("goals are passed without a shop; pass catalogue=Catalogue(products), too")
    for goal in tasks:
        if goal.product_id not in catalogue.by_id:
            raise ConfigError(f"goal {goal.id!r} wants product {goal.product_id!r}, which the catalogue does not have")
    return _stock(catalogue, Listed(tasks))


def _stock(catalogue: Catalogue, source: Source[Goal]) -> Stock:
    departments = {product.category[0] if product.category else "-" for product in catalogue.products}
    return Stock(catalogue, source, tuple(sorted(departments)))
