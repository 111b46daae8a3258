"""`cmat report`: what came of a run, on a terminal, as Markdown, or as a page of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder, as train --out or eval --record say.")],
    *,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as a self-contained page, with curves and episodes.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write its tables as Markdown.")] = None,
    episodes: Annotated[int, typer.Option(min=0, max=6, metavar="N", help="Episodes on the page.")] = 4,
) -> None:
    """Report on a run, also while it is at work: results, types, failures by reason, the ledger by role, settings."""
    from cmat_env.run_log import RunLog  # noqa: PLC0415 - the command line starts without them
    from cmat_env.run_page import stage, write_report  # noqa: PLC0415
    from cmat_env.run_tables import settings, tables  # noqa: PLC0415
    from cmat_env.tables import show, to_markdown, write_text  # noqa: PLC0415

    run = RunLog(path)
    title = f"cmat report {path}"
    if html is not None:
        write_report(run, html, title=title, episodes=episodes)
        print(f"{html}: {html.stat().st_size:,} bytes")
    if markdown is not None:
        write_text(markdown, to_markdown(title, [*tables(run), settings(run)]))
        print(markdown)
    if html is None and markdown is None:
        print(f"{path}: {stage(run)}")
        show(tables(run))
