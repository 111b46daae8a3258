"""How long work shows itself: a bar on a terminal, a few plain lines elsewhere; always on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_LINES = 10


class Advance(Protocol):
    """Told after each piece of work."""

    def __call__(self, note: str = "") -> None:
        """One more piece is done; `note` says how it stands."""
        ...


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Show the progress of `total` pieces of work, None if nobody knows how many there are."""
    if sys.stderr.isatty():
        with _bar(label, total) as advance:
            yield advance
        return
    done = 0
    step = max(1, (total or 1000) // _LINES)

    def advance_plainly(note: str = "") -> None:
        nonlocal done
        done += 1
        if done % step == 0 or done == total:
            print(f"{label} {done}{f'/{total}' if total else ''} {note}".rstrip(), file=sys.stderr, flush=True)

    yield advance_plainly


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console  # noqa: PLC0415 - only where a bar is drawn
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, note="")

        def advance(note: str = "") -> None:
            bar.update(task, advance=1, note=note)

        yield advance
