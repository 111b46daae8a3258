"""Coefficients that follow what is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cmat_env.types import Trajectory

SHARES = frozenset({"team"})
"""Reasons of payments that a role gets for what the team did."""


@dataclass(slots=True)
class AdaptiveKL:
    """The weight of the KL penalty, steered so that the divergence from the frozen base stays near a target.

    Source: Ziegler et al. 2019, arXiv:1909.08593, section 2.2 (proportional control, error clipped to 20 %).

    Attributes:
        beta: the weight now.
        target: KL a token, in nats.
        gain: share of the clipped relative error that beta moves by, an iteration; 0 keeps beta.
    """

    beta: float
    target: float
    gain: float = 0.5

    def update(self, kl: float) -> None:
        """Move beta after an iteration whose mean KL a token was `kl` nats."""
        error = min(0.2, max(-0.2, kl / self.target - 1))
        self.beta *= 1 + self.gain * error


@dataclass(slots=True)
class RoleWeights:
    """How strongly each role is updated: by what it was measured to contribute, beside the others.

    With c_r the running mean of a role's contribution, its learning rate is multiplied by
    exp(gain * (c_r - mean over the learners of c)), clipped to [1/limit, limit].

    Source: ours; the paper speaks of weights that are updated adaptively, and gives no rule that we know.

    Attributes:
        gain: above 0, who contributes more is updated more; below 0, who lags behind is; 0 = all alike.
        limit: largest factor.
        memory: share of the old mean that is kept when there is a new measurement.
        contributions: the running means, by role.
    """

    gain: float = 0.0
    limit: float = 4.0
    memory: float = 0.8
    contributions: dict[str, float] = field(default_factory=dict)

    def saw(self, measured: Mapping[str, float]) -> None:
        """Take new measurements into the running means."""
        for role, value in measured.items():
            before = self.contributions.get(role, value)
            self.contributions[role] = self.memory * before + (1 - self.memory) * value

    def of(self, roles: Sequence[str]) -> dict[str, float]:
        """The factor of each role's learning rate; 1 as long as one of them was not measured."""
        if not self.gain or any(role not in self.contributions for role in roles):
            return dict.fromkeys(roles, 1.0)
        mean = sum(self.contributions[role] for role in roles) / len(roles)
        bound = math.log(self.limit)
        return {
            role: math.exp(min(bound, max(-bound, self.gain * (self.contributions[role] - mean)))) for role in roles
        }

    def state_dict(self) -> dict[str, float]:
        """A copy of the running means."""
        return dict(self.contributions)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.contributions = {role: float(value) for role, value in state.items()}


def own_pay(trajectories: Sequence[Trajectory], roles: Sequence[str]) -> dict[str, float]:
    """What each role was paid an episode for its own doing; nothing without episodes."""
    if not trajectories:
        return {}
    sums = dict.fromkeys(roles, 0.0)
    for trajectory in trajectories:
        for payment in trajectory.payments:
            if payment.role in sums and payment.reason not in SHARES:
                sums[payment.role] += payment.amount
    return {role: total / len(trajectories) for role, total in sums.items()}
