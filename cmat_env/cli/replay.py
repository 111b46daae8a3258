"""`cmat replay`: look at recorded episodes, check them, continue them, compare them."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmat_env.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from cmat_env.log_lines import EpisodeRecord
    from cmat_env.reexecution import Divergence

Policy = Annotated[str | None, typer.Option(metavar="P", help="With --fork: who plays this role from there on.")]


def replay_command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="DIR|FILE", help="A run folder or an episode log; with --diff two of them.")
    ],
    *,
    episode: Annotated[int | None, typer.Option(min=1, metavar="N", help="Which one, from 1.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print everything instead of following keys.")] = False,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show every token: mask, log-probability, ratio, advantage.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the episode as a picture instead.")] = None,
    cast: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Film the episode for asciinema (asciicast v2).")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page that needs nothing else.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Play the log again in a fresh environment and compare.")
    ] = False,
    fork: Annotated[
        int | None, typer.Option(min=1, metavar="STEP", help="Continue the episode from this step, played anew.")
    ] = None,
    user: Policy = None,
    assistant: Policy = None,
    checker: Policy = None,
    record: Annotated[Path | None, typer.Option(metavar="DIR", help="With --fork: keep the new episode here.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Compare two logs: where do their episodes part?")] = False,
) -> None:
    """Replay episodes turn by turn; all at once where the output is no terminal.

    Exit status 1: --verify found a divergence.
    """
    from rich.console import Console  # noqa: PLC0415 - the command line starts without it

    given = {"--svg": svg, "--cast": cast, "--html": html, "--verify": verify, "--fork": fork, "--diff": diff}
    modes = [name for name, value in given.items() if value]
    if len(modes) > 1:
        raise ConfigError(f"{modes[0]} and {modes[1]} cannot both be done; choose one")
    team = {"user": user, "assistant": assistant, "checker": checker}
    if not fork and (record or any(team.values())):
        raise ConfigError("--user, --assistant, --checker and --record belong to --fork; add --fork STEP")
    if len(paths) != 1 + diff:
        wanted = (
            "two logs to compare, such as: cmat replay --diff A B" if diff else "one log; to compare two add --diff"
        )
        raise ConfigError(f"{len(paths)} logs are given; wanted {wanted}")
    console = Console()
    if svg is not None:
        from cmat_env.replay import draw_svg  # noqa: PLC0415

        draw_svg(paths[0], svg, episode=episode, tokens=tokens)
        print(svg)
    elif cast is not None:
        from cmat_env.replay_cast import draw_cast  # noqa: PLC0415

        seconds = draw_cast(paths[0], cast, episode=episode, tokens=tokens)
        print(f"{cast}: {seconds:.0f} s; play it with: asciinema play {cast}")
    elif html is not None:
        _page(paths[0], html, episode, tokens=tokens)
    elif verify:
        _verify(paths[0], episode, console)
    elif fork:
        named = {role: spec for role, spec in team.items() if spec}
        _fork(paths[0], episode, fork, team=named, to=record, console=console)
    elif diff:
        _diff(paths[0], paths[1], episode, console)
    else:
        from cmat_env.replay import replay  # noqa: PLC0415

        follows = console.is_terminal and sys.stdin is not None and sys.stdin.isatty() and not plain
        replay(paths[0], console, episode=episode, interactive=follows, tokens=tokens)


def _page(path: Path, to: Path, episode: int | None, *, tokens: bool) -> None:
    from cmat_env.log import log_path, read_episodes  # noqa: PLC0415
    from cmat_env.replay import require, warn  # noqa: PLC0415
    from cmat_env.replay_html import write_html  # noqa: PLC0415
    from cmat_env.replay_tokens import finder  # noqa: PLC0415

    records = read_episodes(path, on_torn=warn)
    chosen = records if episode is None else islice(records, episode - 1, episode)
    first = next(chosen, None)
    require(path, episode, first)
    find = finder(log_path(path)) if tokens else None
    rest = (record for part in ([first], chosen) for record in part if record)
    count = write_html(rest, to, title=f"cmat replay {path}", first=episode or 1, tokens=find)
    print(f"{to}: {count} episodes, {to.stat().st_size:,} bytes")


def _verify(path: Path, episode: int | None, console: Console) -> None:
    """Say where each episode parts from its log, and end with status 1 if one does."""
    from rich.text import Text  # noqa: PLC0415

    from cmat_env.log import read_episodes  # noqa: PLC0415
    from cmat_env.reexecution import verify  # noqa: PLC0415
    from cmat_env.replay import require, warn  # noqa: PLC0415

    same = wrong = 0
    for number, record in enumerate(read_episodes(path, on_torn=warn), start=1):
        if episode not in (None, number):
            continue
        found = verify(record)
        same, wrong = same + (found is None), wrong + (found is not None)
        if found:
            console.print(Text(_told(number, record, found)), soft_wrap=True)
    if not same + wrong:
        require(path, episode, None)
    console.print(Text(f"{same} of {same + wrong} episodes came again exactly"))
    if wrong:
        raise typer.Exit(1)


def _told(number: int, record: EpisodeRecord, found: Divergence) -> str:
    from cmat_env.terminal import printable  # noqa: PLC0415

    steps = record.trajectory.steps
    where = f"step {found.step + 1} ({steps[found.step].agent})" if found.step < len(steps) else "its end"
    return printable(
        f"episode {number}, task {record.trajectory.task_id}: the first divergence is at {where}, in {found.field}\n"
        f"  recorded: {found.recorded!r}\n  now:      {found.now!r}"
    )


def _fork(
    path: Path, episode: int | None, step: int, *, team: dict[str, str], to: Path | None, console: Console
) -> None:
    from cmat_env.forking import fork  # noqa: PLC0415
    from cmat_env.log import LOG_NAME, EpisodeWriter, read_episodes  # noqa: PLC0415
    from cmat_env.log_lines import EpisodeRecord  # noqa: PLC0415
    from cmat_env.replay import require  # noqa: PLC0415
    from cmat_env.replay_view import whole  # noqa: PLC0415

    number = episode or 1
    record = next(islice(read_episodes(path), number - 1, number), None)
    require(path, episode, record)
    assert record is not None
    forked, played_by = fork(record, step, team)
    kept = {name: record.notes[name] for name in ("seed", "greedy") if name in record.notes}
    notes = {**kept, "fork of": f"{path} episode {number}", "from step": step}
    for part in whole(EpisodeRecord(forked, played_by, notes=notes), number=number):
        console.print(part)
    if to is not None:
        with EpisodeWriter(to / LOG_NAME, policies=played_by, settings=record.settings, notes=notes) as log:
            log.write(forked)


def _diff(a: Path, b: Path, episode: int | None, console: Console) -> None:
    """The comparison, and in detail the pair that is asked for, or the first one that parts."""
    from cmat_env.log import read_episodes  # noqa: PLC0415
    from cmat_env.replay import warn  # noqa: PLC0415
    from cmat_env.replay_diff import compare, detail, table  # noqa: PLC0415

    comparison = compare(*(read_episodes(path, on_torn=warn) for path in (a, b)))
    if episode is None:
        console.print(table(comparison))
        shown = comparison.different[:1]
    else:
        shown = [pair for pair in comparison.pairs if pair.number == episode]
        if not shown:
            raise ConfigError(
                f"episode {episode} of {a} is not in {b}; cmat replay --diff without --episode lists them"
            )
    for pair in shown:
        for part in detail(pair):
            console.print(part)
