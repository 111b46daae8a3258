"""A page as the pieces that a visitor meets in reading order, whoever drew it: our own code or a browser.

Observations are written from pieces. What was written by sellers and customers is marked, so that it can be quoted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

from cmat_env.envs.web.shop.state import State, url_of
from cmat_env.envs.web.text import SEPARATOR, match_key, quoted

PieceKind = Literal["text", "heading", "legend", "box", "button", "product", "option"]
_key = lru_cache(maxsize=65_536)(match_key)


class Piece(NamedTuple):
    """One thing on a page.

    Attributes:
        kind: "box" is the search box; "legend" names a group of options.
        text: what can be read; of a box, what it holds.
        theirs: was it written by a seller or a customer?
        group: where on the page it stands: of an option, the name of its group; of a product, its id.
        on: is this option chosen?
    """

    kind: PieceKind
    text: str
    theirs: bool = False
    group: str = ""
    on: bool = False


@dataclass(frozen=True)
class Page:
    """What a visitor meets.

    Attributes:
        pieces: in reading order.
        state: where it is in the shop.
    """

    pieces: tuple[Piece, ...]
    state: State = field(default_factory=State)

    @property
    def url(self) -> str:
        """Path and query."""
        return url_of(self.state)

    @cached_property
    def searchable(self) -> bool:
        """Is there a search box?"""
        return any(piece.kind == "box" for piece in self.pieces)

    @cached_property
    def clickables(self) -> Mapping[str, Piece]:
        """What can be clicked, by the label that a list of actions shows; each label once.

        An option whose value stands for something else as well is listed with its name: "size: small".
        """
        found: dict[str, Piece] = {}
        for piece in self.pieces:
            if piece.kind in ("button", "product"):
                found.setdefault(_key(piece.text), piece)
        options = [piece for piece in self.pieces if piece.kind == "option"]
        keys = [_key(piece.text) for piece in options]
        for piece, key in zip(options, keys, strict=True):
            label = qualified(piece) if key in found or keys.count(key) > 1 else key
            found.setdefault(label, piece)
        return found

    def find(self, labels: Sequence[str]) -> Piece | None:
        """What the first fitting label names; case, Unicode form and invisible characters aside."""
        for label in labels:
            key = match_key(label)
            piece = self.clickables.get(key)
            if piece is None and ":" in key:
                options = (piece for piece in self.pieces if piece.kind == "option")
                piece = next((option for option in options if qualified(option) == key), None)
            if piece is not None:
                return piece
        return None


def qualified(option: Piece) -> str:
    """The label of an option that is never mistaken for another."""
    return _key(f"{option.group}: {option.text}")


def as_text(page: Page, *, quote: bool) -> str:
    """Mode `text`: what is visible, with separators between."""
    return f" {SEPARATOR} ".join([shown(piece, quote=quote) for piece in page.pieces if piece.kind != "box"])


def as_rich_text(page: Page, visited: Collection[str], *, quote: bool) -> str:
    """Mode `text_rich`: a line each, with what can be clicked in marks, and what was clicked said first."""
    said: list[str] = []
    lines: list[str] = []
    for piece in page.pieces:
        text = shown(piece, quote=quote)
        if piece.kind == "option":
            mark = "clicked button" if piece.on else "button"
            lines.append(f"  [{mark}] {text} [{mark}_]")
            said[:0] = [f"You have clicked {text}."] if piece.on else []
        elif piece.kind == "product":
            mark = "clicked button" if piece.group in visited else "button"
            lines += ["", f"[{mark}] {text} [{mark}_]"]
        elif piece.kind == "button":
            lines.append(f"[button] {text} [button_]")
        elif piece.kind != "box":
            lines.append(text)
    return "\n".join([*said, *lines])


def shown(piece: Piece, *, quote: bool) -> str:
    """The text of a piece, quoted if it is theirs."""
    return quoted(piece.text) if quote and piece.theirs else piece.text
