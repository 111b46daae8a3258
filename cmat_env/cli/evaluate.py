"""`cmat eval`: play episodes with given policies and report on them."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmat_env.cli.options import rules_of, settings_of, team_of, with_endpoint
from cmat_env.cli.progress import Advance, progress
from cmat_env.errors import ConfigError
from cmat_env.terminal import printable
from cmat_env.types import Trajectory

if TYPE_CHECKING:
    from rich.table import Table

    from cmat_env.paired import PairedReport
    from cmat_env.report import CheckerScore, EvalReport, MemoryUse, Score, TrialScore

REPORT_NAME = "report.json"

Keep = Callable[[Trajectory], object]

Policy = Annotated[
    str | None,
    typer.Option(
        metavar="P",
        help="gold, random, echo, human, approve, coin:P, hf:PATH[@ADAPTER], openai:MODEL or module:attribute.",
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
    questions: Annotated[
        int | None, typer.Option(min=0, help="Questions that the assistant may ask the user, as `Ask: ...`.")
    ] = None,
    prompts: Annotated[str | None, typer.Option(metavar="STYLE", help="System prompts: paper, names or none.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Most attempts at a task; the next one after a failure.")] = 1,
    reflect: Annotated[
        bool, typer.Option("--reflect/--no-reflect", help="A reflection before the next trial, or just a new sample.")
    ] = True,
    memory: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A long-term memory, which episodes read; cmat memory shows it.")
    ] = None,
    continual: Annotated[
        bool, typer.Option("--continual", help="Write to it as well: later episodes learn from earlier ones.")
    ] = False,
    block: Annotated[
        int, typer.Option(min=1, help="With --continual: episodes between two writes; they do not know of each other.")
    ] = 1,
    budget: Annotated[
        int | None, typer.Option(min=0, metavar="TOKENS", help="Short-term memory of each role; 0 = no limit.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task; may be repeated.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The endpoint of openai:MODEL, up to and with /v1.")
    ] = None,
    api: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A setting of the endpoint, such as concurrency=4 or price_in=0.15."),
    ] = None,
    record: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the episodes and the report here.")] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="Also without the checker, with random verdicts, with an oracle; compare.")
    ] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - = standard output.")
    ] = None,
) -> None:
    """Play episodes and report success with its 95 % interval, by task type.

    A model that cmat trained plays by the rules of its run (prompts, revisions, dry run) unless you say otherwise;
    everybody else plays with the paper's prompts, one revision and no dry run.
    """
    from cmat_env.agents.prompts import prompts_of  # noqa: PLC0415 - the command line starts without its workers
    from cmat_env.agents.reflection import requests_of  # noqa: PLC0415
    from cmat_env.evaluate import evaluate, plan_of  # noqa: PLC0415
    from cmat_env.paired import CHECKER, evaluate_paired  # noqa: PLC0415
    from cmat_env.plan import Trials  # noqa: PLC0415
    from cmat_env.registry import make  # noqa: PLC0415

    team = team_of(roles, {"user": user, "assistant": assistant, "checker": checker})
    human = "human" in team.values()
    if human and workers > 1:
        raise ConfigError("a human can only play with --workers 1")
    policies = with_endpoint(team, base_url, api or (), greedy=greedy)
    made_with: dict[str, Any] = settings_of(
        settings or (), flags=("roles", "max_revisions", "dry_run", "questions", "tasks", "script_dir")
    )
    rules = rules_of(team).but(
        max_revisions=max_revisions, dry_run=dry_run, questions=questions, prompts=prompts, memory=budget
    )
    made_with |= {"roles": tuple(team), "max_revisions": rules.max_revisions, "dry_run": rules.dry_run}
    made_with |= {"share_dry_run": True} if rules.share_dry_run else {}
    made_with |= {"questions": rules.questions} if rules.questions else {}
    made_with |= {"feedback": rules.feedback} if rules.feedback != "words" else {}
    made_with |= {} if tasks is None else {"tasks": tasks}
    made_with |= {} if graphs is None else {"graphs": graphs}
    made_with |= {} if script_dir is None else {"script_dir": str(script_dir)}
    make_env = functools.partial(make, env, **made_with)
    if paired and (trials > 1 or memory is not None or budget):
        raise ConfigError("--paired plays one trial without memory; leave --trials, --memory and --budget out")
    if trials > 1 and not reflect and greedy and any(spec.startswith("hf:") for spec in team.values()):
        raise ConfigError("--no-reflect tries again with a new sample, but greedy models have one only; add --sampled")
    _check_writable(json_file, record)
    plan = plan_of(make_env, episodes, seed=seed)
    played: dict[str, Any] = {"episodes": plan, "seed": seed, "prompts": prompts_of(rules.prompts), "greedy": greedy}
    played |= {"width": 1 if human else width, "workers": workers}
    compared: PairedReport | None = None
    with progress("eval", len(plan)) as advance, _recorder(record, team, made_with, seed=seed, greedy=greedy) as keep:
        on_end = _telling(advance, keep)
        if paired:
            told = functools.partial(_of_arm, CHECKER, on_end)
            compared = evaluate_paired(make_env, policies, on_end=told, **played)
            report = compared.arms[CHECKER].report
        else:
            report = evaluate(
                make_env,
                policies,
                on_end=on_end,
                trials=Trials(trials, reflect=reflect, requests=requests_of(rules.prompts)),
                budget=rules.memory or None,
                digest=min(rules.digest, rules.memory // 4),
                memory=memory,
                continual=continual,
                block=block,
                **played,
            )
    _deliver(report, json_file, record, compared)
    if report.episodes == 0:
        print(f"error: all {len(report.dropped)} episodes crashed; first: {report.dropped[0]}", file=sys.stderr)
        raise typer.Exit(1)


def _of_arm(wanted: str, on_end: Callable[[int, Trajectory], None], arm: str, index: int, episode: Trajectory) -> None:
    """Only the team's own episodes are counted and kept."""
    if arm == wanted:
        on_end(index, episode)


