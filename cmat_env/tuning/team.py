"""From settings to a team: its environment, its prompts, the policies of its roles, and what it plays to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cmat_env.agents.memory import ShortTermMemory
from cmat_env.agents.prompts import prompts_of
from cmat_env.agents.reflection import requests_of
from cmat_env.collab import CollabEnv
from cmat_env.experience import Experience
from cmat_env.ledger import RewardRule
from cmat_env.plan import Trials
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.spec import parse_spec
from cmat_env.registry import make
from cmat_env.rollout import Rollout
from cmat_env.tuning.config import RunSettings
from cmat_env.types import Policy


def make_env(settings: RunSettings, tasks: str, roles: Sequence[str] | None = None, **others: Any) -> CollabEnv:
    """The team's environment on tasks of this source; `others` are settings of the environment laid over the run's."""
    return make(settings.task.env, **laid_over(made_with(settings, tasks, roles), others))


def laid_over(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others in their place; of sections within sections, what the others do not name stays."""
    merged = dict(settings)
    for name, value in others.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[name] = laid_over(below, value)
        else:
            merged[name] = value
    return merged


def made_with(settings: RunSettings, tasks: str, roles: Sequence[str] | None = None) -> dict[str, Any]:
    """What `make` is given for the team's environment; an episode log keeps it, so that `replay` can make it again."""
    team, present = settings.team, tuple(roles or settings.team.roles)
    return {
        "roles": present,
        "max_revisions": team.max_revisions,
        "dry_run": team.dry_run and "checker" in present,
        "share_dry_run": team.share_dry_run,
        "questions": team.questions,
        "feedback": team.feedback,
        "rewards": RewardRule(
            verdict=team.verdict, bad=team.bad, team=team.team, revision=team.revision, reviser=team.reviser
        ),
        **({"tasks": tasks} if tasks else {}),
        **settings.task.settings,
    }


def prompts(settings: RunSettings) -> Mapping[str, str]:
    """System prompts by role."""
    return prompts_of(settings.team.prompts)


def memory(settings: RunSettings) -> dict[str, ShortTermMemory]:
    """Short-term memory by role."""
    budget, digest = settings.team.memory or None, settings.team.digest
    return {role: ShortTermMemory(budget, digest=digest) for role in settings.team.roles}


def trials(settings: RunSettings) -> Trials:
    """How often a task is tried, and how reflections are asked for in the style of the prompts."""
    own = settings.trials
    return Trials(own.most, reflect=own.reflect, reward=own.reward, requests=requests_of(settings.team.prompts))


def play(policy: Policy, roles: Sequence[str], *, user: str | None = "echo", **others: Policy) -> dict[str, Policy]:
    """Who plays each role: the model, but for a user by its specification, and those given."""
    scripted = {"user": parse_spec(user, role="user")} if user is not None and "user" in roles else {}
    return {role: others.get(role) or scripted.get(role, policy) for role in roles}


def training_rollout(policy: HFPolicy, settings: RunSettings, experience: Experience | None = None) -> Rollout:
    """Plays an iteration's episodes side by side, sampled, on the tasks to learn from."""
    return Rollout(
        lambda: make_env(settings, settings.task.train),
        play(policy, settings.team.roles, user=settings.team.scripted_user),
        prompts=prompts(settings),
        memory=memory(settings),
        seed=settings.seed,
        width=settings.width or settings.episodes,
        trials=trials(settings),
        experience=experience,
    )
