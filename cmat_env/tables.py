"""Tables of results, once: as Markdown, as a self-contained HTML page, and on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmat_env.episode_html import notebook
from cmat_env.errors import ConfigError
from cmat_env.html_page import page
from cmat_env.look_html import text
from cmat_env.terminal import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes:
        title: above it.
        head: names of the columns.
        rows: cells in order.
        ours: positions of the rows that stand out.
        notes: below it.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ours: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def to_markdown(title: str, tables: Sequence[Table]) -> str:
    """A Markdown page."""
    parts = [f"# {_flat(title)}"]
    for table in tables:
        marks = ["---", *["---:"] * (len(table.head) - 1)]
        lines = [_line(table.head), _line(marks)]
        for place, row in enumerate(table.rows):
            cells = [_escaped(cell) for cell in row]
            lines.append(_line([f"**{cell}**" if place in table.ours and cell else cell for cell in cells]))
        parts += [f"## {_flat(table.title)}", "\n".join(lines), *(_escaped(note) for note in table.notes)]
    return "\n\n".join(parts) + "\n"


def to_html(title: str, tables: Sequence[Table]) -> str:
    """A page that needs nothing beside itself: no script, no font, no link."""
    return page(title, [f"<h1>{text(title)}</h1>", *map(table_html, tables)])


def table_html(table: Table) -> str:
    """A table with its title and notes, as a piece of a page."""
    head = "".join(f"<th>{text(cell)}</th>" for cell in table.head)
    rows = []
    for place, row in enumerate(table.rows):
        mark = ' class="ours"' if place in table.ours else ""
        rows.append(f"<tr{mark}>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>")
    body = "\n".join(rows)
    notes = "\n".join(f'<p class="note">{text(note)}</p>' for note in table.notes)
    return (
        f"<h2>{text(table.title)}</h2>\n"
        f'<table class="results">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n{notes}'
    )


def notebook_tables(tables: Sequence[Table]) -> str:
    """Tables for a notebook."""
    return notebook("".join(map(table_html, tables)))


def write_text(file: Path, content: str) -> None:
    """Write a page that a user asked for.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}; choose another place") from error


def show(tables: Sequence[Table]) -> None:
    """Print tables on standard output."""
    from rich.console import Console  # noqa: PLC0415 - only where a table is drawn

    console = Console()
    for table in tables:
        console.print(drawn(table))


def drawn(table: Table) -> RenderableType:
    """A table for a terminal, with its title and notes."""
    from rich import box  # noqa: PLC0415
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table as Drawn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Drawn(title=Text(printable(table.title)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(table.head):
        grid.add_column(Text(printable(name)), justify="right" if place else "left", overflow="fold")
    for place, row in enumerate(table.rows):
        grid.add_row(*(Text(printable(cell)) for cell in row), style="bold" if place in table.ours else None)
    return Group(grid, *(Text(printable(note), style="dim") for note in table.notes))


def percent(share: float | None) -> str:
    """Such as 41.3; a dash where nobody knows."""
    return "-" if share is None else f"{100 * share:.1f}"


def interval(low: float, high: float) -> str:
    """Such as 35.9 to 47.0."""
    return f"{percent(low)} to {percent(high)}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _flat(text: str) -> str:
    return " ".join(printable(text).split())


def _escaped(text: str) -> str:
    """Text that stays text in a cell of Markdown."""
    flat = _flat(text).replace("\\", "\\\\")
    for sign in "|<>`*_[]":
        flat = flat.replace(sign, f"\\{sign}")
    return flat
