"""The data that flows between the parts of cmat-env, and the protocols that a plug-in implements.

    Message -> Dialogue -> Generation -> Step -> Trajectory
    Task, Policy, Oracle, TokenPolicy, TunablePolicy

This module stands on the standard library alone. What is said, and how it becomes tokens, is in `cmat_env.dialogue`;
what a plug-in implements in `cmat_env.protocols`. Their names are here, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cmat_env.dialogue import Dialogue, FinishReason, Generation, Message, Usage
from cmat_env.protocols import Evaluation, Oracle, Policy, Task, TokenBatch, TokenPolicy, TunablePolicy, Weights

__all__ = [
    "Brief",
    "Dialogue",
    "Evaluation",
    "FinishReason",
    "Generation",
    "Judgement",
    "Message",
    "Oracle",
    "Payment",
    "Policy",
    "Recalled",
    "Step",
    "Task",
    "TokenBatch",
    "TokenPolicy",
    "Trajectory",
    "TunablePolicy",
    "Usage",
    "Verdict",
    "Weights",
]


@dataclass(frozen=True, slots=True)
class Payment:
    """One entry of the reward ledger: who is paid how much, and why.

    Attributes:
        role: who is paid.
        amount: in units of task reward.
        reason: "task", "verdict", "team", or a rule's own word.
        turn: the role's own turn (from 0) that earned it; -1 if it has not spoken yet.
    """

    role: str
    amount: float
    reason: str
    turn: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A task's opinion on a proposed action that was not executed; for the ledger, never shown to an agent.

    Attributes:
        good: should the action be executed?
        reason: a few words for the log.
    """

    good: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a checker said about a proposal.

    Attributes:
        approve: execute it?
        reason: the words after the verdict; shown to the assistant when it is asked to revise.
        confidence: in [0, 1], how sure the checker is of its verdict.
        parsed: False = nothing in the text was a verdict, and it was taken as an approval.
    """

    approve: bool
    reason: str = ""
    confidence: float = 1.0
    parsed: bool = True


@dataclass(frozen=True, slots=True)
class Recalled:
    """Something that a role was told at the start of an episode of what came before it.

    Attributes:
        text: the words.
        memory: id of the long-term memory; None = a reflection on an earlier trial of the same task.
    """

    text: str
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One action of one agent, with what it saw and what it was paid for.

    Attributes:
        index: position in the episode, from 0.
        agent: PettingZoo agent name, such as "assistant_0".
        role: the agent's role.
        turn: the role's own turn, from 0.
        observation: {"message": str, "speaker": str}.
        generation: what the policy said; its text is the action.
        dialogue: which of the role's dialogues it belongs to (0 unless short-term memory began a new one).
        payments: ledger entries that this action caused, for any role.
        verdict: the checker's verdict, if this was the checker.
        judgement: the task's opinion on the proposal that this checker step judged, where it has one.
        info: the agent's info after the action.
        kind: "act", or "reflect" = written after the end, for the next trial; the environment never sees it.
    """

    index: int
    agent: str
    role: str
    turn: int
    observation: Mapping[str, str]
    generation: Generation
    dialogue: int = 0
    payments: tuple[Payment, ...] = ()
    verdict: Verdict | None = None
    judgement: Judgement | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["act", "reflect"] = "act"


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One finished episode.

    Attributes:
        env_id: such as "cmat/DB-v0".
        task_id: which task was played.
        task_type: its family.
        seed: of the episode: it alone determines the task and all sampling.
        steps: every action in order.
        dialogues: by role, the dialogues that it held (more than one only where short-term memory began anew).
        payments: the whole ledger.
        success: was the task solved?
        score: the task's own score.
        outcome: why it ended, such as "correct", "wrong", "round limit".
        terminated: the task was answered or failed for good.
        truncated: a limit ended it.
        seconds: wall time.
        options: given to the task's reset.
        sample: which of the episodes that differ in nothing but what is sampled.
        trial: which attempt at the task, from 0; the earlier ones had failed.
        recalled: by role, what it was told at the start of what came before.
    """

    env_id: str
    task_id: str
    task_type: str
    seed: int
    steps: tuple[Step, ...]
    dialogues: Mapping[str, tuple[Dialogue, ...]]
    payments: tuple[Payment, ...]
    success: bool
    score: float
    outcome: str
    terminated: bool
    truncated: bool
    seconds: float = 0.0
    options: Mapping[str, Any] | None = None
    sample: int = 0
    trial: int = 0
    recalled: Mapping[str, tuple[Recalled, ...]] = field(default_factory=dict)

    def returns(self) -> dict[str, float]:
        """What each role was paid in all."""
        totals = dict.fromkeys(self.dialogues, 0.0)
        for payment in self.payments:
            totals[payment.role] = totals.get(payment.role, 0.0) + payment.amount
        return totals

    def _repr_html_(self) -> str:
        """The episode in a notebook."""
        from cmat_env.episode_html import notebook, pieces  # noqa: PLC0415 - it stands on this module

        return notebook("".join(pieces(self)))


@dataclass(frozen=True, slots=True)
class Brief:
    """What the user of a task wants and knows; for the user role alone.

    Attributes:
        opening: what anybody who works on it must be told, such as the names of tables.
        goals: what is wanted, one thing after the other.
        wordings: for each goal, all ways to say it; () = only the one.
        facts: what the goals leave out; the user tells it when it is asked.
        details: what the goals say already, a sentence each, for a user without a model that is asked for one thing.
        answered: how many goals the assistant has dealt with by now, rightly or not.
        tries: how often the goal in front was dealt with wrongly, as the user was told.
    """

    opening: str
    goals: tuple[str, ...]
    wordings: tuple[tuple[str, ...], ...] = ()
    facts: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    answered: int = 0
    tries: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        """The goals, with their numbers where there are several."""
        if len(self.goals) == 1:
            return self.goals
        return tuple(f"Part {number}: {goal}" for number, goal in enumerate(self.goals, 1))

    def statement(self, goals: Sequence[str] = ()) -> str:
        """Everything that is wanted, all at once; `goals` are other words for it."""
        parts = replace(self, goals=tuple(goals)).parts if goals else self.parts
        order = f"There are {len(parts)} parts. Do them in order and answer each before the next."
        return "\n".join(filter(None, ("" if len(parts) == 1 else order, *parts, self.opening)))
