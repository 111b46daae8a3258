"""How a page of a web task looks in a replay: its parts in a flow, each product on a line, then what can be done."""

from __future__ import annotations

import ast
import re

from rich.text import Text

from cmat_env.terminal import printable

_SEPARATOR = " [SEP] "
_AVAILABLE = "Available Actions:"
_PRODUCT = re.compile(r"B[0-9A-Z]{9}")
_OWN_LINE = ("Instruction:", "Back to Search", "Description", "Chosen:", "Buy Now")
_LONGEST = 100_000


def is_page(text: str) -> bool:
    """Is this an observation of a web page, with separators between what is visible?"""
    return _SEPARATOR in text and _AVAILABLE in text and len(text) <= _LONGEST


def page(text: str) -> Text:
    """The page for a reader. What sellers and customers wrote keeps its quotation marks."""
    shown, _, available = text.rpartition(_AVAILABLE)
    view = Text()
    for line in shown.strip().splitlines():
        for index, part in enumerate(line.split(_SEPARATOR)):
            if index:
                own = part in _OWN_LINE or _PRODUCT.fullmatch(part)
                view.append("\n" if own else " · ", style="dim")
            view.append(printable(part), style="bold" if _PRODUCT.fullmatch(part) else "")
        view.append("\n")
    view.append(_possible(available.strip()), style="dim")
    return view


def _possible(available: str) -> str:
    """The list of actions in a line; as it came where it is not one."""
    try:
        value = ast.literal_eval(available)
        labels = [printable(str(label)) for label in value["clickables"]]
        searchable = bool(value["has_search_bar"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return printable(available)
    return f"can {'search, ' if searchable else ''}click {' · '.join(labels) or 'nothing'}"
