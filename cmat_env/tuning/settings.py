"""The settings of tuning: one frozen dataclass a part, checked when made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cmat_env.checks import check_share
from cmat_env.errors import ConfigError, did_you_mean

ALGORITHMS = ("ppo", "grpo", "rloo", "reinforce", "filtered_bc", "dpo")
GROUPED = ("grpo", "rloo", "dpo")
"""These compare episodes of one task, and learn nothing where all are alike."""


@dataclass(frozen=True, slots=True)
class TunerSettings:
    """How weights are updated from trajectories.

    Attributes:
        algorithm: one of `ALGORITHMS`; docs/algorithms/ has a page on each.
        learning_rate: of the policy's weights.
        value_learning_rate: of the value head.
        warmup: updates are scaled up linearly over this many iterations.
        decay: then they shrink linearly, to a tenth at this iteration; 0 = they stay.
        value_warmup: PPO trains only the value head for this many iterations.
        epochs: passes over a batch of trajectories.
        minibatch: episodes (dpo: pairs of them) an optimiser step; 0 = all.
        clip: clipping of the ratio, in ppo, grpo and rloo.
        gamma: discount a transition.
        lam: GAE's lambda.
        credit: ppo: GAE over "token"s or over "turn"s; grpo, rloo, reinforce: what an episode is paid is compared, or
            "turn": what is paid from each turn on, with the same turn of the others.
        normalise: standardise PPO's advantages over the tokens of a "role", of each "turn" of it, or of "all" roles
            that say so together; "none" = they stay as they are.
        kl_beta: first weight of the KL penalty to the frozen base.
        kl_target: KL a token that the weight is steered to, in nats.
        kl_gain: how fast it is steered; 0 = not at all.
        dpo_beta: dpo's weight of the log-ratio to the frozen base; larger stays nearer.
        entropy_bonus: weight of the entropy in the loss.
        value_weight: weight of the value loss.
        max_grad_norm: gradients are clipped to this norm.
        line_width: tokens of a packed line; 0 = one row a line.
        roles: by role, settings that are other for it, such as {"checker": {"learning_rate": 5e-4}}.
    """

    algorithm: Literal["ppo", "grpo", "rloo", "reinforce", "filtered_bc", "dpo"] = "ppo"
    learning_rate: float = 1e-4
    value_learning_rate: float = 1e-3
    warmup: int = 5
    decay: int = 0
    value_warmup: int = 3
    epochs: int = 2
    minibatch: int = 64
    clip: float = 0.2
    gamma: float = 1.0
    lam: float = 0.95
    credit: Literal["token", "turn"] = "token"
    normalise: Literal["role", "turn", "all", "none"] = "role"
    kl_beta: float = 0.02
    kl_target: float = 0.05
    kl_gain: float = 0.5
    dpo_beta: float = 0.1
    entropy_bonus: float = 0.0
    value_weight: float = 0.5
    max_grad_norm: float = 1.0
    line_width: int = 0
    roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ConfigError(f"algorithm {self.algorithm!r} is unknown; {did_you_mean(self.algorithm, ALGORITHMS)}")
        if self.credit not in {"token", "turn"}:
            raise ConfigError(f"credit={self.credit!r} must be 'token' or 'turn'")
        if self.normalise not in {"role", "turn", "all", "none"}:
            raise ConfigError(f"normalise={self.normalise!r} must be 'role', 'turn', 'all' or 'none'")
        for name in ("epochs", "kl_target", "max_grad_norm", "clip", "dpo_beta"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be above 0")
        for name in (
            "learning_rate", "value_learning_rate", "warmup", "decay", "value_warmup", "minibatch", "kl_beta",
            "line_width",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)} must not be negative")
        for name in ("gamma", "lam"):
            check_share(name, getattr(self, name))
        if self.algorithm == "reinforce" and self.epochs != 1:
            raise ConfigError(
                f"reinforce learns from a sample once, but epochs={self.epochs}; set tuner.epochs=1 or take rloo"
            )
        for role in self.roles:
            self.of(role)

    def of(self, role: str) -> TunerSettings:
        """The settings that one role is updated by.

        Raises:
            ConfigError: one of its own settings is unknown, or cannot differ between roles.
        """
        own = self.roles.get(role, {})
        if not isinstance(own, Mapping):
            raise ConfigError(f"tuner.roles.{role}={own!r}; wanted a section of settings, such as learning_rate = 5e-4")
        known = [item.name for item in dataclasses.fields(self) if item.name not in {"algorithm", "roles"}]
        for name in own:
            if name not in known:
                raise ConfigError(f"tuner.roles.{role}: unknown setting {name!r}; {did_you_mean(name, known)}")
        return dataclasses.replace(self, roles={}, **own)


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """What follows what is measured, beside the weight of the KL; docs/cmat.md has the formulas.

    Attributes:
        role_gain: how much a role's contribution, beside the others', changes its learning rate; 0 = not at all, below
            0 = who lags behind is updated more. See `cmat_env.tuning.adaptive.RoleWeights`.
        role_limit: largest factor of a learning rate.
        role_source: what is measured; "ledger": what a role was paid an episode for its own doing, shares of the team's
            result apart; "paired": by how much the team succeeds more often than without it (a user: than with
            `team.user`), on the same tasks.
        role_memory: share of the old mean that is kept.
        candidates: how many tasks are drawn for each that is played, which is chosen by learnability; 1 = the first is
            taken. See `cmat_env.tuning.learnability`.
        floor: weight of kinds that always or never succeed.
        success_memory: share of a kind's old success that is kept.
    """

    role_gain: float = 0.0
    role_limit: float = 4.0
    role_source: Literal["ledger", "paired"] = "ledger"
    role_memory: float = 0.8
    candidates: int = 1
    floor: float = 0.1
    success_memory: float = 0.7

    def __post_init__(self) -> None:
        if self.role_source not in {"ledger", "paired"}:
            raise ConfigError(f"role_source={self.role_source!r} must be 'ledger' or 'paired'")
        if not self.role_limit >= 1:
            raise ConfigError(f"role_limit={self.role_limit} must be at least 1")
        if self.candidates < 1:
            raise ConfigError(f"candidates={self.candidates} must be at least 1")
        if not 0 < self.floor <= 1:
            raise ConfigError(f"floor={self.floor} must be above 0 and at most 1")
        for name in ("role_memory", "success_memory"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be in [0, 1)")


@dataclass(frozen=True, slots=True)
class PairsSettings:
    """What dpo compares beside the episodes of one task.

    Attributes:
        path: file of preference pairs, one a line; docs/algorithms/dpo.md says how they are written; empty = none.
        each: pairs of the file an iteration.
        revisions: prefer a proposal that was made after a checker's refusal, and was better, to the one refused.
    """

    path: str = ""
    each: int = 64
    revisions: bool = True

    def __post_init__(self) -> None:
        if self.each < 1:
            raise ConfigError(f"each={self.each} must be at least 1")


@dataclass(frozen=True, slots=True)
class SFTSettings:
    """How demonstrations are imitated.

    Attributes:
        steps: optimiser steps.
        batch: dialogues a step.
        learning_rate: peak; warmed up linearly, then decayed by a cosine to a tenth.
        warmup: steps of the warm-up.
        weight_decay: of AdamW.
        max_grad_norm: gradients are clipped to this norm.
        line_width: tokens of a packed line; 0 = one dialogue a line.
    """

    steps: int = 600
    batch: int = 32
    learning_rate: float = 2e-3
    warmup: int = 50
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    line_width: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be above 0")
        for name in ("warmup", "weight_decay", "line_width"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)} must not be negative")
