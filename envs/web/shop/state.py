"""Where somebody is in a shop: a frozen state, and its address, which says the same in a URL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

PageKind = Literal["index", "results", "item", "sub", "done"]
SubPage = Literal["description", "features", "reviews"]
SUB_PAGES: tuple[SubPage, ...] = get_args(SubPage)
_OPTION = "o."


@dataclass(frozen=True, slots=True)
class State:
    """One page of the shop and the choices made on the way there.

    Attributes:
        page: which kind.
        query: the last search, "" before one.
        number: which page of the results, from 1.
        product: id of the product that is looked at.
        sub: which of its sub-pages.
        chosen: (name, value) of the options chosen for it, in order of choice.
    """

    page: PageKind = "index"
    query: str = ""
    number: int = 1
    product: str = ""
    sub: SubPage | None = None
    chosen: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> State:
        """The page itself, whatever was chosen on it."""
        return replace(self, chosen=())

    def choose(self, name: str, value: str) -> State:
        """The state with an option chosen, in the place of another value of that name."""
        if (name, value) in self.chosen:
            return self
        kept = tuple(pair for pair in self.chosen if pair[0] != name)
        return replace(self, chosen=(*kept, (name, value)))


def url_of(state: State) -> str:
    """Path and query of a state."""
    if state.page == "index":
        return "/"
    where = [("q", state.query), ("page", str(state.number))]
    if state.page == "results":
        return f"/search?{urlencode(where)}"
    where += [(_OPTION + name, value) for name, value in state.chosen]
    last = {"item": "", "sub": f"/{state.sub}", "done": "/buy"}[state.page]
    return f"/item/{quote(state.product)}{last}?{urlencode(where)}"


def state_of(url: str) -> State | None:
    """The state of a path and query; None where it is no page of a shop."""
    parts = urlsplit(url)
    path = parts.path.strip("/").split("/")
    pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=200)
    fields = dict(pairs)
    number = fields.get("page", "1")
    at = int(number) if number.isascii() and number.isdigit() and int(number[:6]) > 0 else 1
    query = fields.get("q", "")
    if path == [""]:
        return State()
    if path == ["search"]:
        return State("results", query, at)
    if path[0] != "item" or not 2 <= len(path) <= 3:
        return None
    chosen = tuple((key[len(_OPTION) :], value) for key, value in pairs if key.startswith(_OPTION))
    item = State("item", query, at, path[1], None, chosen)
    if len(path) == 2:
        return item
    if path[2] == "buy":
        return replace(item, page="done")
    return next((replace(item, page="sub", sub=sub) for sub in SUB_PAGES if sub == path[2]), None)
