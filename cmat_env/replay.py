"""Replay of an episode log in the terminal: key by key for a person, all at once for a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import StringIO
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cmat_env.errors import LogError
from cmat_env.keys import read_key
from cmat_env.log import log_path, read_episodes
from cmat_env.log_lines import EpisodeRecord
from cmat_env.replay_tokens import LEGEND, lens
from cmat_env.replay_view import Lens, footer, header, turn, whole
from cmat_env.terminal import printable

HELP = "→ ← step  g jump  Home End  n p episode  a all  t tokens  q quit"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader is.

    Attributes:
        episode: from 0.
        step: from 0; the number of steps means the episode's end.
        typed: digits of a jump so far; None when no jump is being typed.
        everything: show the whole episode instead of one step.
        tokens: show the tokens of a step.
        over: the reader has quit.
    """

    episode: int = 0
    step: int = 0
    typed: str | None = None
    everything: bool = False
    tokens: bool = False
    over: bool = False


class Shelf:
    """The episodes of a log, read when they are asked for and kept."""

    def __init__(self, records: Iterator[EpisodeRecord]) -> None:
        self._records = records
        self._read: list[EpisodeRecord] = []

    def get(self, index: int) -> EpisodeRecord | None:
        """The episode at this place, from 0; None if the log has fewer."""
        if index >= len(self._read):
            self._read.extend(islice(self._records, index + 1 - len(self._read)))
        return self._read[index] if 0 <= index < len(self._read) else None

    def steps(self, index: int) -> int:
        """How many steps the episode at this place has."""
        record = self.get(index)
        return len(record.trajectory.steps) if record else 0


def move(place: Place, key: str, shelf: Shelf) -> Place:
    """Where a key leads. An unknown key leads nowhere."""
    if place.typed is not None:
        return _typing(place, key, shelf)
    last = shelf.steps(place.episode)
    match key:
        case "right" | " " | "enter" | "l" | "down":
            return replace(place, step=min(place.step + 1, last), everything=False)
        case "left" | "backspace" | "h" | "up":
            return replace(place, step=max(place.step - 1, 0), everything=False)
        case "home" | "0":
            return replace(place, step=0, everything=False)
        case "end" | "$":
            return replace(place, step=last, everything=False)
        case "n":
            return Place(place.episode + 1, tokens=place.tokens) if shelf.get(place.episode + 1) else place
        case "p":
            return Place(max(place.episode - 1, 0), tokens=place.tokens)
        case "g":
            return replace(place, typed="")
        case "a":
            return replace(place, everything=not place.everything)
        case "t":
            return replace(place, tokens=not place.tokens)
        case "q" | "escape":
            return replace(place, over=True)
    return place


def browse(
    shelf: Shelf,
    console: Console,
    *,
    start: Place | None = None,
    lens: Lens | None = None,
    read: Callable[[], str] = read_key,
) -> None:
    """Show one step at a time and follow the keys until the reader quits.

    Args:
        shelf: the episodes.
        console: a terminal.
        start: where to begin; the first step by default.
        lens: what shows tokens, once they are asked for.
        read: gives the next key.
    """
    place = start or Place()
    while not place.over:
        _draw(place, shelf, console, lens)
        try:
            place = move(place, read(), shelf)
        except EOFError:
            return


def print_all(records: Iterator[EpisodeRecord], console: Console, *, first: int = 1, lens: Lens | None = None) -> int:
    """Print episodes from first to last, and say how many there were.

    Args:
        records: the episodes.
        console: where to.
        first: the number of the first one.
        lens: what shows their tokens.
    """
    count = 0
    for count, record in enumerate(records, start=1):
        for part in whole(record, number=first + count - 1, lens=lens):
            console.print(part)
    return count


def replay(
    path: Path | str, console: Console, *, episode: int | None = None, interactive: bool = False, tokens: bool = False
) -> None:
    """Show the episodes of a log.

    Args:
        path: a log, or a run folder.
        console: where to.
        episode: which one, from 1; by default all, or the first one to begin with.
        interactive: follow keys.
        tokens: show the tokens of each step.

    Raises:
        LogError: the log cannot be read, is empty, or has no such episode.
    """

    records, look = read_episodes(path, on_torn=warn), lens(log_path(path))
    if interactive:
        shelf, start = Shelf(records), Place((episode or 1) - 1, tokens=tokens)
        require(path, episode, shelf.get(start.episode))
        browse(shelf, console, start=start, lens=look)
        return
    if tokens:
        console.print(Text(LEGEND, style="dim"))
    chosen = records if episode is None else islice(records, episode - 1, episode)
    if not print_all(chosen, console, first=episode or 1, lens=look if tokens else None):
        require(path, episode, None)


def warn(note: str) -> None:
    """Say on standard error what was left out of a log."""
    Console(stderr=True).print(Text(note, style="yellow"))


def draw_svg(
    path: Path | str, to: Path | str, *, episode: int | None = None, width: int = 100, tokens: bool = False
) -> None:
    """Draw one episode as an SVG picture.

    Args:
        path: a log, or a run folder.
        to: the picture's file.
        episode: which one, from 1; the first by default.
        width: of the picture, in characters.
        tokens: show the tokens of each step.

    Raises:
        LogError: the log cannot be read or has no such episode, or the picture cannot be written.
    """
    number = episode or 1
    record = next(islice(read_episodes(path), number - 1, number), None)
    require(path, episode, record)
    assert record is not None
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True, color_system="truecolor")
    for part in whole(record, number=number, lens=lens(log_path(path)) if tokens else None):
        console.print(part)
    try:
        Path(to).parent.mkdir(parents=True, exist_ok=True)
        console.save_svg(str(to), title=printable(f"{record.trajectory.env_id} {record.trajectory.task_id}"))
    except OSError as error:
        raise LogError(f"{to}: cannot be written: {error.strerror or error}") from error


def require(path: Path | str, episode: int | None, record: EpisodeRecord | None) -> None:
    """Raise unless there is such an episode.

    Raises:
        LogError: there is not.
    """
    if record is None:
        raise LogError(f"{path}: no episode {episode}" if episode else f"{path}: no episode in this log")


def _typing(place: Place, key: str, shelf: Shelf) -> Place:
    typed = place.typed or ""
    if key.isdigit() and len(typed) < 6:
        return replace(place, typed=typed + key)
    if key == "backspace":
        return replace(place, typed=typed[:-1])
    if key == "enter" and typed:
        step = min(max(int(typed) - 1, 0), shelf.steps(place.episode))
        return replace(place, step=step, typed=None, everything=False)
    return replace(place, typed=None)


def _draw(place: Place, shelf: Shelf, console: Console, lens: Lens | None) -> None:
    record = shelf.get(place.episode)
    if record is None:
        return
    episode, steps = record.trajectory, record.trajectory.steps
    console.clear()
    look = lens if place.tokens else None
    if place.everything:
        for part in whole(record, number=place.episode + 1, lens=look):
            console.print(part)
    else:
        console.print(header(record, number=place.episode + 1))
        if place.step == len(steps):
            console.print(footer(episode))
        else:
            tokens = look(record, place.step) if look else None
            console.print(turn(steps, place.step, count=len(steps), tokens=tokens))
    jumping = f"jump to step: {place.typed}_" if place.typed is not None else HELP
    console.print(Text(jumping, style="dim"))
