"""`cmat eval --suite`: several environments in one run, and the paper's table with a row of ours."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmat_env.cli.progress import Advance, progress
from cmat_env.errors import ConfigError
from cmat_env.types import Policy, Trajectory

if TYPE_CHECKING:
    from cmat_env.suite import OnEpisode, SuiteSettings
    from cmat_env.suite_report import Entry


def play_suite(
    entries: Sequence[Entry],
    team: Mapping[str, str],
    folder: Path | None,
    *,
    policies: Mapping[str, Policy | str],
    json_file: str | None,
    how: SuiteSettings,
) -> None:
    """Play the parts, and print the tables."""
    from cmat_env.suite import run_suite  # noqa: PLC0415 - the command line starts without its workers
    from cmat_env.tables import show  # noqa: PLC0415

    if folder is None:
        raise ConfigError("--suite needs --record DIR, where the run is kept and from where it goes on")
    if json_file is not None and json_file != "-":
        _check_writable(Path(json_file))
    with _telling() as on_episode:
        report = run_suite(entries, team, folder, settings=how, policies=policies, on_episode=on_episode)
    text = json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n"
    if json_file == "-":
        sys.stdout.write(text)
    else:
        if json_file is not None:
            Path(json_file).write_text(text, encoding="utf-8")
        show(report.tables())
        print(f"kept in {folder}: report.md, report.html, report.json; the same command plays what was dropped again")
    crashed = [each for each in report.parts if not each.report.episodes]
    if crashed:
        first = crashed[0]
        print(
            f"error: all episodes of {first.entry.part.name} crashed; first: {first.report.dropped[0]}", file=sys.stderr
        )
        raise typer.Exit(1)


def entries_of(
    sources: Mapping[str, str | None], made_with: Mapping[str, Any], *, graphs: str | None, script_dir: Path | None
) -> list[Entry]:
    """The parts whose tasks are given, with what belongs to each."""
    from cmat_env.agentbench import PARTS  # noqa: PLC0415
    from cmat_env.suite_report import Entry  # noqa: PLC0415

    extras: dict[str, dict[str, Any]] = {
        "kg": {} if graphs is None else {"graphs": graphs},
        "os": {} if script_dir is None else {"script_dir": str(script_dir)},
    }
    for name, extra in extras.items():
        if extra and sources[name] is None:
            flag = next(iter(extra)).replace("_", "-")
            raise ConfigError(f"--{flag} is given, but no --{name}; add it or drop --{flag}")
    return [
        Entry(PARTS[name], source, {**made_with, "tasks": source, **extras.get(name, {})})
        for name, source in sources.items()
        if source is not None
    ]


@contextlib.contextmanager
def _telling() -> Iterator[OnEpisode]:
    """A bar for each part, one after the other."""
    with contextlib.ExitStack() as stack:
        bars: dict[str, Advance] = {}
        solved: dict[str, int] = {}

        def on_episode(name: str, done: int, total: int, episode: Trajectory | None) -> None:
            if episode is None:
                stack.close()
                print(
                    f"{name}: {done} of {total} are there already" if done else f"{name}: {total} to play",
                    file=sys.stderr,
                )
                bars[name] = stack.enter_context(progress(name, total - done))
                solved[name] = 0
                return
            solved[name] += episode.success
            bars[name](f"{solved[name]} solved in this session")

        yield on_episode


def _check_writable(file: Path) -> None:
    """Fail before the run rather than after it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("a").close()
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}; choose another place") from error
