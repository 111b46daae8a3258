"""Verdicts on good and on bad proposals, made to weigh the same.

Where most proposals are good, a checker that approves everything is paid well; it is pulled there before it has
learned to look, and a policy that says one thing only explores nothing. The balanced score of any constant verdict is
0, so that what is left to learn is the difference between proposals.

Source: class-balanced rewards; ours, measured in docs/learning.md.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from cmat_env.types import Payment, Trajectory

LARGEST = 4.0
"""No verdict counts more often than this, however rare its kind."""


def balanced(trajectories: Sequence[Trajectory], *, strength: float = 1.0) -> list[Trajectory]:
    """The same episodes, in which payments for verdicts are scaled by kind of proposal.

    With n verdicts in all, n_k of them on proposals of kind k (good or bad), each is scaled by n / (2 n_k), at most by
    `LARGEST`, to the power of `strength`: 1 = both kinds weigh the same, 0 = each verdict does. Everything else is
    paid as it was.
    """
    kinds = [_judged(trajectory) for trajectory in trajectories]
    counts = Counter(good for turns in kinds for good in turns.values())
    total = counts.total()
    scales = {good: min(LARGEST, total / (2 * count)) ** strength for good, count in counts.items()}

    def scaled(payment: Payment, turns: dict[int, bool]) -> Payment:
        if payment.reason != "verdict" or payment.turn not in turns:
            return payment
        return dataclasses.replace(payment, amount=payment.amount * scales[turns[payment.turn]])

    return [
        dataclasses.replace(trajectory, payments=tuple(scaled(payment, turns) for payment in trajectory.payments))
        for trajectory, turns in zip(trajectories, kinds, strict=True)
    ]


def strength_at(iteration: int, until: int) -> float:
    """How strongly an iteration balances: fully in the first, then less, and from iteration `until` on not at all."""
    return max(0.0, 1.0 - iteration / until) if until else 0.0


def _judged(trajectory: Trajectory) -> dict[int, bool]:
    """By the checker's turn, whether the proposal that it judged was good."""
    return {
        step.turn: step.judgement.good
        for step in trajectory.steps
        if step.verdict is not None and step.judgement is not None
    }
