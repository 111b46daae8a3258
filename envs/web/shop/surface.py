"""Where a shop is visited: in this process, or through a real browser. The environment cannot tell which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cmat_env.envs.web.shop.catalogue import Goal
from cmat_env.envs.web.shop.elements import Element, element_of
from cmat_env.envs.web.shop.engine import Shop
from cmat_env.envs.web.shop.page import Page, Piece
from cmat_env.envs.web.shop.state import State
from cmat_env.errors import ConfigError


class SurfaceLostError(Exception):
    """The surface is gone for good, such as a browser that does not come back."""


class Surface(Protocol):
    """One visitor in a shop; every method may raise SurfaceLostError."""

    state: State
    page: Page
    restarts: int

    @property
    def purchase(self) -> State | None:
        """What was bought in this visit."""
        ...

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
        self._purchase: State | None = None
        self.state = State()
        self.page = Page(())

    @property
    def purchase(self) -> State | None:
        """What was bought."""
        return self._purchase

    def open(self, goal: Goal, state: State) -> None:
        """Draw a page."""
        self._instruction = goal.instruction
        self._purchase = None
        self._show(state)

    def search(self, query: str) -> None:
        """Draw the results."""
        self._show(self._shop.search(query) or self.state)

    def click(self, piece: Piece) -> None:
        """Draw the page that the piece leads to."""
        self._show(self._shop.follow(self.state, piece) or self.state)
        if self.state.page == "done":
            self._purchase = self.state

    def _show(self, state: State) -> None:
        self.state = state
        self.page = self._shop.page(state, self._instruction)

    def elements(self) -> Sequence[Element]:
        """What a browser would make of the page."""
        return [element_of(piece) for piece in self.page.pieces]

    def html(self) -> str:
        """What a browser would be served, without its stylesheet."""
        from cmat_env.envs.web.shop.html import as_html  # noqa: PLC0415 - Jinja2 is needed here alone

        return as_html(self._shop, self.state, self.page, style=False)

    def close(self) -> None:
        """There is nothing to leave."""


def open_surface(shop: Shop, *, browser: bool, headless: bool) -> Surface:
    """A visitor's way into a shop.

    Args:
        shop: to visit.
        browser: through a real Chromium.
        headless: without a window.

    Raises:
        ConfigError: a setting is no truth value, or there is no Chromium.
        MissingExtraError: Playwright is wanted and not installed.
    """
    for name, value in (("browser", browser), ("headless", headless)):
        if not isinstance(value, bool):
            raise ConfigError(f"{name}={value!r}: wanted true or false")
    if not browser:
        return InProcess(shop)
    from cmat_env.envs.web.browser.surface import InBrowser  # noqa: PLC0415 - a server and a browser, only when asked

    return InBrowser(shop, headless=headless)
