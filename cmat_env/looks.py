"""What a text of a task is, so that a terminal and a page can draw it as its own domain looks.

blocks_of(text)   rows, SQL and scripts, what a terminal shows, pages of a shop, HTML, boards, menus, words

A text is only read, never run, in time linear in its length, and nothing of it is left out but its frame.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

SET_OFF = ("Action: ", "Act: ", "Final Answer: ", "Task: ", "Answer: ")
"""Lines of plain text that begin so say what is done."""
PROMPTS = {"bash": "$ ", "sh": "$ "}
"""By language, what a terminal shows before it."""

_LONGEST_ROWS = 20_000
_LONGEST_PAGE = 100_000
_SQL = re.compile(
    r"\s*(select|insert|update|delete|replace|with|create|drop|alter|show|describe|explain)\b", re.IGNORECASE
)
_FENCE = re.compile(r"```(\w*)\n(.*?)\n?```", re.DOTALL)
_MENU = re.compile(r"Observation: \[([^\[\]]*)\]")
_OUTPUT, _NO_OUTPUT = "The output of the OS:\n\n", "The output of the OS is empty."
_SEPARATOR = " [SEP] "
_AVAILABLE = re.compile(r"^Available Actions:\n(\{.*)$", re.MULTILINE)
_OBSERVATION = "Observation:\n"
_PRODUCT = re.compile(r"B[0-9A-Z]{9}")
_OWN_LINE = ("Instruction:", "Back to Search", "Description", "Chosen:", "Buy Now")
_DRAWN = re.compile(r"^'''\n(?P<html><[^\n]*>)\n'''$|(?P<board>(?:^[XO.](?: [XO.])+$\n?){3,})", re.MULTILINE)
_TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)([^<>]*)>|([^<]+|<)")
_ID = re.compile(r'\bid="?([\w-]+)"?')
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_FRAME = frozenset({"html", "body"})


@dataclass(frozen=True, slots=True)
class Words:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table without names."""

    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A script, a statement or data in a language, "" = unknown."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool, in one line."""

    text: str


@dataclass(frozen=True, slots=True)
class Screen:
    """What a terminal shows; "" = nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Menu:
    """What can be chosen."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the shop.

    Attributes:
        lines: of parts; a product's number is the first of its line.
        possible: what can be done, in words.
    """

    lines: tuple[tuple[str, ...], ...]
    possible: str


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a page of HTML.

    Attributes:
        depth: how deep it lies, from 0.
        tag: its name.
        number: its id; "" = it has none.
        attributes: the others, as they were written.
        text: the words in it before its next element.
    """

    depth: int
    tag: str
    number: str
    attributes: str
    text: str


