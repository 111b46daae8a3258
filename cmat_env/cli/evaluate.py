"""`cmat eval`: play episodes with given policies and report on them."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmat_env.cli.options import rules_of, settings_of, team_of
from cmat_env.cli.progress import Advance, progress
from cmat_env.errors import ConfigError
from cmat_env.terminal import printable
from cmat_env.types import Trajectory

if TYPE_CHECKING:
    from cmat_env.report import CheckerScore, EvalReport, Score

REPORT_NAME = "report.json"

Keep = Callable[[Trajectory], object]

Policy = Annotated[
    str | None,
    typer.Option(
        metavar="P", help="gold, random, echo, human, approve, coin:P, hf:PATH[@ADAPTER], sb3:PATH or module:attribute."
    ),
]


def eval_command(
    env: Annotated[str, typer.Argument(metavar="ENV", help="An environment's id; cmat list shows them.")],
    *,
    tasks: Annotated[
        str | None, typer.Option(metavar="SRC", help="generated:train, generated:heldout, ..., or a task file.")
    ] = None,
    graphs: Annotated[
        str | None, typer.Option(metavar="FILE", help="The graph of a task that has one: a file, a folder or a URL.")
    ] = None,
    script_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the script files that AgentBench's OS tasks name.")
    ] = None,
    roles: Annotated[
        str | None, typer.Option(help="Such as assistant,checker; by default those with a policy.")
    ] = None,
    user: Policy = None,
    assistant: Policy = None,
    checker: Policy = None,
    episodes: Annotated[
        int | None, typer.Option(min=1, help="How many; by default all tasks of a file, or 100 generated ones.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the run; another one generates other tasks.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that play at the same time.")] = 1,
    width: Annotated[int, typer.Option(min=1, help="Episodes side by side in one process.")] = 64,
    greedy: Annotated[
        bool, typer.Option("--greedy/--sampled", help="Models take the likeliest token, or sample.")
    ] = True,
    max_revisions: Annotated[
        int | None, typer.Option(min=0, help="Revisions that the checker may ask for in a turn.")
    ] = None,
    dry_run: Annotated[
        bool | None, typer.Option("--dry-run/--no-dry-run", help="Show the checker what a proposal would give.")
    ] = None,
    prompts: Annotated[str | None, typer.Option(metavar="STYLE", help="System prompts: paper, names or none.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task; may be repeated.")
    ] = None,
    record: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the episodes and the report here.")] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - = standard output.")
    ] = None,
) -> None:
    """Play episodes and report success with its 95 % interval, by task type.

    A model that cmat trained plays by the rules of its run (prompts, revisions, dry run) unless you say otherwise;
    everybody else plays with the paper's prompts, one revision and no dry run.
    """
    from cmat_env.agents.prompts import prompts_of  # noqa: PLC0415 - the command line starts without its workers
    from cmat_env.evaluate import evaluate, plan_of  # noqa: PLC0415
    from cmat_env.registry import make  # noqa: PLC0415

    team = team_of(roles, {"user": user, "assistant": assistant, "checker": checker})
    human = "human" in team.values()
    if human and workers > 1:
        raise ConfigError("a human can only play with --workers 1")
    made_with: dict[str, Any] = settings_of(
        settings or (), flags=("roles", "max_revisions", "dry_run", "tasks", "script_dir")
    )
    rules = rules_of(team).but(max_revisions=max_revisions, dry_run=dry_run, prompts=prompts)
    made_with |= {"roles": tuple(team), "max_revisions": rules.max_revisions, "dry_run": rules.dry_run}
    made_with |= {} if tasks is None else {"tasks": tasks}
    made_with |= {} if graphs is None else {"graphs": graphs}
    made_with |= {} if script_dir is None else {"script_dir": str(script_dir)}
    make_env = functools.partial(make, env, **made_with)
    _check_writable(json_file, record)
    plan = plan_of(make_env, episodes, seed=seed)
    with progress("eval", len(plan)) as advance, _recorder(record, team, made_with, seed=seed, greedy=greedy) as keep:
        report = evaluate(
            make_env,
            team,
            episodes=plan,
            seed=seed,
            prompts=prompts_of(rules.prompts),
            width=1 if human else width,
            greedy=greedy,
            workers=workers,
            on_end=_telling(advance, keep),
        )
    _deliver(report, json_file, record)
    if report.episodes == 0:
        print(f"error: all {len(report.dropped)} episodes crashed; first: {report.dropped[0]}", file=sys.stderr)
        raise typer.Exit(1)


def _telling(advance: Advance, keep: Keep) -> Callable[[int, Trajectory], None]:
    """Keep each episode, and say how many are solved so far."""
    solved = played = 0

    def on_end(_: int, episode: Trajectory) -> None:
        nonlocal solved, played
        played, solved = played + 1, solved + episode.success
        keep(episode)
        advance(f"{solved / played:.1%} solved")

    return on_end


@contextmanager
def _recorder(
    folder: Path | None, team: Mapping[str, str], settings: Mapping[str, Any], **notes: Any
) -> Iterator[Keep]:
    """What keeps episodes in a folder, with notes; without one it forgets them."""
    if folder is None:
        yield lambda episode: None
        return
    from cmat_env.log import LOG_NAME, EpisodeWriter  # noqa: PLC0415

    with EpisodeWriter(folder / LOG_NAME, policies=team, settings=settings, notes=notes) as log:
        yield log.write


def _check_writable(json_file: str | None, record: Path | None) -> None:
    """Fail before the run rather than after it."""
    places = [Path(json_file)] if json_file not in (None, "-") and json_file else []
    for place in [*places, *([record / REPORT_NAME] if record else [])]:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.open("a").close()
        except OSError as error:
            raise ConfigError(f"{place} cannot be written: {error.strerror or error}; choose another place") from error


def _deliver(report: EvalReport, json_file: str | None, record: Path | None) -> None:
    text = json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n"
    if record is not None:
        (record / REPORT_NAME).write_text(text, encoding="utf-8")
    if json_file == "-":
        sys.stdout.write(text)
        return
    if json_file is not None:
        Path(json_file).write_text(text, encoding="utf-8")
    _print(report)


def _print(report: EvalReport) -> None:
    """The report for a person."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(title=printable(report.env), title_justify="left")
    for name in ("type", "episodes", "solved", "95 % interval", "reward"):
        table.add_column(name, justify="left" if name == "type" else "right")
    for kind, score in report.by_type.items():
        table.add_row(Text(printable(kind)), *_cells(score))
    table.add_section()
    table.add_row("all", *_cells(report.total), style="bold")
    console = Console()
    console.print(table)
    outcomes = ", ".join(f"{printable(reason)} {count}" for reason, count in report.outcomes.items())
    console.print(Text(f"outcomes: {outcomes or 'none'}"))
    if report.checker is not None:
        console.print(Text(_checker_line(report.checker)))
    if report.dropped:
        console.print(Text(printable(f"dropped {len(report.dropped)}, not scored; first: {report.dropped[0]}")))
    console.print(Text(f"{report.seconds:.1f} s"))


def _cells(score: Score) -> list[str]:
    low, high = score.success_ci95
    return [
        str(score.episodes),
        _percent(score.success_rate),
        f"{low:.1%} to {high:.1%}",
        f"{score.mean_reward or 0:.3f}",
    ]


def _checker_line(score: CheckerScore) -> str:
    shares = {
        "asks for a revision": score.revision_rate,
        "precision": score.precision,
        "recall": score.recall,
        "false alarms": score.false_alarm_rate,
    }
    listed = ", ".join(f"{name} {_percent(share)}" for name, share in shares.items())
    unparsed = f", {score.unparsed} without a verdict" if score.unparsed else ""
    return f"checker: {score.verdicts} verdicts, {listed}{unparsed}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
