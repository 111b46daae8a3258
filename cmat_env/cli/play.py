"""`cmat play`: a person plays one role of a team at the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmat_env.cli.options import DEFAULTS, ROLES, players_of, rules_of, settings_of
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from cmat_env.plan import Playable
    from cmat_env.types import Step

Policy = Annotated[str | None, typer.Option(metavar="P", help="Who plays this role, as in cmat eval.")]


def play_command(
    env: Annotated[str, typer.Argument(metavar="ENV", help="An environment's id; cmat list shows them.")],
    *,
    human: Annotated[
        str | None, typer.Option(metavar="ROLE", help="Your role: user, assistant (by default) or checker.")
    ] = None,
    user: Policy = None,
    assistant: Policy = None,
    checker: Policy = None,
    first: Annotated[str | None, typer.Option(metavar="P", help="Of a board game: who begins, if not you.")] = None,
    second: Annotated[str | None, typer.Option(metavar="P", help="Of a board game: who answers, if not you.")] = None,
    tasks: Annotated[str | None, typer.Option(metavar="SRC", help="As in cmat eval.")] = None,
    task: Annotated[str | None, typer.Option(help="Which task of a file, by id or number from 0.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which task is generated.")] = 0,
    max_revisions: Annotated[
        int | None, typer.Option(min=0, help="Revisions that the checker may ask for in a turn.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task; may be repeated.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser", help="Web tasks: play in a real browser, and look at it.")
    ] = False,
    record: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the episode here.")] = None,
) -> None:
    """Play one episode yourself."""
    from rich.console import Console  # noqa: PLC0415 - the command line starts without its workers

    from cmat_env.agents.prompts import prompts_of  # noqa: PLC0415
    from cmat_env.game import is_game, make_playable  # noqa: PLC0415
    from cmat_env.log import LOG_NAME, EpisodeWriter  # noqa: PLC0415
    from cmat_env.policies.human import HumanLeft  # noqa: PLC0415
    from cmat_env.policies.spec import parse_spec  # noqa: PLC0415
    from cmat_env.replay_view import footer  # noqa: PLC0415
    from cmat_env.rollout import Episode, Rollout  # noqa: PLC0415

    given = {"user": user, "assistant": assistant, "checker": checker}
    of_teams = {f"--{role}": spec for role, spec in given.items()} | {
        "--human": human, "--tasks": tasks, "--task": task, "--browser": browser,
    }  # fmt: skip
    team = players_of(env, _seats(first, second), of_teams) or _team(human or "assistant", given)
    human = next(role for role, spec in team.items() if spec == "human")
    game = is_game(env)
    rules = rules_of(team).but(max_revisions=max_revisions)
    made_with: dict[str, Any] = settings_of(settings or (), flags=("roles", "max_revisions", "dry_run", "tasks"))
    made_with |= {"roles": tuple(team)}
    made_with |= {} if game else {"max_revisions": rules.max_revisions, "dry_run": rules.dry_run}
    made_with |= {} if tasks is None else {"tasks": tasks}
    made_with |= {"browser": True, "headless": not _has_screen()} if browser else {}
    policies = {role: parse_spec(policy, role=role) for role, policy in team.items()}
    console = Console()
    opened: list[Playable] = []

    def make_env() -> Playable:
        made = make_playable(env, **made_with)
        opened.append(made)
        if browser:
            where = "in the browser's window, and" if _has_screen() else "at this address (there is no screen here):"
            console.print(f"Look at it {where} {_address_of(made.task)}", soft_wrap=True)
        return made

    rollout = Rollout(make_env, policies, prompts=prompts_of(rules.prompts), seed=seed, width=1)
    named = None if task is None else {"task": int(task) if task.isdigit() else task}
    watch = _Watch(human, console)
    try:
        result = rollout.run([Episode(seed, named)], on_step=watch.step)
    except HumanLeft:
        console.print("You left; the episode is not finished and not kept.")
        return
    finally:
        rollout.close()
    for dropped in result.dropped:
        raise RuntimeError(dropped.error)
    [episode] = result.finished
    if game:
        console.print(opened[-1].observe(f"{human}_0")["message"])
    console.print(footer(episode))
    if record is not None:
        with EpisodeWriter(record / LOG_NAME, policies=team, settings=made_with, notes={"seed": seed}) as log:
            log.write(episode)


class _Watch:
    """Shows a person what others do out of its sight: an assistant or player sees it all, a user or checker not."""

    def __init__(self, human: str, console: Any) -> None:
        self._human = human
        self._console = console
        self._steps: list[Step] = []

    def step(self, _: int, step: Step) -> None:
        from cmat_env.replay_view import turn  # noqa: PLC0415

        self._steps.append(step)
        if self._human in ("user", "checker") and self._human != step.role:
            self._console.print(turn(self._steps, len(self._steps) - 1))


def _has_screen() -> bool:
    """Can a window be shown?"""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _address_of(task: Any) -> str:
    """Where the pages of a web task are served."""
    return str(task.unwrapped.surface.address)


def _seats(first: str | None, second: str | None) -> dict[str, str | None]:
    """Who sits where at a board; a person takes the seat that nobody else is named for, and begins by default."""
    if first and second and "human" not in (first, second):
        raise ConfigError("both players are named; leave one out, which you play, or use cmat eval")
    seats = {"first": first, "second": second}
    if not first and second:
        seats["first"] = "human"
    elif first and not second:
        seats["second"] = "human"
    return seats


def _team(human: str, given: dict[str, str | None]) -> dict[str, str]:
    """The policies by role: the person's, those that are named, and always an assistant."""
    if human not in ROLES:
        raise UnknownNameError(f"no role is called {human!r}; {did_you_mean(human, ROLES)}")
    if given[human] not in (None, "human"):
        raise ConfigError(f"--{human} {given[human]} is given, but you play the {human}; choose another --human")
    team = given | {human: "human"}
    if not team["assistant"]:
        raise ConfigError(f"you play the {human}; who is the assistant? name one, such as --assistant gold")
    return {role: str(team[role] or DEFAULTS[role]) for role in ROLES if team[role]}
