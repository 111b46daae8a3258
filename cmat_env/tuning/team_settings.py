"""Settings of what is played, by whom, and how often it is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cmat_env.agents.memory import ShortTermMemory
from cmat_env.agents.prompts import prompts_of
from cmat_env.errors import ConfigError, did_you_mean
from cmat_env.order import Feedback
from cmat_env.plan import Trials


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What is played.

    Attributes:
        env: id of a registered environment.
        train, evaluate: where its tasks come from while training and in evaluations, given to the environment as
            `tasks`; "" = it has no such setting, and seeds tell evaluations from training.
        settings: further settings of the environment, as its constructor takes them.
    """

    env: str = "cmat/DB-v0"
    train: str = "generated:train"
    evaluate: str = "generated:dev"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TeamSettings:
    """Who plays, who learns, and who is paid what.

    Attributes:
        roles: who is on the team.
        learners: whose weights are tuned. A user that learns is played by the model.
        user: who states the task, as the command line names it: "echo" = verbatim, "user:split", ...; where the user
            learns, who demonstrates it in the warm start.
        questions: how many the assistant may ask the user in an episode.
        max_revisions: how often a turn the checker may ask for another proposal.
        dry_run: does the checker see what the proposal would give?
        share_dry_run: does the assistant see it too, when it is asked to revise?
        feedback: what the assistant is told of a refusal: the checker's own "words", or its "verdict" alone. A small
            model that learns to judge does not keep its words; who revises stumbles over new ones.
        verdict: what a right verdict is worth to the checker.
        bad: how many times a verdict on a bad proposal counts; see `cmat_env.ledger.RewardRule`.
        team: share of the team's result that the checker is paid.
        revision, reviser: what checker and assistant earn by a revision that made a bad proposal good.
        balance: verdicts on good and on bad proposals weigh the same in the first iteration, and less and less until
            each weighs what it is paid in this one; 0 = never the same. See `cmat_env.tuning.balance`.
        prompts: style of the system prompts; see `cmat_env.agents.prompts`.
        memory: short-term memory of each agent in tokens; 0 = no limit.
        digest: tokens of it that sum up what it leaves out; 0 = none.
    """

    roles: tuple[str, ...] = ("user", "assistant", "checker")
    learners: tuple[str, ...] = ("assistant", "checker")
    user: str = "echo"
    questions: int = 0
    max_revisions: int = 1
    dry_run: bool = True
    share_dry_run: bool = False
    feedback: Feedback = "words"
    verdict: float = 1.0
    bad: float = 1.0
    team: float = 0.7
    revision: float = 0.0
    reviser: float = 0.0
    balance: int = 24
    prompts: str = "names"
    memory: int = 0
    digest: int = 0

    def __post_init__(self) -> None:
        at_least(self, 0, "max_revisions", "questions", "memory", "digest", "balance")
        ShortTermMemory(self.memory or None, digest=self.digest)
        prompts_of(self.prompts)
        for role in self.learners:
            if role not in self.roles:
                raise ConfigError(f"learner {role!r} is not on the team; {did_you_mean(role, self.roles)}")

    @property
    def scripted_user(self) -> str | None:
        """Who plays the user; None = the model does, since it learns."""
        return None if "user" in self.learners else self.user

    def policies(self, model: str) -> dict[str, str]:
        """By role, who plays it, as an episode log says it; `model` names the model."""
        return {role: self.scripted_user or model if role == "user" else model for role in self.roles}


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """Trying again what was not solved, while training; see `cmat_env.plan.Trials`.

    Attributes:
        most: attempts at a task, the first one included.
        reflect: do the assistant and the checker write a reflection after a failure?
        reward: a reflection is paid this times what the next trial gained.
    """

    most: int = 1
    reflect: bool = True
    reward: float = 1.0

    def __post_init__(self) -> None:
        Trials(self.most, reflect=self.reflect, reward=self.reward)


def at_least(settings: object, least: int, *names: str) -> None:
    """Refuse settings below `least`."""
    for name in names:
        if getattr(settings, name) < least:
            raise ConfigError(f"{name}={getattr(settings, name)} must be at least {least}")
