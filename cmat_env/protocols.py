"""What a plug-in implements: the protocols of a task and of a policy, and the token batches of a policy that learns.

    Task, Uniform, Policy, Oracle
    TokenPolicy, TunablePolicy, Weights: TokenBatch -> Evaluation

This module stands on the standard library alone; `torch` appears in annotations only. `cmat_env.types` has the names,
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from cmat_env.dialogue import Dialogue, Generation

if TYPE_CHECKING:
    import torch


@runtime_checkable
class Task(Protocol):
    """What a plug-in author writes: any `gymnasium.Env[str, str]`.

    Optional extras, found by attribute: `task_types`, `instructions` (str, the assistant's system prompt),
    `solution() -> list[str]`, `solve() -> str` (the next action of a right episode, where it depends on what was shown;
    the gold policy prefers it), `demonstrate(rng, rejected) -> str` (the next action of an imperfect demonstrator; one
    that takes `lessons`, too, heeds them, and has `lesson(rng) -> str`, its reflection on an episode that failed),
    `judge(action) -> Judgement | None`, `candidates() -> list[str]` (what can be done now, for roles that choose from a
    menu), `snapshot() -> object`, `restore(snapshot)`, `brief` (a `Brief`, for the user), `finish()` (as `step`: the
    user ends the dialogue). `info["milestone"] = True` lets the user speak before the assistant goes on;
    `info["graded"] = True` = what is shown tells whether an answer was right, so that no dry run shows it.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode; returns the first observation and info."""
        ...

    def step(self, action: str) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        """Execute an action; returns observation, reward, terminated, truncated and info."""
        ...

    def close(self) -> None:
        """Release what the task holds; may be called twice."""
        ...


class Uniform(Protocol):
    """A source of random numbers, such as `random.Random` or `numpy.random.Generator`."""

    def random(self) -> float:
        """Draw from [0, 1)."""
        ...


@runtime_checkable
class Policy(Protocol):
    """Anything that answers dialogues."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue once.

        Args:
            dialogues: any number, of any roles; the policy may `encode` them and changes nothing else.
            seed: of the run; with `Dialogue.seed` and the turn it determines the reply, whatever the batch is.

        Returns:
            One Generation a dialogue, in order.
        """
        ...


@runtime_checkable
class Oracle(Protocol):
    """A policy that is shown the task itself: for gold answers and demonstrations, or to ask what can be done.

    One that reads the answer there is a bound, and no player to evaluate.
    """

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Meet the task of one episode, after its reset and before the first turn."""
        ...


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Training rows, packed: several rows may lie side by side in one line of the batch.

    Shapes: B lines, T tokens; N action tokens in all, ordered by line and position.

    Attributes:
        token_ids: (B, T) int64; padding is any id.
        positions: (B, T) int64; the position of each token in its own row.
        segments: (B, T) int64; which row a token belongs to, unique in the batch; -1 = padding.
        action_mask: (B, T) bool; True = the role wrote this token. Never the first token of a row.
        packed: does any line hold more than one row?
    """

    token_ids: torch.Tensor
    positions: torch.Tensor
    segments: torch.Tensor
    action_mask: torch.Tensor
    packed: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A policy's view of the N action tokens and R rows of a TokenBatch.

    Attributes:
        logprobs: (N,) in nats, under the sampling distribution, with gradient.
        values: (N,) value of the state before each action token, with gradient.
        entropy: (N,) in nats.
        last_values: (R,) value of the state after each row's last token: what a truncated episode is bootstrapped from.
    """

    logprobs: torch.Tensor
    values: torch.Tensor
    entropy: torch.Tensor
    last_values: torch.Tensor


@runtime_checkable
class TokenPolicy(Policy, Protocol):
    """A policy that can be tuned: it shows its tokens and evaluates them again."""

    def evaluate(self, batch: TokenBatch, role: str) -> Evaluation:
        """Log-probabilities, values and entropies of the action tokens, with gradient."""
        ...

    def reference_logprobs(self, batch: TokenBatch, role: str) -> torch.Tensor:
        """(N,) log-probabilities of the action tokens under the frozen base, in nats, without gradient."""
        ...


class Weights(Protocol):
    """What a policy lets a tuner change, role by role; sets of different roles are disjoint, or the same one shared."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Who has weights."""
        ...

    @property
    def device(self) -> torch.device:
        """Where token batches go."""
        ...

    def policy_parameters(self, role: str) -> list[torch.nn.Parameter]:
        """What decides a role's log-probabilities."""
        ...

    def value_parameters(self, role: str) -> list[torch.nn.Parameter]:
        """What decides a role's values, and nothing else."""
        ...


@runtime_checkable
class TunablePolicy(TokenPolicy, Protocol):
    """A token policy whose weights can be changed: what a tuner needs."""

    @property
    def weights(self) -> Weights:
        """What may be changed."""
        ...

    def weights_changed(self) -> None:
        """They were: forget whatever was computed with those of before."""
        ...
