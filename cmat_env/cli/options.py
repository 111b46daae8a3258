"""What several commands take: a team of policies, its rules, and task settings as key=value."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

ROLES = ("user", "assistant", "checker")
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


@dataclass(frozen=True, slots=True)
class Rules:
    """How a team plays together; the defaults are those of an untrained one.

    Attributes:
        prompts: style of the system prompts.
        max_revisions: how often the checker may ask for a revision in a turn.
        dry_run: is the checker shown what a proposal would give?
        memory: short-term memory of each agent in tokens; 0 = no limit.
        digest: tokens of it that sum up what it leaves out.
    """

    prompts: str = "paper"
    max_revisions: int = 1
    dry_run: bool = False
    memory: int = 0
    digest: int = 0

    def but(self, **flags: Any) -> Rules:
        """These rules, but for what the user asked for; None = not asked."""
        return replace(self, **{name: value for name, value in flags.items() if value is not None})


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


def settings_of(assignments: Iterable[str], *, flags: Iterable[str] = ()) -> dict[str, Any]:
    """The settings in lines such as `level=2`; a value is read as JSON, or else taken as it is written.

    Args:
        assignments: as the user wrote them.
        flags: keys that have a flag of their own.

    Raises:
        ConfigError: a line is no assignment, or a key comes twice or belongs to a flag.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip().isidentifier():
            raise ConfigError(f"--set {assignment!r} is no assignment; wanted key=value, such as --set grader=strict")
        if key.strip() in settings:
            raise ConfigError(f"--set {key.strip()} comes twice; give one value")
        if key.strip() in flags:
            raise ConfigError(f"--set {assignment}: use --{key.strip().replace('_', '-')} instead")
        settings[key.strip()] = _value(value)
    return settings


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