def _telling(advance: Advance, keep: Keep) -> Callable[[int, Trajectory], None]:
    """Keep each episode, and say how many are solved so far."""
    solved = played = 0

    def on_end(_: int, episode: Trajectory) -> None:
        nonlocal solved, played
        played, solved = played + (not episode.trial), solved + episode.success
        keep(episode)
        if not episode.trial:
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


def _deliver(report: EvalReport, json_file: str | None, record: Path | None, compared: PairedReport | None) -> None:
    found = report.to_json() | ({"paired": compared.to_json()} if compared else {})
    text = json.dumps(found, indent=2, allow_nan=False) + "\n"
    if record is not None:
        (record / REPORT_NAME).write_text(text, encoding="utf-8")
    if json_file == "-":
        sys.stdout.write(text)
        return
    if json_file is not None:
        Path(json_file).write_text(text, encoding="utf-8")
    _print(report)
    if compared is not None:
        from cmat_env.cli.paired import show  # noqa: PLC0415

        show(compared)


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
    if report.parts:
        shown = (f"{name} {each.success_rate:.1%} of {each.parts}" for name, each in report.parts.items())
        console.print(Text(printable(f"parts: {', '.join(shown)}")))
    if report.checker is not None:
        console.print(Text(_checker_line(report.checker)))
    if len(report.trials) > 1:
        console.print(_trials(report.trials))
    if report.memory is not None:
        console.print(Text(_memory_line(report.memory)))
    if report.dropped:
        console.print(Text(printable(f"dropped {len(report.dropped)}, not scored; first: {report.dropped[0]}")))
    read, written = report.tokens
    if read or written:
        cost = "" if report.cost is None else f", cost {report.cost:.4f}"
        console.print(Text(f"tokens: {read} read, {written} written{cost}"))
    if report.skipped:
        named = "; ".join(f"{task_id}: {reason}" for task_id, reason in report.skipped.items())
        console.print(Text(printable(f"skipped {len(report.skipped)} tasks, not scored; {named}")))
    console.print(Text(f"{report.seconds:.1f} s"))


def _cells(score: Score) -> list[str]:
    low, high = score.success_ci95
    return [
        str(score.episodes),
        _percent(score.success_rate),
        f"{low:.1%} to {high:.1%}",
        f"{score.mean_reward or 0:.3f}",
    ]


def _trials(scores: Sequence[TrialScore]) -> Table:
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="by trial", title_justify="left")
    for name in ("trial", "played", "solved", "solved so far", "95 % interval", "tokens read", "written"):
        table.add_column(name, justify="right")
    for score in scores:
        low, high = score.success_ci95
        about = "about " if score.tokens.estimated else ""
        cells = (score.trial, score.played, score.solved, _percent(score.success_rate), f"{low:.1%} to {high:.1%}",
                 f"{about}{score.tokens.read:,}", f"{about}{score.tokens.written:,}")  # fmt: skip
        table.add_row(*map(str, cells))
    return table


def _memory_line(use: MemoryUse) -> str:
    if not use.continual:
        return f"memory: read only, {use.before} memories, {use.recalled} recalled; episodes knew nothing of each other"
    return (
        f"memory: CONTINUAL, blocks of {use.block}; {use.before} memories before, {use.after} after, {use.recalled} "
        "recalled; later episodes knew what earlier ones had written"
    )


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
