"""A shop visited through a real Chromium: pages come over HTTP, clicks are mouse clicks, words are typed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from cmat_env.envs.web.browser.chromium import Chromium
from cmat_env.envs.web.browser.reading import READ, SPOT, elements_of, read_of
from cmat_env.envs.web.browser.server import ShopServer, Visit
from cmat_env.envs.web.shop.catalogue import Goal
from cmat_env.envs.web.shop.elements import Element
from cmat_env.envs.web.shop.engine import Shop
from cmat_env.envs.web.shop.page import Page, Piece
from cmat_env.envs.web.shop.state import State, state_of, url_of
from cmat_env.envs.web.shop.surface import SurfaceLostError

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

T = TypeVar("T")
MOST_RESTARTS = 2
_STYLE = re.compile(r"<style>[^<]*+</style>")
_PATIENCE = 20.0  # seconds for a page to load or to take a click
_CLOSE = 5.0
_LIMIT = (
    1.5 * _PATIENCE
)  # for an action as a whole: not everything that Playwright waits for has a time limit of its own


class InBrowser:
    """One customer with a page of its own, at a secret address that only this page knows.

    A browser that dies is started again, at most twice in an episode: the address says where the customer was, so that
    nothing is lost but time.

    Args:
        shop: what the server serves.
        headless: False shows the window.

    Attributes:
        restarts: of the browser in this episode.
    """

    def __init__(self, shop: Shop, *, headless: bool = True) -> None:
        self._chromium = Chromium.hold(headless=headless)
        self._server = ShopServer.hold()
        self._tab: Tab | None = None
        self._generation = 0
        self._stale = True
        self._visit = Visit(shop)
        self._root = self._server.begin(self._visit)
        self._closed = False
        self.restarts = 0
        self.state = State()
        self.page = Page(())

    @property
    def address(self) -> str:
        """Where anybody on this machine can look at the shop, as long as it is open."""
        return f"{self._server.address}{self._root}/"

    @property
    def purchase(self) -> State | None:
        """What the server says was bought."""
        return self._visit.purchase

    def open(self, goal: Goal, state: State) -> None:
        """Begin again, with another goal, at an address."""
        self._visit.instruction, self._visit.purchase = goal.instruction, None
        self.restarts = 0
        self._stale = True
        self.state = state
        self._try(lambda tab: None)

    def search(self, query: str) -> None:
        """Type the words and press Enter."""

        def act(tab: Tab) -> None:
            tab.locator("input[type=search]").fill(query)
            with tab.expect_navigation(wait_until="domcontentloaded"):
                tab.keyboard.press("Enter")

        self._change(act)

    def click(self, piece: Piece) -> None:
        """Click in the middle of the piece."""
        index = self.page.pieces.index(piece)

        def act(tab: Tab) -> None:
            x, y = tab.evaluate(SPOT, index)
            if piece.on:  # a radio button that is on stays on, and leads nowhere
                tab.mouse.click(x, y)
                return
            with tab.expect_navigation(wait_until="domcontentloaded"):
                tab.mouse.click(x, y)

        self._change(act)

    def elements(self) -> Sequence[Element]:
        """The tree that a screen reader gets."""

        def act(tab: Tab) -> list[Element]:
            session = tab.context.new_cdp_session(tab)
            try:
                return elements_of(session.send("Accessibility.getFullAXTree")["nodes"])
            finally:
                session.detach()

        return self._try(act)

    def html(self) -> str:
        """The document as it is now, without its stylesheet and with the addresses that the shop has in process."""
        return _STYLE.sub("", self._try(lambda tab: str(tab.content()))).replace(f'"{self._root}/', '"/')

    def screenshot(self) -> bytes:
        """The page as a PNG."""
        return self._try(lambda tab: bytes(tab.screenshot(full_page=True)))

    def _change(self, act: Callable[[Tab], None]) -> None:
        """Act once: an order that reached the server before a crash is not sent again."""
        self._try(lambda tab: act(tab) if self.purchase is None else None)

    def _try(self, act: Callable[[Tab], T]) -> T:
        """Act on the page and read it; after a crash on a page that was opened anew.

        Raises:
            SurfaceLostError: it crashed too often.
        """
        if self._closed:
            raise SurfaceLostError("it was closed")
        while True:
            try:
                return self._chromium.call(lambda browser: self._attempt(browser, act), limit=_LIMIT)
            except Exception as error:  # whatever the driver raises, the page is in no known state any more
                with contextlib.suppress(Exception):  # a page that cannot even be closed takes the browser with it
                    self._chromium.call(lambda browser: self._drop(), limit=_CLOSE)
                self._tab = None
                self._chromium.doubt()
                if self.restarts >= MOST_RESTARTS:
                    said = next(iter(str(error).splitlines()), "no answer in time")
                    raise SurfaceLostError(f"{type(error).__name__}: {said[:200]}") from error
                self.restarts += 1

    def _attempt(self, browser: Browser, act: Callable[[Tab], T]) -> T:
        tab = self._tab_of(browser)
        self.state = self.purchase or self.state
        base = self.address.rstrip("/")
        if self._stale or not tab.url.startswith(base) or state_of(tab.url.removeprefix(base)) != self.state:
            tab.goto(base + url_of(self.state), wait_until="domcontentloaded")
            self._stale = False
            self._read(tab)
        result = act(tab)
        self._read(tab)
        return result

    def _tab_of(self, browser: Browser) -> Tab:
        if self._tab is None or self._generation != self._chromium.generation or self._tab.is_closed():
            self._drop()
            # One profile for all: the shop keeps nothing in it, and a new one costs more than a page.
            profile = next(iter(browser.contexts), None) or browser.new_context(
                accept_downloads=False, service_workers="block"
            )
            self._tab = profile.new_page()
            self._tab.set_default_timeout(_PATIENCE * 1000)
            self._tab.on("popup", lambda other: other.close())
            self._generation = self._chromium.generation
        return self._tab

    def _read(self, tab: Tab) -> None:
        address, pieces = read_of(tab.evaluate(READ))
        state = state_of(address.removeprefix(self._root))
        if state is None:
            raise RuntimeError(f"the browser is at {address}, which is no page of the shop")
        self.state, self.page = state, Page(pieces, state)

    def _drop(self) -> None:
        tab, self._tab = self._tab, None
        with contextlib.suppress(Exception):  # the browser that it belonged to may be gone
            if tab is not None:
                tab.close()

    def close(self) -> None:
        """Close the page; the last customer closes the browser and the server, too."""
        if self._closed:
            return
        self._closed = True
        if self._tab is not None and self._generation == self._chromium.generation:
            with contextlib.suppress(Exception):  # closing what is gone is no loss
                self._chromium.call(lambda browser: self._drop())
        self._server.end(self._root)
        self._server.release()
        self._chromium.release()

    def __deepcopy__(self, memo: Any) -> InBrowser:
        raise TypeError("a browser cannot be copied; use snapshot() and restore()")
