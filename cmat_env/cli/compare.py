"""`cmat compare`: is one run better than another, task by task?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def compare_command(
    a: Annotated[Path, typer.Argument(metavar="A", help="A run folder, a suite's, a log, or a report of cmat eval.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one, over the same tasks.")],
    *,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write it as JSON; - = standard output.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as a self-contained page.")] = None,
) -> None:
    """Compare two runs over the same tasks: McNemar's exact test, and the bootstrap interval of the difference."""
    from cmat_env.comparison import compare, read_runs, tables  # noqa: PLC0415 - the command line starts without them
    from cmat_env.tables import show, to_html, to_markdown, write_text  # noqa: PLC0415

    found = compare(read_runs(a), read_runs(b), seed=seed)
    drawn = tables(found, (str(a), str(b)))
    text = json.dumps({"a": str(a), "b": str(b), "comparisons": [each.to_json() for each in found]}, indent=2) + "\n"
    title = f"{b} against {a}"
    for file, content in ((markdown, to_markdown(title, drawn)), (html, to_html(title, drawn))):
        if file is not None:
            write_text(file, content)
    if json_file == "-":
        sys.stdout.write(text)
        return
    if json_file is not None:
        write_text(Path(json_file), text)
    show(drawn)
