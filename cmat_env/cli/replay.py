"""`cmat replay`: look at recorded episodes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def replay_command(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A run folder, or an episode log.")],
    episode: Annotated[int | None, typer.Option(min=1, metavar="N", help="Which one, from 1.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print everything instead of following keys.")] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the episode as a picture instead.")] = None,
) -> None:
    """Replay episodes turn by turn; all at once where the output is no terminal."""
    from rich.console import Console  # noqa: PLC0415 - the command line starts without it

    from cmat_env.replay import draw_svg, replay  # noqa: PLC0415

    if svg is not None:
        draw_svg(path, svg, episode=episode)
        print(svg)
        return
    console = Console()
    replay(path, console, episode=episode, interactive=console.is_terminal and sys.stdin.isatty() and not plain)
