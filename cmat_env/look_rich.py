"""What a text of a task looks like on a terminal: `cmat_env.looks` as rich renderables, safe whatever a model wrote."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import ROUNDED
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from cmat_env import looks
from cmat_env.terminal import printable

_SET_OFF = rf"(?m)^((?:{'|'.join(looks.SET_OFF)}).*)$"
_NUMBERED = r"(?m)^ *(\[[0-9]{1,6}\])"
_MOST_ROWS = 12
_MOST_OFFERED = 36


def content(text: str) -> list[RenderableType]:
    """What somebody wrote, as its domain looks; "(nothing)" for a text of blanks."""
    return [_drawn(block) for block in looks.blocks_of(text)] or [Text("(nothing)", style="dim")]


def _drawn(block: looks.Block) -> RenderableType:
    match block:
        case looks.Words(text):
            return _words(text)
        case looks.Rows(rows):
            return _table(rows)
        case looks.Code(text, language):
            return _code(text, language)
        case looks.Call(text):
            return Text(printable(text), style="bold")
        case looks.Screen(text):
            return _screen(text)
        case looks.Menu(items):
            return _menu(items)
        case looks.Page():
            return _page(block)
        case looks.Markup(elements):
            return Group(*map(_element, elements))
        case looks.Board(rows):
            return _board(rows)


def _words(text: str) -> Text:
    """Plain text, with what it does set off."""
    words = Text(printable(text))
    words.highlight_regex(_SET_OFF, "bold")
    words.highlight_regex(_NUMBERED, "cyan")
    return words


def _code(text: str, language: str) -> RenderableType:
    code = Syntax(printable(text), language, theme="ansi_dark", background_color="default", word_wrap=True)
    if language not in looks.PROMPTS:
        return code
    beside = Table.grid()
    beside.add_row(Text(looks.PROMPTS[language], style="bold green"), code)
    return beside


def _screen(text: str) -> RenderableType:
    """What a terminal shows, with a bar beside it."""
    shown = printable(text) if text.strip() else "(no output)"
    beside = Table.grid()
    for line in shown.split("\n"):
        beside.add_row(Text("▌ ", style="dim"), Text(line, style="" if text.strip() else "dim"))
    return beside


def _table(rows: Sequence[tuple[object, ...]]) -> RenderableType:
    """Rows without names, the first dozen of them."""
    table = Table(box=ROUNDED, show_header=False, border_style="dim")
    for _ in range(max((len(row) for row in rows), default=0)):
        table.add_column(overflow="fold")
    for row in rows[:_MOST_ROWS]:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    if len(rows) <= _MOST_ROWS:
        return table
    return Group(table, Text(f"... {len(rows) - _MOST_ROWS} more rows", style="dim"))


def _menu(items: Sequence[str]) -> RenderableType:
    """What a tool offers, in columns."""
    if not items:
        return Text("nothing offered")
    shown = Columns([Text(printable(item)) for item in items[:_MOST_OFFERED]], padding=(0, 2))
    left = f", the first {_MOST_OFFERED}" if len(items) > _MOST_OFFERED else ""
    return Group(Text(f"{len(items)} offered{left}", style="dim"), shown)


def _page(page: looks.Page) -> Text:
    """A page of the shop: what sellers and customers wrote keeps its quotation marks."""
    view = Text()
    for line in page.lines:
        for index, part in enumerate(line):
            view.append(" · " if index else "", style="dim")
            view.append(printable(part), style="bold" if looks.is_product(part) else "")
        view.append("\n")
    return view.append(printable(page.possible), style="dim")


def _element(element: looks.Element) -> Text:
    """An element in its depth; those with a number are the ones that can be chosen."""
    line = Text("  " * min(element.depth, 12))
    if element.number:
        line.append(f"[{printable(element.number)}] ", style="bold cyan")
    line.append(element.tag, style="magenta")
    line.append(f" {printable(element.attributes)}" if element.attributes else "", style="dim")
    gap = " " if element.tag and element.text else ""
    return line.append(f"{gap}{printable(element.text)}", style="bold" if element.number else "")


def _board(rows: Sequence[str]) -> Text:
    board = Text("\n".join(rows))
    for sign, style in (("X", "bold green"), ("O", "bold red"), (r"\.", "dim")):
        board.highlight_regex(sign, style)
    return board
