"""Observation mode `axtree`: a page as its accessibility tree, each thing that can be used with a stable number.

A number belongs to one element of one page for the whole episode: who comes back finds the same numbers, and a number
of another page is told to be stale instead of hitting something else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cmat_env.envs.web.shop.page import Page, Piece
from cmat_env.envs.web.shop.state import State, url_of

SEARCH_BOX = "Search for products"
USABLE = frozenset({"link", "button", "radio", "searchbox"})
_REAL_BUTTONS = frozenset({"search", "buy"})
Key = tuple[str, str, str, int]


class Element(NamedTuple):
    """A node of the accessibility tree that says something.

    Attributes:
        role: as in ARIA.
        name: its accessible name.
        value: what a text box holds.
        checked: of a radio button.
    """

    role: str
    name: str
    value: str = ""
    checked: bool = False


def element_of(piece: Piece) -> Element:
    """The accessible node of a piece."""
    if piece.kind == "box":
        return Element("searchbox", SEARCH_BOX, piece.text)
    if piece.kind == "option":
        return Element("radio", piece.text, checked=piece.on)
    if piece.kind == "product":
        return Element("link", piece.text)
    if piece.kind == "button":
        return Element("button" if piece.group in _REAL_BUTTONS else "link", piece.text)
    return Element({"heading": "heading", "legend": "group"}.get(piece.kind, "StaticText"), piece.text)


@dataclass(frozen=True)
class ElementIds:
    """The numbers given out in an episode; never changed, only grown anew."""

    numbers: Mapping[Key, int] = field(default_factory=dict)

    def with_page(self, state: State, elements: Iterable[Element]) -> ElementIds:
        """These numbers and those of a page, which are new where it is seen for the first time."""
        known = dict(self.numbers)
        for key in _keys(state, elements):
            if key is not None:
                known.setdefault(key, len(known) + 1)
        return ElementIds(known)

    def tree(self, state: State, elements: Sequence[Element]) -> str:
        """The page in lines, such as `[7] link "Next >"`."""
        lines = []
        for element, key in zip(elements, _keys(state, elements), strict=True):
            line = f"{element.role} {json.dumps(element.name, ensure_ascii=False)}"
            if element.role == "radio":
                line += " checked" if element.checked else ""
            elif element.value:
                line += f" value={json.dumps(element.value, ensure_ascii=False)}"
            lines.append(line if key is None else f"[{self.numbers[key]}] {line}")
        return "\n".join(lines)

    def usable(self, state: State, page: Page) -> dict[int, Piece]:
        """The pieces of a page by their numbers, without the search box."""
        keys = _keys(state, [element_of(piece) for piece in page.pieces])
        found: dict[int, Piece] = {}
        for key, piece in zip(keys, page.pieces, strict=True):
            number = None if key is None else self.numbers.get(key)
            if number is not None and piece.kind != "box":
                found[number] = piece
        return found

    def is_stale(self, number: int) -> bool:
        """Has this number been given out?"""
        return 0 < number <= len(self.numbers)


def _keys(state: State, elements: Iterable[Element]) -> list[Key | None]:
    """What tells each usable element from all others; None for what cannot be used."""
    place = url_of(state.place)
    seen: dict[tuple[str, str], int] = {}
    keys: list[Key | None] = []
    for element in elements:
        if element.role not in USABLE:
            keys.append(None)
            continue
        pair = (element.role, element.name)
        seen[pair] = seen.get(pair, -1) + 1
        keys.append((place, *pair, seen[pair]))
    return keys