@dataclass(frozen=True, slots=True)
class Markup:
    """A page of HTML, element by element."""

    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A board of X, O and empty cells."""

    rows: tuple[str, ...]


Block = Words | Rows | Code | Call | Screen | Menu | Page | Markup | Board


def blocks_of(text: str) -> list[Block]:
    """The parts of a text in order; none for a text of blanks."""
    parts: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        parts += _prose(text[end : fence.start()])
        parts.append(Code(fence[2], fence[1] or "sql"))
        end = fence.end()
    return parts + list(_prose(text[end:]))


def is_product(part: str) -> bool:
    """Is this part of a page the number of a product?"""
    return _PRODUCT.fullmatch(part) is not None


def rows_of(text: str) -> list[tuple[object, ...]] | None:
    """The rows in a text such as "[(1, 'a'), (2, 'b')]"; None if it is not that."""
    text = text.strip()
    if not (text.startswith("[(") or text.startswith("[[")) or len(text) > _LONGEST_ROWS:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not all(isinstance(row, list | tuple) and row for row in value):
        return None
    return [tuple(row) for row in value]


def _prose(text: str) -> Iterator[Block]:
    """What is not fenced."""
    text = text.strip("\n")
    if not text.strip():
        return
    rows = rows_of(text)
    if rows is not None:
        yield Rows(tuple(rows))
    elif text.startswith(_OUTPUT):
        yield Screen(text.removeprefix(_OUTPUT))
    elif text.startswith(_NO_OUTPUT):
        yield Screen("")
        yield from _words(text.removeprefix(_NO_OUTPUT))
    elif _SEPARATOR in text and "Available Actions:\n" in text and len(text) <= _LONGEST_PAGE:
        yield from _pages(text)
    elif _SQL.match(text):
        yield Code(text, "sql")
    elif text.lstrip().startswith("{"):
        yield from _call(text)
    else:
        yield from _words(text)


def _words(text: str) -> Iterator[Block]:
    """Words, and what stands between them on lines of its own: HTML, boards, menus."""
    end = 0
    for drawn in _DRAWN.finditer(text):
        yield from _plain(text[end : drawn.start()])
        yield Board(tuple(drawn["board"].splitlines())) if drawn["board"] else Markup(tuple(_elements(drawn["html"])))
        end = drawn.end()
    yield from _plain(text[end:])


def _plain(text: str) -> Iterator[Block]:
    """Words, and menus among their lines."""
    text = text.strip("\n")
    if not text.strip():
        return
    if not _MENU.search(text):
        yield Words(text)
        return
    for line in text.split("\n"):
        menu = _MENU.fullmatch(line)
        yield Menu(tuple(item for item in menu[1].split(", ") if item)) if menu else Words(line)


def _pages(text: str) -> Iterator[Block]:
    """Pages of the shop, and the words between them."""
    end = 0
    for possible in _AVAILABLE.finditer(text):
        words, _, shown = text[end : possible.start()].rpartition(_OBSERVATION)
        yield from _words(words)
        yield Page(tuple(_lines(shown)), _possible(possible[1]))
        end = possible.end()
    yield from _words(text[end:])


def _lines(shown: str) -> Iterator[tuple[str, ...]]:
    """Parts in a flow, each product and what is of its own on a line."""
    for line in shown.strip().splitlines():
        flow: list[str] = []
        for part in line.split(_SEPARATOR):
            if flow and (part in _OWN_LINE or is_product(part)):
                yield tuple(flow)
                flow = []
            flow.append(part)
        yield tuple(flow)


def _possible(available: str) -> str:
    """The list of actions in words; as it came where it is not one."""
    try:
        value = ast.literal_eval(available)
        labels = [str(label) for label in value["clickables"]]
        searchable = bool(value["has_search_bar"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return available
    return f"can {'search, ' if searchable else ''}click {' · '.join(labels) or 'nothing'}"


def _call(text: str) -> Iterator[Block]:
    """A tool call in JSON: SQL and scripts among its arguments as such; short texts as in a call of Python's."""
    try:
        call = json.loads(text)
        name, arguments = str(call["name"]), dict(call["arguments"])
    except (ValueError, KeyError, TypeError, RecursionError):
        yield Code(text, "json")
        return
    for argument, language in (("query", "sql"), ("script", "bash")):
        if isinstance(arguments.get(argument), str):
            yield from (Call(name), Code(arguments[argument], language))
            return
    short = all(isinstance(value, str) and "\n" not in value for value in arguments.values())
    yield Call(f"{name}({', '.join(arguments.values())})") if arguments and short else Code(text, "json")


def _elements(markup: str) -> Iterator[Element]:
    """The elements of a page in order, less its frame."""
    depth = 0
    waiting: Element | None = None
    for closing, name, rest, words in _TAG.findall(markup):
        if words:
            text = " ".join(words.split())
            if text and waiting is not None:
                waiting = Element(waiting.depth, waiting.tag, waiting.number, waiting.attributes, text)
            elif text:
                yield Element(depth, "", "", "", text)
            continue
        if waiting is not None:
            yield waiting
            waiting = None
        tag = name.lower()
        if tag in _FRAME:
            continue
        if closing:
            depth = max(0, depth - (tag not in _VOID))
            continue
        number = _ID.search(rest)
        attributes = " ".join(_ID.sub("", rest, count=1).strip(" /").split())
        waiting = Element(depth, tag, number[1] if number else "", attributes, "")
        depth += tag not in _VOID
    if waiting is not None:
        yield waiting
