"""Tables of results, once: as Markdown, as a self-contained HTML page, and on a terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from cmat_env.terminal import printable

_CSS = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
th { text-align: left; } td:not(:first-child), th:not(:first-child) { text-align: right; white-space: nowrap; }
tr.ours { font-weight: 600; background: color-mix(in srgb, #2a7 15%, transparent); }
p.note { max-width: 60rem; opacity: .8; }
"""


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
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for table in tables:
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)
        rows = []
        for place, row in enumerate(table.rows):
            mark = ' class="ours"' if place in table.ours else ""
            rows.append(f"<tr{mark}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>")
        parts.append(f"<h2>{html.escape(table.title)}</h2>")
        body = "\n".join(rows)
        parts.append(f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>")
        parts += [f'<p class="note">{html.escape(note)}</p>' for note in table.notes]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_CSS}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def show(tables: Sequence[Table]) -> None:
    """Print tables on standard output."""
    from rich import box  # noqa: PLC0415 - only where a table is drawn
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table as Drawn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    for table in tables:
        drawn = Drawn(title=Text(printable(table.title)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for place, name in enumerate(table.head):
            drawn.add_column(Text(printable(name)), justify="right" if place else "left", overflow="fold")
        for place, row in enumerate(table.rows):
            drawn.add_row(*(Text(printable(cell)) for cell in row), style="bold" if place in table.ours else None)
        console.print(drawn)
        for note in table.notes:
            console.print(Text(printable(note)), style="dim")


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
