"""Where a shop is visited: in this process, or through a real browser. The environment cannot tell which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cmat_env.envs.web.shop.catalogue import Goal
from cmat_env.envs.web.shop.elements import Element, element_of
from cmat_env.envs.web.shop.engine import Shop
from cmat_env.envs.web.shop.page import Page, Piece
from cmat_env.envs.web.shop.state import State


class SurfaceLostError(Exception):
    """The surface is gone for good, such as a browser that does not come back."""


class Surface(Protocol):
    """One visitor in a shop; every method may raise SurfaceLostError."""

    state: State
    page: Page
    purchase: State | None
    restarts: int

    def open(self, goal: Goal, state: State) -> None:
        """Show a page to somebody with this goal, who has bought nothing yet."""
        ...

    def search(self, query: str) -> None:
        """Type words into the search box and send them."""
        ...

    def click(self, piece: Piece) -> None:
        """Click a piece of the page."""
        ...

    def elements(self) -> Sequence[Element]:
        """The accessibility tree of the page."""
        ...

    def html(self) -> str:
        """The page in HTML."""
        ...

    def close(self) -> None:
        """Leave; twice is fine."""
        ...


class InProcess:
    """Pages are drawn by the engine itself."""

    restarts = 0

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._instruction = ""
        self.purchase: State | None = None
        self.state = State()
        self.page = Page(())

    def open(self, goal: Goal, state: State) -> None:
        """Draw a page."""
        self._instruction = goal.instruction
        self.purchase = None
        self._show(state)

    def search(self, query: str) -> None:
        """Draw the results."""
        self._show(self._shop.search(query) or self.state)

    def click(self, piece: Piece) -> None:
        """Draw the page that the piece leads to."""
        self._show(self._shop.follow(self.state, piece) or self.state)
        if self.state.page == "done":
            self.purchase = self.state

    def _show(self, state: State) -> None:
        self.state = state
        self.page = self._shop.page(state, self._instruction)

    def elements(self) -> Sequence[Element]:
        """What a browser would make of the page."""
        return [element_of(piece) for piece in self.page.pieces]

    def html(self) -> str:
        """What a browser would be served."""
        from cmat_env.envs.web.shop.html import as_html  # noqa: PLC0415 - Jinja2 is needed here alone

        return as_html(self._shop, self.state, self.page)

    def close(self) -> None:
        """There is nothing to leave."""
