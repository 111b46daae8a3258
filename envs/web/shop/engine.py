"""The shop itself: a pure state machine. It knows no episode, no agent and no reward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from cmat_env.envs.web.search import query_terms
from cmat_env.envs.web.shop.catalogue import Catalogue, Product
from cmat_env.envs.web.shop.page import Page, Piece
from cmat_env.envs.web.shop.state import SUB_PAGES, State
from cmat_env.envs.web.text import clean

NAME = "WebShop"
PER_PAGE = 10
MOST_RESULTS = 50
LONGEST_QUERY = 300
BACK, PREVIOUS, NEXT, BUY = "Back to Search", "< Prev", "Next >", "Buy Now"
_SUB_LABELS = {sub.capitalize(): sub for sub in SUB_PAGES}


class Shop:
    """Pages of a catalogue, and where each click leads.

    Args:
        catalogue: what is sold.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._card = lru_cache(maxsize=20_000)(_card)

    def results(self, query: str) -> tuple[str, ...]:
        """Ids of the products that a search finds, best first, at most 50."""
        return self.catalogue.engine.search(query_terms(query), MOST_RESULTS)

    def search(self, words: str) -> State | None:
        """Where a search leads; None if there is not a single word to search for."""
        query = clean(words, limit=LONGEST_QUERY)
        return State("results", query) if query_terms(query) else None

    def follow(self, state: State, piece: Piece) -> State | None:
        """Where a click on a piece of the state's page leads; None where it needs more, such as words to search for."""
        if piece.kind == "product":
            return State("item", state.query, state.number, piece.group)
        if piece.kind == "option":
            return state.choose(piece.group, piece.text)
        if piece.text == BACK:
            return State()
        if piece.text == NEXT:
            return replace(state, number=state.number + 1)
        if piece.text == PREVIOUS:
            if state.page == "results":
                return replace(state, number=state.number - 1)
            return State("results", state.query, state.number) if state.page == "item" else self._item(state)
        if piece.text == BUY:
            return replace(state, page="done", sub=None)
        if piece.text in _SUB_LABELS:
            return replace(state, page="sub", sub=_SUB_LABELS[piece.text])
        return None

    def _item(self, state: State) -> State:
        return replace(state, page="item", sub=None)

    def exists(self, state: State) -> bool:
        """Is there such a page? Addresses can be typed."""
        if state.page == "index":
            return True
        if state.page == "results":
            return state.number == 1 or (state.number - 1) * PER_PAGE < len(self.results(state.query))
        product = self.catalogue.by_id.get(state.product)
        offered = dict(product.options) if product else {}
        return product is not None and all(value in offered.get(name, ()) for name, value in state.chosen)

    def page(self, state: State, instruction: str) -> Page:
        """Draw the page of a state that exists."""
        head = (Piece("heading", NAME, group="index"),) if state.page == "index" else ()
        task = (Piece("text", "Instruction:", group="task"), Piece("text", instruction, group="task"))
        return Page((*head, *task, *self._body(state)), state)

    def _body(self, state: State) -> Iterator[Piece]:
        if state.page == "index":
            yield Piece("box", state.query, group="search")
            yield Piece("button", "Search", group="search")
            return
        if state.page == "done":
            yield Piece("heading", "Thank you for shopping with us!")
            return
        yield Piece("button", BACK, group="nav")
        if state.page == "results":
            yield from self._results(state)
            return
        yield Piece("button", PREVIOUS, group="nav")
        product = self.catalogue.by_id[state.product]
        yield from _item(product, state) if state.page == "item" else _sub(product, state)

    def _results(self, state: State) -> Iterator[Piece]:
        found = self.results(state.query)
        first = (state.number - 1) * PER_PAGE
        yield Piece("text", f"Page {state.number} (Total results: {len(found)})", group="nav")
        if state.number > 1:
            yield Piece("button", PREVIOUS, group="nav")
        if first + PER_PAGE < len(found):
            yield Piece("button", NEXT, group="nav")
        for id in found[first : first + PER_PAGE]:
            yield from self._card(self.catalogue.by_id[id])


def _card(product: Product) -> tuple[Piece, ...]:
    return (
        Piece("product", product.id, group=product.id),
        Piece("text", product.name, theirs=True, group=product.id),
        Piece("text", f"${product.price:.2f}", group=product.id),
    )


def _item(product: Product, state: State) -> Iterator[Piece]:
    for name, values in product.options:
        yield Piece("legend", name, theirs=True, group=name)
        for value in values:
            yield Piece("option", value, theirs=True, group=name, on=(name, value) in state.chosen)
    yield Piece("heading", product.name, theirs=True, group="product")
    yield Piece("text", f"Price: ${product.price:.2f}", group="product")
    stars = [stars for stars, _ in product.reviews]
    rating = f"{sum(stars) / len(stars):.1f}" if stars else "N.A."
    yield Piece("text", f"Rating: {rating}", group="product")
    if state.chosen:
        yield Piece("text", "Chosen:", group="chosen")
        for name, value in state.chosen:
            yield Piece("text", f"{name}: {value}", theirs=True, group="chosen")
    for label in _SUB_LABELS:
        yield Piece("button", label, group="more")
    yield Piece("button", BUY, group="buy")


def _sub(product: Product, state: State) -> Iterator[Piece]:
    texts = {
        "description": (product.description,) if product.description else (),
        "features": product.features,
        "reviews": tuple(f"{'★' * stars}{'☆' * (5 - stars)} {text}" for stars, text in product.reviews),
    }[state.sub or "description"]
    for text in texts:
        yield Piece("text", text, theirs=True, group="sub")
    if not texts:
        yield Piece("text", f"There are no {state.sub}." if state.sub != "description" else "There is none.")
