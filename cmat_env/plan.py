"""What a rollout plays, which episodes of it, when it cuts them off, and what became of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cmat_env.agents.reflection import PAPER
from cmat_env.errors import ConfigError
from cmat_env.ledger import Ledger
from cmat_env.types import Judgement, Trajectory, Verdict


class Playable(Protocol):
    """An environment of roles that a rollout can play: a `CollabEnv`, or a game of two players (`GameEnv`)."""

    agent_selection: str
    infos: dict[str, dict[str, Any]]

    @property
    def SPEAKERS(self) -> tuple[str, ...]:  # noqa: N802 - the name that every environment of ours has
        """Who may have said a message."""
        ...

    @property
    def env_id(self) -> str:
        """Its name."""
        ...

    @property
    def roles(self) -> tuple[str, ...]:
        """Who plays: the role "x" is the agent "x_0"."""
        ...

    @property
    def task(self) -> Any:
        """What is worked on; its `instructions` are for the prompts, and oracles meet it."""
        ...

    @property
    def statement(self) -> str:
        """What is to be done, as its first observation says."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Who was paid what, and why."""
        ...

    @property
    def outcome(self) -> dict[str, Any] | None:
        """Once the episode is over, `success`, `score`, `outcome`, `terminated`, `truncated`; before that None."""
        ...

    @property
    def last_verdict(self) -> Verdict | None:
        """The verdict of the latest action, if that was a checker's."""
        ...

    @property
    def last_judgement(self) -> Judgement | None:
        """The task's opinion on what that verdict was about, where it has one."""
        ...

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode."""
        ...

    def observe(self, agent: str) -> dict[str, Any]:
        """`{"message": str, "speaker": index into SPEAKERS}`."""
        ...

    def step(self, action: str | None) -> None:
        """Take the turn of `agent_selection`."""
        ...

    def close(self) -> None:
        """Release what it holds; again is fine."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When an episode is cut off; it then counts as truncated.

    Attributes:
        turns: most actions of all agents together.
        tokens: most sampled tokens of all agents together; None = no limit.
        seconds: longest wall time; None = no limit. A limit in seconds makes results depend on the machine.
    """

    turns: int = 100
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("turns", "tokens", "seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"limit {name}={value} must be above 0, or None for no limit")


@dataclass(frozen=True, slots=True)
class Episode:
    """Which episode to play.

    Attributes:
        seed: given to the task's reset, and to everything that is sampled.
        options: given to the task's reset, such as {"task": 3}.
        sample: another number samples anew on the same task: the episodes of a group differ in it alone.
        trial: number of the first trial.
    """

    seed: int
    options: Mapping[str, Any] | None = None
    sample: int = 0
    trial: int = 0


@dataclass(frozen=True, slots=True)
class Trials:
    """How often a task that was not solved is tried again.

    Attributes:
        trials: most attempts at a task, the first one included.
        reflect: do the assistant and the checker write a reflection after a failure? Without, a trial is a new sample.
        reward: a reflection is paid this times what the next trial was paid more by the task.
        requests: by role, what it is asked; see `cmat_env.agents.reflection`.
        roles: who reflects, and recalls what is remembered.
    """

    trials: int = 1
    reflect: bool = True
    reward: float = 1.0
    requests: Mapping[str, str] = field(default_factory=lambda: PAPER)
    roles: tuple[str, ...] = ("assistant", "checker")

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError(f"trials={self.trials} must be at least 1")
        if not math.isfinite(self.reward):
            raise ConfigError(f"trials reward={self.reward} is no finite number; give a weight, such as 1.0")
        for role in self.roles:
            if role not in self.requests:
                raise ConfigError(f"trials roles={self.roles}: nothing asks {role!r} to reflect; give it a request")


@dataclass(frozen=True, slots=True)
class Dropped:
    """An episode that could not be finished, and the error that ended it."""

    episode: Episode
    error: str


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """What became of the episodes.

    Attributes:
        trajectories: one an episode, in order, of its last trial; None where it was dropped.
        dropped: the episodes that a crash ended.
        earlier: for each episode, its trials before the last one.
    """

    trajectories: tuple[Trajectory | None, ...]
    dropped: tuple[Dropped, ...]
    earlier: tuple[tuple[Trajectory, ...], ...] = ()

    @property
    def finished(self) -> list[Trajectory]:
        """Every trial of the episodes that were not dropped, in order."""
        earlier = self.earlier or ((),) * len(self.trajectories)
        return [
            trajectory
            for before, last in zip(earlier, self.trajectories, strict=True)
            if last is not None
            for trajectory in (*before, last)
        ]
