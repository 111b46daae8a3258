"""All pages of our own making as samples in Mind2Web's schema, split by site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal, get_args

import lxml.html

from cmat_env.envs.web.pages import sites_forms, sites_lists
from cmat_env.envs.web.pages.dom import by_node_id, parse, usable
from cmat_env.envs.web.pages.markup import SitePage, button, link, whole
from cmat_env.envs.web.pages.sample import PageSample
from cmat_env.errors import UnknownNameError, did_you_mean

Split = Literal["train", "dev", "heldout"]
SPLITS: tuple[str, ...] = get_args(Split)
_BUILDERS: tuple[Callable[[], Iterator[SitePage]], ...] = (
    sites_forms.accounts, sites_forms.travel, sites_forms.payments, sites_forms.settings, sites_forms.tables_booked,
    sites_forms.searches, sites_lists.tables, sites_lists.menus, sites_lists.calendars, sites_lists.filters,
    sites_lists.carts, sites_lists.results,
)  # fmt: skip
_CHROME = (
    ("About us", "News", "Contact"), ("Shop", "Stores", "Log in"), ("Start", "Blog", "Jobs"),
    ("Plans", "Support", "Log out"), ("Magazine", "Members", "Contact"), ("Map", "Prices", "Language"),
)  # fmt: skip


@cache
def pages() -> tuple[SitePage, ...]:
    """Every page: twelve families of six sites."""
    return tuple(page for build in _BUILDERS for page in build())


def split_of(number: int) -> str:
    """Of each family four sites are for training, one for choosing settings, one is held out."""
    return {4: "dev", 5: "heldout"}.get(number % 6, "train")


@cache
def own_samples(split: str) -> tuple[PageSample, ...]:
    """The steps of a split.

    Raises:
        UnknownNameError: there is no such split.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r} is unknown; {did_you_mean(split, SPLITS)}")
    return tuple(
        sample for number, page in enumerate(pages()) if split_of(number) == split for sample in _samples(page, number)
    )


def _samples(page: SitePage, number: int) -> Iterator[PageSample]:
    root = parse(page_html(page, number))
    keys = {node.get("data-key"): name for name, node in by_node_id(root).items() if node.get("data-key")}
    for node in root.iter():
        node.attrib.pop("data-key", None)
    html = str(lxml.html.tostring(root, encoding="unicode"))
    candidates = tuple(usable(root))
    for index, step in enumerate(page.steps):
        yield PageSample(
            id=f"{page.website}-{index}",
            website=page.website,
            domain=page.domain,
            task=step.task,
            previous=step.previous,
            html=html,
            operation=step.operation,
            value=step.value,
            positives=frozenset({keys[step.key]}),
            candidates=candidates,
        )


def page_html(page: SitePage, number: int) -> str:
    """The document of a page, for a browser."""
    extra = " ".join(link(f"nav{n}", text) for n, text in enumerate(_CHROME[number % 6]))
    return whole(page, f"{extra} {button('cookies', 'Cookies')}")
