"""An episode as an asciicast: a film of a terminal that players such as asciinema show at a reader's pace.

Source: the asciicast v2 file format, https://docs.asciinema.org/manual/asciicast/v2/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from itertools import islice
from pathlib import Path

from rich.console import Console

from cmat_env.log import log_path, read_episodes
from cmat_env.replay import require
from cmat_env.replay_tokens import lens
from cmat_env.replay_view import whole
from cmat_env.tables import write_text
from cmat_env.terminal import printable

_LINE = 0.03
"""Seconds from a line to the next, within a step."""
_LETTERS = 45.0
"""Letters that a reader takes in a second ..."""
_SHORTEST, _LONGEST = 0.6, 4.0
"""... between these bounds, in seconds, after a step."""


def draw_cast(
    path: Path | str,
    to: Path | str,
    *,
    episode: int | None = None,
    width: int = 100,
    height: int = 32,
    tokens: bool = False,
) -> float:
    """Write one episode as an asciicast, and say how long it is, in seconds. The same log gives the same file.

    Args:
        path: a log, or a run folder.
        to: the film's file.
        episode: which one, from 1; the first by default.
        width, height: of the terminal, in characters.
        tokens: show the tokens of each step.

    Raises:
        LogError: the log cannot be read or has no such episode.
        ConfigError: the file cannot be written.
    """
    number = episode or 1
    record = next(islice(read_episodes(path), number - 1, number), None)
    require(path, episode, record)
    assert record is not None
    parts = []
    for part in whole(record, number=number, lens=lens(log_path(path)) if tokens else None):
        screen = StringIO()
        Console(file=screen, width=width, force_terminal=True, color_system="truecolor", legacy_windows=False).print(
            part
        )
        parts.append(screen.getvalue())
    title = printable(f"{record.trajectory.env_id} {record.trajectory.task_id}")
    header = {"version": 2, "width": width, "height": height, "title": title, "env": {"TERM": "xterm-256color"}}
    events = list(_events(parts))
    write_text(Path(to), "".join(f"{json.dumps(line)}\n" for line in (header, *events)))
    return events[-1][0]


def _events(parts: list[str]) -> Iterator[tuple[float, str, str]]:
    """When, "o" for output, and what, line by line; at the end nothing, after a last look."""
    now = 0.0
    for part in parts:
        for line in part.removesuffix("\n").split("\n"):
            yield round(now, 3), "o", f"{line}\r\n"
            now += _LINE
        now += min(_LONGEST, max(_SHORTEST, len("".join(part.split())) / _LETTERS))
    yield round(now, 3), "o", ""
