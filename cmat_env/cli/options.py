"""What several commands take: a team of policies, its rules, and task settings as key=value."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean
from cmat_env.types import Policy

ROLES = ("user", "assistant", "checker")
ENDPOINT = "openai:"
DEFAULTS = {"user": "echo", "checker": "approve"}


def team_of(roles: str | None, given: dict[str, str | None]) -> dict[str, str]:
    """The policies' specifications by role.

    Args:
        roles: names with commas between them; None = those for which a policy is given.
        given: by role, the specification that the user wrote, if any.

    Raises:
        UnknownNameError: there is no such role.
        ConfigError: the assistant, or the policy of a role that needs one, is missing.
    """
    named = [role.strip() for role in roles.split(",")] if roles else [role for role in ROLES if given.get(role)]
    for role in named:
        if role not in ROLES:
            raise UnknownNameError(f"no role is called {role!r}; {did_you_mean(role, ROLES)}")
    for role, spec in given.items():
        if spec and role not in named:
            raise ConfigError(f"--{role} {spec} is given, but --roles {roles} leaves the {role} out; add it or drop it")
    if not given.get("assistant"):
        raise ConfigError("who is the assistant? name its policy, such as --assistant gold or --assistant hf:PATH")
    return {role: given.get(role) or DEFAULTS[role] for role in ROLES if role in named}


def players_of(env: str, given: Mapping[str, str | None], refused: Mapping[str, Any]) -> dict[str, str]:
    """The policies of the two players of a board game; none where the environment is no game.

    Args:
        env: its id.
        given: by player, the specification that the user wrote, if any.
        refused: by flag, what the user gave that only a team has.

    Raises:
        ConfigError: a player has no policy, or the user gave players to a team, or a game what is for a team.
    """
    from cmat_env.game import is_game  # noqa: PLC0415 - the command line starts without its workers

    if not is_game(env):
        if any(given.values()):
            raise ConfigError(
                "--first and --second are for a board game, such as pettingzoo/connect_four; see cmat list"
            )
        return {}
    for flag, value in refused.items():
        if value:
            raise ConfigError(f"{env} is a game of two players, and {flag} is for a team; leave it out")
    for player, spec in given.items():
        if not spec:
            raise ConfigError(f"who plays {player}? name a policy, such as --{player} random")
    return {player: str(spec) for player, spec in given.items()}


def with_endpoint(
    team: Mapping[str, str], base_url: str | None, assignments: Iterable[str], *, greedy: bool
) -> dict[str, Policy | str]:
    """The team, with a policy in place of each `openai:MODEL`; roles of the same model share it.

    Args:
        team: specifications by role.
        base_url: of the endpoint, if the user gave one.
        assignments: further settings of the endpoint as the user wrote them, such as "concurrency=4".
        greedy: ask for the likeliest tokens instead of sampling.

    Raises:
        ConfigError: a setting is wrong, or given although nobody asks an endpoint.
    """
    settings = settings_of(assignments, flags=("base_url", "greedy"), flag="--api")
    settings |= {} if base_url is None else {"base_url": base_url}
    specs = dict.fromkeys(spec for spec in team.values() if spec.startswith(ENDPOINT))
    if settings and not specs:
        raise ConfigError(
            "--base-url and --api are for a policy openai:MODEL, and no role has one; name one or drop them"
        )
    if not specs:
        return dict(team)
    from cmat_env.policies.spec import endpoint_policy  # noqa: PLC0415 - the command line starts without its workers

    policies = {spec: endpoint_policy(spec, greedy=greedy, **settings) for spec in specs}
    return {role: policies.get(spec, spec) for role, spec in team.items()}


@dataclass(frozen=True, slots=True)
class Rules:
    """How a team plays together; the defaults are those of an untrained one.

    Attributes:
        prompts: style of the system prompts.
        max_revisions: how often the checker may ask for a revision in a turn.
        dry_run: is the checker shown what a proposal would give?
        memory: short-term memory of each agent in tokens; 0 = no limit.
        digest: tokens of it that sum up what it leaves out.
        share_dry_run: is the assistant, when it is asked to revise?
        questions: how many the assistant may ask the user.
        feedback: what is the assistant told of a refusal?
    """

    prompts: str = "paper"
    max_revisions: int = 1
    dry_run: bool = False
    memory: int = 0
    digest: int = 0
    share_dry_run: bool = False
    questions: int = 0
    feedback: str = "words"

    def but(self, **flags: Any) -> Rules:
        """These rules, but for what the user asked for; None = not asked."""
        return replace(self, **{name: value for name, value in flags.items() if value is not None})

    def settings(self) -> dict[str, Any]:
        """Those that a team's environment is made with; what only trained teams have is named where it is on."""
        found = {"max_revisions": self.max_revisions, "dry_run": self.dry_run}
        usual = Rules()
        for name in ("share_dry_run", "questions", "feedback"):
            if getattr(self, name) != getattr(usual, name):
                found[name] = getattr(self, name)
        return found


def rules_of(team: Mapping[str, str]) -> Rules:
    """The rules that a trained model learned under, from its run's `config.toml`; the defaults for other policies.

    Raises:
        ConfigError: the run's configuration cannot be read.
    """
    for spec in team.values():
        if not spec.startswith("hf:"):
            continue
        argument = spec.removeprefix("hf:")
        model = Path(argument.rpartition("@")[0] or argument)
        for file in (model / "config.toml", model.parent / "config.toml"):
            if file.is_file():
                return _rules_in(file)
    return Rules()


def _rules_in(file: Path) -> Rules:
    try:
        team = tomllib.loads(file.read_text(encoding="utf-8")).get("team", {})
        return replace(Rules(), **{field.name: team[field.name] for field in fields(Rules) if field.name in team})
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{file} is not the configuration of a run: {error}") from error


def settings_of(assignments: Iterable[str], *, flags: Iterable[str] = (), flag: str = "--set") -> dict[str, Any]:
    """The settings in lines such as `level=2`; a value is read as JSON, or else taken as it is written.

    Args:
        assignments: as the user wrote them.
        flags: keys that have a flag of their own.
        flag: with which they were given.

    Raises:
        ConfigError: a line is no assignment, or a key comes twice or belongs to a flag.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip().isidentifier():
            raise ConfigError(f"{flag} {assignment!r} is no assignment; wanted key=value, such as --set grader=strict")
        if key.strip() in settings:
            raise ConfigError(f"{flag} {key.strip()} comes twice; give one value")
        if key.strip() in flags:
            raise ConfigError(f"{flag} {assignment}: use --{key.strip().replace('_', '-')} instead")
        settings[key.strip()] = _value(value)
    return settings


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
