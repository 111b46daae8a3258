"""Who is paid what, and why: every reward of a collaboration is an entry here first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

from cmat_env.errors import ConfigError, ContractError
from cmat_env.types import Judgement, Payment, Step, Trajectory, Verdict


@dataclass(frozen=True, slots=True)
class RewardRule:
    """How a team is paid.

    The assistant is paid what the task pays. A verdict never mints task reward: the checker is paid for judging right.

    Attributes:
        verdict: weight of a verdict's score against the task's own judgement of the proposal.
        bad: how many times a verdict on a bad proposal counts. Where most proposals are good, approving everything pays
            and a learning checker stops to look; the ratio of good to bad ones takes that pay away.
        team: the checker's share of what the task paid in the whole episode.
        user: the user's share of the same.
        revision: what the checker earns by a request whose revision turned a bad proposal into a good one, and pays for
            one that turned a good proposal into a bad one, both by the task's judgement; 0 = nothing.
        reviser: the same for the assistant, who revised.
    """

    verdict: float = 1.0
    bad: float = 1.0
    team: float = 0.7
    user: float = 1.0
    revision: float = 0.0
    reviser: float = 0.0

    @classmethod
    def mixed(cls, alpha: float = 0.7, **others: float) -> Self:
        """The checker is paid alpha of the team's result and 1 - alpha of its verdicts' score.

        Source: the mix of team and local rewards of AT-GRPO (arXiv:2510.11062), where 0.7 did best.

        Raises:
            ConfigError: alpha is not in [0, 1].
        """
        if not 0.0 <= alpha <= 1.0:
            raise ConfigError(f"alpha={alpha!r} is no share; give a number from 0 to 1, such as 0.7")
        return cls(verdict=1.0 - alpha, team=alpha, **others)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"RewardRule.{field.name}={value!r} is no finite number; give a weight, such as 1.0")

    def of_verdict(self, verdict: Verdict, judgement: Judgement) -> float:
        """What a verdict earns: a proper score, so that saying what one believes pays best.

        With p the probability that the checker gave to "the proposal is good" and y = 1 if it is, else 0, the score
        is 1 - 2 (p - y)^2, in [-1, 1]; for a text that is no verdict it is -1. (With `bad` other than 1, what pays best
        is what one would believe if bad proposals were that many times as frequent.)

        Source: Brier 1950, "Verification of forecasts expressed in terms of probability".
        """
        probability = verdict.confidence if verdict.approve else 1.0 - verdict.confidence
        error = probability - (1.0 if judgement.good else 0.0) if verdict.parsed else 1.0
        weight = self.verdict if judgement.good else self.verdict * self.bad
        return weight * (1.0 - 2.0 * error * error)

    def of_revision(self, before: Judgement, after: Judgement) -> tuple[tuple[str, float], ...]:
        """What a revision pays to whom, by the task's judgement of the proposal before and after it."""
        gain = float(after.good) - float(before.good)
        return (("checker", self.revision * gain), ("assistant", self.reviser * gain))

    def at_end(self, task_return: float) -> tuple[tuple[str, float], ...]:
        """What the end of an episode pays to whom, beside the task's own rewards."""
        return (("checker", self.team * task_return), ("user", self.user * task_return))


class Ledger:
    """The payments of one episode, in order.

    Attributes:
        entries: every payment; only `pay` appends.
    """

    __slots__ = ("entries",)

    def __init__(self, entries: Iterable[Payment] = ()) -> None:
        self.entries: list[Payment] = list(entries)

    def pay(self, payment: Payment) -> None:
        """Append one entry.

        Raises:
            ContractError: the amount is not finite.
        """
        if not math.isfinite(payment.amount):
            raise ContractError(f"{payment} is not finite; a task or a reward rule must pay a finite number")
        self.entries.append(payment)

    def total(self, role: str | None = None) -> float:
        """The sum of what `role` was paid, or of everything."""
        return sum((entry.amount for entry in self.entries if role in (None, entry.role)), 0.0)

    def since(self, length: int) -> tuple[Payment, ...]:
        """The entries that came after the ledger had `length` of them."""
        return tuple(self.entries[length:])

    def __len__(self) -> int:
        return len(self.entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.entries == other.entries

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> Ledger:
        return Ledger(self.entries)

    def __repr__(self) -> str:
        return f"Ledger({len(self.entries)} entries, {self.total():g} in all)"


def explained(trajectory: Trajectory) -> Iterator[str]:
    """A line for every payment of an episode: who, how much, why, and what it was that earned it."""
    by_turn = {(step.role, step.turn): step for step in trajectory.steps}
    for payment in trajectory.payments:
        why = _why(payment, by_turn.get((payment.role, payment.turn)), trajectory)
        yield f"{payment.role} turn {payment.turn + 1}: {payment.amount:+.3f} {payment.reason}: {why}"


def _why(payment: Payment, step: Step | None, trajectory: Trajectory) -> str:
    if payment.reason == "task":
        return "what the task paid for the action"
    if payment.reason == "team":
        return f"its share of the team's result ({trajectory.outcome})"
    if payment.reason == "revision":
        return "the revision made a bad proposal good" if payment.amount > 0 else "the revision made a good one bad"
    if payment.reason == "verdict" and step is not None and step.verdict is not None and step.judgement is not None:
        verdict, judgement = step.verdict, step.judgement
        said = "no verdict" if not verdict.parsed else "approved" if verdict.approve else "asked to revise"
        because = f" ({judgement.reason})" if judgement.reason else ""
        proposal = "good" if judgement.good else "bad"
        return f"{said}, confidence {verdict.confidence:g}; the proposal was {proposal}{because}"
    return "a rule's own word"
