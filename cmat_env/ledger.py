"""Who is paid what, and why: every reward of a collaboration is an entry here first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from cmat_env.errors import ConfigError, ContractError
from cmat_env.types import Judgement, Payment, Verdict


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
    """

    verdict: float = 1.0
    bad: float = 1.0
    team: float = 0.7
    user: float = 1.0

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
