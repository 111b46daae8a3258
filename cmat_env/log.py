"""Episode logs: JSON lines that can be appended to after a crash, and read one episode at a time.

An episode is in the log once its footer is: each is written whole, or not at all where the disk is full. What a crash
left after the last footer is torn; reading drops it and says so, appending cuts it away.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from cmat_env import durable
from cmat_env.closing import Closing
from cmat_env.credit import TokenCredit
from cmat_env.errors import LogError
from cmat_env.log_fields import LineError, take
from cmat_env.log_lines import SCHEMA, EpisodeRecord, from_lines, to_lines
from cmat_env.types import Trajectory

LOG_NAME = "episodes.jsonl"

_FOOTER = b'{"kind":"footer"'
_HEADER = b'{"kind":"header"'


class EpisodeWriter(Closing):
    """Appends episodes to a log.

    Args:
        path: the log; it and its folder are made where they are missing.
        policies: by role, who plays, as the user named it.
        settings: what the environment was made with.
        notes: what else a reader of each episode should know.

    Attributes:
        torn_bytes: what a crash had left after the last whole episode, cut away when the log was opened.

    Raises:
        LogError: the file exists and is no episode log of this schema, or cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        policies: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self._policies = dict(policies or {})
        self._settings = dict(settings or {})
        self._notes = dict(notes or {})
        self._versions = versions()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.torn_bytes = _cut_torn(self.path) if self.path.exists() else 0
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise LogError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def write(self, episode: Trajectory, *, credit: Mapping[int, TokenCredit] | None = None) -> None:
        """Append one finished episode.

        Args:
            episode: what happened.
            credit: by step index, what an update made of the reply's tokens.

        Raises:
            LogError: it cannot be written, such as to a full disk; the episodes before it are whole.
        """
        record = EpisodeRecord(episode, self._policies, self._versions, self._settings, self._notes, credit or {})
        lines = (json.dumps(line, separators=(",", ":"), allow_nan=False) for line in to_lines(record))
        self._append("".join(f"{line}\n" for line in lines).encode())

    def _append(self, data: bytes) -> None:
        """All of it or nothing."""
        try:
            durable.append(self._file, data)
        except OSError as error:
            raise LogError(
                f"{self.path}: an episode cannot be written: {error.strerror or error}; those before it are whole. "
                "Make room, or record elsewhere"
            ) from error

    def close(self) -> None:
        """Close the file; twice is fine."""
        self._file.close()


def read_episodes(path: Path | str, *, on_torn: Callable[[str], None] | None = None) -> Iterator[EpisodeRecord]:
    """The episodes of a log, one at a time.

    Args:
        path: a log, or a run folder that holds `episodes.jsonl`.
        on_torn: told in words if a crash left half an episode at the end, which is dropped.

    Raises:
        LogError: the log is missing, or a line is corrupt or of another schema; the message names file and line.
    """
    path = log_path(path)
    with path.open("rb") as file:
        yield from (record for record, _ in read_from(path, file, on_torn=on_torn))


def read_from(
    path: Path, file: BinaryIO, *, line: int = 0, on_torn: Callable[[str], None] | None = None
) -> Iterator[tuple[EpisodeRecord, tuple[int, bytes]]]:
    """The episodes of an open log from where it stands, each with the number of its last line and that line.

    Args:
        path: of the log, for messages.
        file: the log, at the end of an episode.
        line: how many lines were read before.
        on_torn: see `read_episodes`.

    Raises:
        LogError: as `read_episodes` does.
    """
    open_at: list[tuple[int, dict[str, Any]]] = []
    for number, raw in enumerate(file, start=line + 1):
        if not raw.endswith(b"\n"):
            open_at.append((number, {}))
            break
        found = _parsed(path, number, raw)
        kind = found.get("kind")
        if kind == "header":
            _check_header(path, number, found)
        _check_order(path, number, kind, inside=bool(open_at))
        open_at.append((number, found))
        if kind == "footer":
            yield _episode(path, open_at), (number, raw)
            open_at.clear()
    if open_at and on_torn is not None:
        on_torn(f"{path}: the episode that begins at line {open_at[0][0]} has no end (a crash?) and is left out")


def log_path(path: Path | str) -> Path:
    """The log that a path means: itself, or the `episodes.jsonl` of a run folder.

    Raises:
        LogError: there is no such file.
    """
    path = Path(path)
    log = path / LOG_NAME if path.is_dir() else path
    if not log.is_file():
        raise LogError(f"{log}: no such episode log; record one with: cmat eval ENV --record DIR")
    return log


def versions() -> dict[str, str]:
    """What an episode is recorded with."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("cmat-env", "gymnasium", "pettingzoo", "torch", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _parsed(path: Path, number: int, raw: bytes) -> dict[str, Any]:
    """The object of a whole line."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{path}:{number}: not a JSON line ({error}); wanted header, step or footer") from error
    if not isinstance(line, dict):
        raise LogError(f"{path}:{number}: a {type(line).__name__}; wanted an object with a 'kind'")
    return line


def _check_header(path: Path, number: int, line: Mapping[str, Any]) -> None:
    schema = line.get("schema")
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        advice = "update cmat-env" if newer else "was it written by cmat-env?"
        raise LogError(f"{path}:{number}: schema {schema!r}, but this cmat-env reads schema {SCHEMA}; {advice}")


def _check_order(path: Path, number: int, kind: object, *, inside: bool) -> None:
    wanted = ("step", "footer") if inside else ("header",)
    if kind not in wanted:
        raise LogError(f"{path}:{number}: kind {kind!r}, where {' or '.join(wanted)} was wanted")


def _episode(path: Path, numbered: list[tuple[int, dict[str, Any]]]) -> EpisodeRecord:
    lines = [line for _, line in numbered]
    first, last = numbered[0][0], numbered[-1][0]
    try:
        count = take(lines[-1], "steps", int)
        if count != len(lines) - 2:
            raise LineError(f"the footer counts {count} steps, but {len(lines) - 2} are here")
        return from_lines(lines[0], lines[1:-1], lines[-1])
    except (ValueError, TypeError, AttributeError) as error:
        raise LogError(f"{path}:{first}-{last}: {error}") from error


def _cut_torn(path: Path) -> int:
    """Cut what a crash left after the last footer, and say how many bytes that was."""
    end = position = 0
    with path.open("r+b") as file:
        for number, raw in enumerate(file, start=1):
            position += len(raw)
            whole = raw.endswith(b"\n")
            if number == 1:
                _check_first(path, raw, whole=whole)
            if whole and raw.startswith(_FOOTER):
                end = position
        if end < position:
            file.truncate(end)
    return position - end


def _check_first(path: Path, raw: bytes, *, whole: bool) -> None:
    """Never cut a file that is not ours."""
    known = raw.startswith(_HEADER) or (not whole and _HEADER.startswith(raw))
    if not known:
        raise LogError(f"{path}: exists and is no episode log; choose another file, or move this one away")
    if whole:
        try:
            _check_header(path, 1, json.loads(raw))
        except ValueError as error:
            if isinstance(error, LogError):
                raise
            raise LogError(f"{path}:1: not a JSON line ({error})") from error
