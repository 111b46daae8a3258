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

from cmat_env.cli.options import players_of, rules_of, settings_of, team_of, with_endpoint
from cmat_env.cli.progress import Advance, progress
from cmat_env.cli.report_view import show_report
from cmat_env.cli.suite import entries_of, play_suite
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean
from cmat_env.types import Trajectory

if TYPE_CHECKING:
    from cmat_env.paired import PairedReport
    from cmat_env.report import EvalReport

REPORT_NAME = "report.json"

Keep = Callable[[Trajectory], object]

Policy = Annotated[
    str | None,
    typer.Option(
        metavar="P",
        help="gold, random, echo, human, approve, coin:P, hf:PATH[@ADAPTER], openai:MODEL, sb3:PATH, module:attribute.",
    ),
]


def eval_command(
    env: Annotated[str | None, typer.Argument(metavar="ENV", help="An environment's id; cmat list shows them.")] = None,
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
    first: Annotated[str | None, typer.Option(metavar="P", help="Of a board game: who begins.")] = None,
    second: Annotated[str | None, typer.Option(metavar="P", help="Of a board game: who answers.")] = None,
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
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="agentbench: instead of ENV, the tasks of --os, --db, --kg and --web."),
    ] = None,
    os_tasks: Annotated[str | None, typer.Option("--os", metavar="SRC", help="Of a suite: shell tasks.")] = None,
    db_tasks: Annotated[str | None, typer.Option("--db", metavar="SRC", help="Of a suite: database tasks.")] = None,
    kg_tasks: Annotated[
        str | None, typer.Option("--kg", metavar="SRC", help="Of a suite: knowledge-graph tasks; --graphs their graph.")
    ] = None,
    web_tasks: Annotated[str | None, typer.Option("--web", metavar="SRC", help="Of a suite: WebShop's tasks.")] = None,
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
    everybody else plays with the paper's prompts, one revision and no dry run. With --suite, --record DIR holds
    the run, which the same command goes on from, and the paper's table with a row of yours.
    """
    from cmat_env.agents.prompts import prompts_of  # noqa: PLC0415 - the command line starts without its workers
    from cmat_env.agents.reflection import requests_of  # noqa: PLC0415
    from cmat_env.evaluate import evaluate, plan_of  # noqa: PLC0415
    from cmat_env.game import is_game, make_playable  # noqa: PLC0415
    from cmat_env.paired import CHECKER, evaluate_paired  # noqa: PLC0415
    from cmat_env.plan import Trials  # noqa: PLC0415
    from cmat_env.registry import make  # noqa: PLC0415
    from cmat_env.suite import SuiteSettings  # noqa: PLC0415

    sources = {"os": os_tasks, "db": db_tasks, "kg": kg_tasks, "web": web_tasks}
    _check_what(env, suite, sources, tasks)
    named = {"user": user, "assistant": assistant, "checker": checker}
    of_teams = {f"--{role}": spec for role, spec in named.items()} | {
        "--roles": roles, "--tasks": tasks, "--paired": paired, "--trials": trials > 1, "--memory": memory,
        "--max-revisions": max_revisions, "--dry-run": dry_run, "--questions": questions,
    }  # fmt: skip
    team = players_of(env or "", {"first": first, "second": second}, of_teams) or team_of(roles, named)
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
    made_with |= {"roles": tuple(team), **({} if is_game(env or "") else rules.settings())}
    if suite is not None:
        if settings or paired:
            raise ConfigError("--set and --paired are for one ENV; a suite plays by AgentBench's rules")
        how = SuiteSettings(episodes, seed, workers, 1 if human else width, greedy, prompts_of(rules.prompts), base_url)
        entries = entries_of(sources, made_with, graphs=graphs, script_dir=script_dir)
        play_suite(entries, team, record, policies=policies, json_file=json_file, how=how)
        return
    given = {"tasks": tasks, "graphs": graphs, "script_dir": None if script_dir is None else str(script_dir)}
    made_with |= {name: value for name, value in given.items() if value is not None}
    assert env is not None
    make_env = functools.partial(make_playable, env, **made_with)
    _check_trials(team, anew=trials > 1 and not reflect, greedy=greedy)
    _check_writable(json_file, record)
    plan = plan_of(make_env, episodes, seed=seed)
    played: dict[str, Any] = {
        "episodes": plan, "seed": seed, "prompts": prompts_of(rules.prompts), "greedy": greedy,
        "width": 1 if human else width, "workers": workers,
        "trials": Trials(trials, reflect=reflect, requests=requests_of(rules.prompts)),
        "budget": rules.memory or None, "digest": min(rules.digest, rules.memory // 4),
        "memory": memory, "continual": continual, "block": block,
    }  # fmt: skip
    compared: PairedReport | None = None
    notes: dict[str, Any] = {"seed": seed, "greedy": greedy} | ({} if base_url is None else {"base_url": base_url})
    with progress("eval", len(plan)) as advance, _recorder(record, team, made_with, **notes) as keep:
        on_end = _telling(advance, keep)
        if paired:
            told = functools.partial(_of_arm, CHECKER, on_end)
            compared = evaluate_paired(functools.partial(make, env, **made_with), policies, on_end=told, **played)
            report = compared.arms[CHECKER].report
        else:
            report = evaluate(make_env, policies, on_end=on_end, **played)
    _deliver(report, json_file, record, compared)
    if report.episodes == 0:
        print(f"error: all {len(report.dropped)} episodes crashed; first: {report.dropped[0]}", file=sys.stderr)
        raise typer.Exit(1)


def _check_what(env: str | None, suite: str | None, sources: Mapping[str, str | None], tasks: str | None) -> None:
    """One environment, or one suite with its tasks."""
    given = [name for name, source in sources.items() if source is not None]
    if suite is None:
        if env is None:
            raise ConfigError("which ENV? name one, such as cmat/DB-v0, or --suite agentbench; see cmat list")
        if given:
            raise ConfigError(f"--{given[0]} is for --suite agentbench; for one environment use --tasks")
    elif suite != "agentbench":
        raise UnknownNameError(f"no suite is called {suite!r}; {did_you_mean(suite, ('agentbench',))}")
    elif env is not None or tasks is not None:
        raise ConfigError("a suite takes neither ENV nor --tasks; give its tasks with --os, --db, --kg, --web")
    elif not given:
        raise ConfigError("which tasks? give at least one of --os, --db, --kg, --web: a file, or generated:heldout")


def _check_trials(team: Mapping[str, str], *, anew: bool, greedy: bool) -> None:
    """A new sample is another one only where one is drawn."""
    if anew and greedy and any(spec.startswith("hf:") for spec in team.values()):
        raise ConfigError("--no-reflect tries again with a new sample, but greedy models have one only; add --sampled")


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
    show_report(report)
    if compared is not None:
        from cmat_env.cli.paired import show  # noqa: PLC0415

        show(compared)
