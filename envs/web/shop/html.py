"""A page of the shop as accessible HTML; what a browser is served, and observation mode `html`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

import jinja2

from cmat_env.envs.web.shop.engine import LONGEST_QUERY, Shop
from cmat_env.envs.web.shop.page import Page, Piece
from cmat_env.envs.web.shop.state import State, url_of

ON_CHOICE = "location.href=this.dataset.href"  # the only script there is: choosing an option leads to its address


def as_html(shop: Shop, state: State, page: Page, *, root: str = "", style: bool = True) -> str:
    """Write a page in HTML.

    Args:
        shop: knows where links lead.
        state: of the page.
        page: its pieces.
        root: path before every address.
        style: with its stylesheet, which is nothing to read.
    """
    areas = [(area, list(pieces)) for area, pieces in groupby(page.pieces, key=_area)]
    positions = {piece: f"option-{at}" for at, piece in enumerate(page.pieces) if piece.kind == "option"}

    def link(piece: Piece) -> str:
        return root + url_of(shop.follow(state, piece) or state)

    return _template().render(
        title=next((piece.text for piece in page.pieces if piece.kind == "heading"), state.query or "WebShop"),
        css=_css() if style else "",
        kind=state.page,
        areas=areas,
        options=_options(page.pieces),
        link=link,
        option_id=positions.__getitem__,
        root=root,
        longest_query=LONGEST_QUERY,
        on_choice=ON_CHOICE,
    )


def _area(piece: Piece) -> str:
    if piece.kind in ("legend", "option"):
        return "options"
    known = ("index", "task", "search", "nav", "product", "chosen", "more", "buy", "sub")
    if piece.group in known:
        return piece.group
    return "results" if piece.group else "sub"


def _options(pieces: Sequence[Piece]) -> list[tuple[Piece, list[Piece]]]:
    groups: list[tuple[Piece, list[Piece]]] = []
    for piece in pieces:
        if piece.kind == "legend":
            groups.append((piece, []))
        elif piece.kind == "option":
            groups[-1][1].append(piece)
    return groups


@cache
def _template() -> jinja2.Template:
    folder = files(__package__ or "") / "templates"
    loader = jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    environment: Any = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    return environment.get_template("shop.html")  # type: ignore[no-any-return]


@cache
def _css() -> str:
    return (files(__package__ or "") / "templates" / "shop.css").read_text(encoding="utf-8")
