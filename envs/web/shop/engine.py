"""The shop itself: a pure state machine. It knows no episode, no agent and no reward."""

from __future__ import annotations

from collections.abc import Sequence
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
_SIGN = Piece("heading", NAME, group="index")
_TASK = Piece("text", "Instruction:", group="task")
_SEARCH = Piece("button", "Search", group="search")
_BACK, _PREVIOUS, _NEXT = (Piece("button", label, group="nav") for label in (BACK, PREVIOUS, NEXT))
_THANKS = Piece("heading", "Thank you for shopping with us!")
_CHOSEN = Piece("text", "Chosen:", group="chosen")
_LINKS = (*(Piece("button", label, group="more") for label in _SUB_LABELS), Piece("button", BUY, group="buy"))


class Shop:
    """Pages of a catalogue, and where each click leads.

    Args:
        catalogue: what is sold.
        per_page: products on a page of results.
    """

    def __init__(self, catalogue: Catalogue, *, per_page: int = PER_PAGE) -> None:
        self.catalogue = catalogue
        self.per_page = per_page

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
            return state.number == 1 or (state.number - 1) * self.per_page < len(self.results(state.query))
        product = self.catalogue.by_id.get(state.product)
        offered = dict(product.options) if product else {}
        return product is not None and all(value in offered.get(name, ()) for name, value in state.chosen)

    def page(self, state: State, instruction: str) -> Page:
        """Draw the page of a state that exists."""
        head = (_SIGN,) if state.page == "index" else ()
        return Page((*head, _TASK, Piece("text", instruction, group="task"), *self._body(state)), state)

    def _body(self, state: State) -> Sequence[Piece]:
        if state.page == "index":
            return Piece("box", state.query, group="search"), _SEARCH
        if state.page == "done":
            return (_THANKS,)
        if state.page == "results":
            return self._results(state)
        return (_BACK, _PREVIOUS, *(self._item_page(state) if state.page == "item" else self._sub_page(state)))

    def _results(self, state: State) -> list[Piece]:
        found = self.results(state.query)
        first = (state.number - 1) * self.per_page
        pieces = [_BACK, Piece("text", f"Page {state.number} (Total results: {len(found)})", group="nav")]
        if state.number > 1:
            pieces.append(_PREVIOUS)
        if first + self.per_page < len(found):
            pieces.append(_NEXT)
        for id in found[first : first + self.per_page]:
            pieces += _card(self.catalogue.by_id[id])
        return pieces

    def _item_page(self, state: State) -> list[Piece]:
        options, facts = _sheet(self.catalogue.by_id[state.product])
        if not state.chosen:
            return [*options, *facts, *_LINKS]
        chosen = [Piece("text", f"{name}: {value}", theirs=True, group="chosen") for name, value in state.chosen]
        on = [
            piece._replace(on=True) if piece.kind == "option" and (piece.group, piece.text) in state.chosen else piece
            for piece in options
        ]
        return [*on, *facts, _CHOSEN, *chosen, *_LINKS]

    def _sub_page(self, state: State) -> list[Piece]:
        product, sub = self.catalogue.by_id[state.product], state.sub or "description"
        texts = {
            "description": (product.description,) if product.description else (),
            "features": product.features,
            "reviews": tuple(f"{'★' * stars}{'☆' * (5 - stars)} {text}" for stars, text in product.reviews),
        }[sub]
        none = "There is none." if sub == "description" else f"There are no {sub}."
        return [Piece("text", text, theirs=True, group="sub") for text in texts] or [Piece("text", none)]


@lru_cache(maxsize=20_000)
def _card(product: Product) -> tuple[Piece, ...]:
    """A product among results; shared by all shops of this process."""
    return (
        Piece("product", product.id, group=product.id),
        Piece("text", product.name, theirs=True, group=product.id),
        Piece("text", f"${product.price:.2f}", group=product.id),
    )


@lru_cache(maxsize=4_096)
def _sheet(product: Product) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """The options of a product, none chosen, and what is said of it."""
    options: list[Piece] = []
    for name, values in product.options:
        options.append(Piece("legend", name, theirs=True, group=name))
        options += [Piece("option", value, theirs=True, group=name) for value in values]
    stars = [stars for stars, _ in product.reviews]
    rating = f"{sum(stars) / len(stars):.1f}" if stars else "N.A."
    return tuple(options), (
        Piece("heading", product.name, theirs=True, group="product"),
        Piece("text", f"Price: ${product.price:.2f}", group="product"),
        Piece("text", f"Rating: {rating}", group="product"),
    )
