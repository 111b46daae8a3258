"""`cmat watch`: a run that is at work, seen from another terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cmat_env.run_log import RunLog


def watch_command(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder, as train --out or eval --record say.")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Show how it stands now, and end.")] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Between two looks.")] = 2.0,
) -> None:
    """Follow a run: learning curves, alarms, failures by reason, the ledger by role, the latest episodes.

    It ends when the run has ended, or with Ctrl-C; it only reads. Where the output is no terminal, a line is printed
    whenever something is new.
    """
    from rich.console import Console  # noqa: PLC0415 - the command line starts without it

    from cmat_env.cli.watch_view import frame  # noqa: PLC0415
    from cmat_env.run_log import RunLog  # noqa: PLC0415

    run, console = RunLog(path), Console()
    if once:
        console.print(frame(run))
    elif console.is_terminal:
        _follow(run, console, every)
        console.print(frame(run))
    else:
        _tell(run, every)


def _follow(run: RunLog, console: Console, every: float) -> None:
    """Draw the run anew at every look, on a screen of its own."""
    from rich.live import Live  # noqa: PLC0415

    from cmat_env.cli.watch_view import frame  # noqa: PLC0415

    live = Live(console=console, screen=True, auto_refresh=False)
    try:  # and no `with`: Ctrl-C while it starts must give the screen back, too
        live.start()
        _until_ended(run, every, lambda: live.update(frame(run), refresh=True))
    finally:
        live.stop()


def _tell(run: RunLog, every: float) -> None:
    """A line whenever something is new."""
    from cmat_env.cli.watch_view import line  # noqa: PLC0415

    told = ""

    def tell() -> None:
        nonlocal told
        now = line(run)
        if now != told:
            print(now, flush=True)
            told = now

    _until_ended(run, every, tell)


def _until_ended(run: RunLog, every: float, show: Callable[[], None]) -> None:
    show()
    while not run.has_ended:
        time.sleep(every)
        run.refresh()
        show()
