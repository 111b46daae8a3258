"""The update: trajectories in, new weights of each role and statistics out.

role_batch -> a pass for reference log-probabilities -> credit -> minibatches -> optimiser step
"""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import nn

from cmat_env.errors import ConfigError
from cmat_env.tuning import losses
from cmat_env.tuning.adaptive import AdaptiveKL
from cmat_env.tuning.algorithms import (
    Credit,
    from_outcomes,
    from_values,
    policy_loss,
    standardised_together,
    together,
)
from cmat_env.tuning.rows import RoleBatch, Row, batches, gather, minibatches, role_batch, scatter
from cmat_env.tuning.settings import GROUPED, TunerSettings
from cmat_env.types import Evaluation, TokenBatch, Trajectory, TunablePolicy

BATCH_TOKENS = {"cpu": 2_048}
"""Tokens that go through the model at once, by kind of device: on a CPU no more than its caches like."""
BATCH_TOKENS_ELSEWHERE = 16_384


class Tuner:
    """Updates the weights of some roles of a policy, each by its own optimiser.

    Args:
        policy: whose weights are changed.
        roles: who learns.
        settings: how.
        seed: of the order of minibatches.

    Raises:
        ConfigError: the policy cannot be tuned, or has no weights for one of the roles.
    """

    def __init__(self, policy: TunablePolicy, roles: Sequence[str], settings: TunerSettings, *, seed: int = 0) -> None:
        if not isinstance(policy, TunablePolicy):
            raise ConfigError(
                f"{type(policy).__name__} cannot be tuned; see cmat_env.types.TunablePolicy for what it lacks"
            )
        self.policy = policy
        self.settings = {role: settings.of(role) for role in roles}
        self.roles = tuple(roles)
        self.seed = seed
        self.iteration = 0
        self.kl = {role: AdaptiveKL(own.kl_beta, own.kl_target, own.kl_gain) for role, own in self.settings.items()}
        self.optimizers = {role: _optimizer(policy, role, own) for role, own in self.settings.items()}
        self._factors = dict.fromkeys(roles, 1.0)
        self.latest: dict[str, tuple[RoleBatch, Credit, list[Row]]] = {}

    def update(
        self,
        trajectories: Sequence[Trajectory],
        *,
        preferences: Sequence[Trajectory] = (),
        factors: Mapping[str, float] | None = None,
    ) -> dict[str, dict[str, float]]:
        """One iteration: every role learns from the same episodes.

        Args:
            trajectories: episodes that the policy played.
            preferences: for dpo, further ones that it did not play, which are compared where they share a task; see
                `cmat_env.tuning.pairs`.
            factors: of the roles' learning rates this time; 1 where it is silent.

        Returns:
            by role, the statistics of the update; see docs/tuning.md.

        Raises:
            ConfigError: there are preferences, and the algorithm learns from its own episodes only.
        """
        algorithms = {own.algorithm for own in self.settings.values()}
        if preferences and algorithms != {"dpo"}:
            raise ConfigError(f"{', '.join(sorted(algorithms))} cannot learn from preferences; wanted dpo")
        self._factors = {role: (factors or {}).get(role, 1.0) for role in self.roles}
        self.latest.clear()
        batches = {role: role_batch(trajectories, role, preferences=preferences) for role in self.roles}
        credits, measured = self._credits(batches)
        statistics = {
            role: self._update_role(batch, credits[role], role, measured=measured[role])
            if batch.rows
            else measured[role]
            for role, batch in batches.items()
        }
        self.iteration += 1
        self.policy.weights_changed()
        return statistics

    def _update_role(
        self, batch: RoleBatch, credit: Credit, role: str, *, measured: dict[str, float]
    ) -> dict[str, float]:
        rows = self._worth_learning(batch, credit, role)
        self.latest[role] = batch, credit, rows
        order = np.random.default_rng((self.seed, self.iteration, zlib.crc32(role.encode())))
        sums: dict[str, float] = {}
        steps = 0
        settings = self.settings[role]
        for _ in range(settings.epochs):
            for part in minibatches(together(rows, credit), settings.minibatch, order):
                for name, value in self._step(batch, part, credit, role).items():
                    sums[name] = sums.get(name, 0.0) + value
                steps += 1
        if "kl_beta" in measured:
            self.kl[role].update(measured["kl"])
        return {**measured, **{name: value / steps for name, value in sums.items()}}

    # -- credit --------------------------------------------------------------------------------------------------

    def _credits(self, batches: Mapping[str, RoleBatch]) -> tuple[dict[str, Credit], dict[str, dict[str, float]]]:
        """Of each role that wrote anything; and statistics of every role."""
        found = {role: self._credit(batch, role) for role, batch in batches.items() if batch.rows}
        credits = {role: credit for role, (credit, _) in found.items()}
        pooled = [r for r in credits if (self.settings[r].algorithm, self.settings[r].normalise) == ("ppo", "all")]
        shared = standardised_together([credits[r] for r in pooled], [batches[r].mask for r in pooled])
        credits.update(zip(pooled, shared, strict=True))
        return credits, {role: found[role][1] if role in found else {"tokens": 0.0} for role in batches}

    def _credit(self, batch: RoleBatch, role: str) -> tuple[Credit, dict[str, float]]:
        reference = self._reference(batch, role)
        mask = batch.mask & batch.sampled.unsqueeze(-1)
        difference = (batch.logprobs - reference) * mask
        tokens, episodes = float(mask.sum()), max(float(mask.any(-1).sum()), 1.0)
        turns = float((batch.turns.masked_fill(~mask, -1).amax(-1) + 1).sum()) if tokens else 0.0
        kl = float(difference.sum()) / max(tokens, 1.0)
        if not math.isfinite(kl):
            raise FloatingPointError(f"KL of role {role!r} is {kl}: its weights have diverged; lower learning_rate")
        measured = {
            "tokens": tokens,
            "tokens_per_episode": tokens / episodes,
            "tokens_per_turn": tokens / max(turns, 1.0),
            "return": float(batch.returns[batch.sampled].mean()) if batch.sampled.any() else 0.0,
            "kl": kl,
            "kl_per_sequence": float(difference.sum()) / episodes,
        }
        credit = self._estimate(batch, role, reference)
        if self.settings[role].algorithm == "dpo":
            measured["pairs"] = float(len(credit.pairs))
        elif tokens:
            measured["kl_beta"] = self.kl[role].beta
        return credit, measured

    def _estimate(self, batch: RoleBatch, role: str, reference: torch.Tensor) -> Credit:
        """Advantages by the chosen algorithm."""
        settings = self.settings[role]
        if settings.algorithm != "ppo":
            return from_outcomes(batch, reference, settings)
        values, last_values = self._values(batch, role)
        return from_values(batch, values, last_values, reference, settings, kl_beta=self.kl[role].beta)

    def _worth_learning(self, batch: RoleBatch, credit: Credit, role: str) -> list[Row]:
        """Algorithms that compare within groups drop the episodes that differ from no other: their advantage is 0."""
        if self.settings[role].algorithm not in GROUPED:
            return list(batch.rows)
        alive = credit.advantages.ne(0).any(-1)
        return [row for row in batch.rows if alive[row.episode]]

    def _values(self, batch: RoleBatch, role: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(E, A) values before each token, and (E,) after the last one, where it counts.

        They were said while sampling, by the same weights. The model reads an episode again only where they were not,
        or where a limit ended it: nothing was sampled behind its last token.
        """
        values, last = batch.values.clone(), batch.rewards.new_zeros(len(batch.mask))
        again = batch.truncated | values.isnan().any(-1)
        rows = [row for row in batch.rows if again[row.episode]]
        ends: dict[int, float] = {}
        with torch.no_grad():
            for tokens, order in self._batches(rows, role):
                evaluation = self.policy.evaluate(tokens, role)
                scatter(evaluation.values.to(values), values, rows, order)
                ends.update(zip(order, evaluation.last_values.tolist(), strict=True))
        for index, row in enumerate(rows):  # what counts is the value behind an episode's last dialogue
            last[row.episode] = ends[index]
        return values, last

    def _reference(self, batch: RoleBatch, role: str) -> torch.Tensor:
        reference = torch.zeros_like(batch.logprobs)
        for tokens, order in self._batches(batch.rows, role):
            scatter(self.policy.reference_logprobs(tokens, role).cpu(), reference, batch.rows, order)
        return reference

    def _batches(self, rows: Sequence[Row], role: str) -> Iterator[tuple[TokenBatch, list[int]]]:
        """The rows in packed batches of bounded size."""
        width, device = self.settings[role].line_width, self.policy.weights.device
        tokens = BATCH_TOKENS.get(device.type, BATCH_TOKENS_ELSEWHERE)
        return batches(rows, width=width, tokens=tokens, device=device)

    def _evaluate(self, rows: Sequence[Row], role: str) -> tuple[Evaluation, list[int]]:
        """The policy's view of some rows, with gradient, and the order of the rows in it."""
        parts = [(self.policy.evaluate(tokens, role), order) for tokens, order in self._batches(rows, role)]
        whole = (torch.cat([getattr(part, field.name) for part, _ in parts]) for field in fields(Evaluation))
        return Evaluation(*whole), [index for _, order in parts for index in order]

    # -- steps ---------------------------------------------------------------------------------------------------

    def _step(self, batch: RoleBatch, rows: Sequence[Row], credit: Credit, role: str) -> dict[str, float]:
        """One optimiser step on some rows."""
        settings = self.settings[role]
        evaluation, order = self._evaluate(rows, role)
        loss, statistics = policy_loss(
            evaluation.logprobs,
            credit,
            batch=batch,
            rows=rows,
            order=order,
            settings=settings,
            kl_beta=self.kl[role].beta,
        )
        statistics["entropy"] = float(evaluation.entropy.detach().mean())
        if settings.entropy_bonus:
            loss = loss - settings.entropy_bonus * evaluation.entropy.mean()
        if settings.algorithm == "ppo":
            returns = gather(credit.returns, rows, order).to(evaluation.values)
            learns = gather(credit.value_mask, rows, order).to(evaluation.values)
            value_loss = losses.value_loss(evaluation.values, returns, learns)
            statistics["value_loss"] = float(value_loss.detach())
            loss = loss * (self.iteration >= settings.value_warmup) + settings.value_weight * value_loss
        statistics["loss"] = float(loss.detach())
        statistics["grad_norm"] = self._apply(loss, role)
        return statistics

    def _apply(self, loss: torch.Tensor, role: str) -> float:
        optimizer, settings = self.optimizers[role], self.settings[role]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        policy, value = optimizer.param_groups
        policy["lr"] = settings.learning_rate * schedule(self.iteration, settings) * self._factors[role]
        norm = nn.utils.clip_grad_norm_(policy["params"], settings.max_grad_norm)
        nn.utils.clip_grad_norm_(value["params"], settings.max_grad_norm)
        optimizer.step()
        return float(norm)

    # -- resume --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """A copy of optimisers, adaptive coefficients and counters; the weights are the policy's."""
        return {
            "iteration": self.iteration,
            "kl_beta": {role: kl.beta for role, kl in self.kl.items()},
            "optimizers": {role: copy.deepcopy(optimizer.state_dict()) for role, optimizer in self.optimizers.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.iteration = state["iteration"]
        for role in self.roles:
            self.kl[role].beta = state["kl_beta"][role]
            self.optimizers[role].load_state_dict(state["optimizers"][role])


def _optimizer(policy: TunablePolicy, role: str, settings: TunerSettings) -> torch.optim.Optimizer:
    """AdamW over what this role owns: its weights, and its value head."""
    return torch.optim.AdamW(
        [
            {"params": policy.weights.policy_parameters(role), "lr": settings.learning_rate},
            {"params": policy.weights.value_parameters(role), "lr": settings.value_learning_rate},
        ],
        betas=(0.9, 0.99),
        weight_decay=0.0,
        fused=True,
    )


def schedule(iteration: int, settings: TunerSettings) -> float:
    """The share of the learning rate in an iteration: linear warm-up, then linear decay to a tenth."""
    share = min(1.0, (iteration + 1) / max(1, settings.warmup))
    if settings.decay > settings.warmup:
        passed = (iteration - settings.warmup) / (settings.decay - settings.warmup)
        share *= 1.0 - 0.9 * min(1.0, max(0.0, passed))
    return share
