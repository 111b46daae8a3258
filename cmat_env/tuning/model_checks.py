"""Does a model keep what tuning stands on? Ratio 1 before the first update, exact masks, adapters that do not leak.

For `cmat doctor`; each check takes episodes that the model itself has just played.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cmat_env.tuning.rows import RoleBatch, pack, role_batch, scatter
from cmat_env.types import TokenPolicy, Trajectory, TunablePolicy

_WIDTH = 512
_STEP = 0.05


@torch.no_grad()
def log_ratios(policy: TokenPolicy, batch: RoleBatch, role: str, device: torch.device) -> torch.Tensor:
    """(N,) log-probability of each action token now, less that under which it was sampled, in nats."""
    now = batch.logprobs.clone()
    tokens, order = pack(batch.rows, width=_WIDTH, device=device)
    scatter(policy.evaluate(tokens, role).logprobs.to(now), now, batch.rows, order)
    return (now - batch.logprobs)[batch.mask]


def mask_faults(trajectories: Sequence[Trajectory], role: str) -> list[str]:
    """In words, where the tokens under a role's mask are not those that its steps sampled, in order."""
    faults = []
    batch = role_batch(trajectories, role)
    for place, trajectory in enumerate(trajectories):
        sampled = [t for step in trajectory.steps if step.role == role for t in step.generation.token_ids or ()]
        masked = [
            token
            for dialogue in trajectory.dialogues.get(role, ())
            for token, mine in zip(dialogue.token_ids, dialogue.action_mask, strict=True)
            if mine
        ]
        rows = sum(row.actions for row in batch.rows if row.episode == place)
        if sampled != masked or rows != len(sampled):
            faults.append(f"episode {place + 1}: {len(sampled)} sampled, {len(masked)} under the mask, {rows} in rows")
    return faults


def unpaid(trajectories: Sequence[Trajectory], role: str) -> float:
    """What a role was paid, less what reached its tokens; payments before its first token are nobody's credit."""
    batch = role_batch(trajectories, role)
    paid = 0.0
    for trajectory in trajectories:
        written = [s.turn for s in trajectory.steps if s.role == role and s.generation.token_ids]
        first = min(written, default=None)
        paid += sum(p.amount for p in trajectory.payments if p.role == role and first is not None and p.turn >= first)
    return paid - float((batch.rewards * batch.mask).sum())


def leaks(policy: TunablePolicy, trajectories: Sequence[Trajectory]) -> list[str]:
    """In words, what changes for others when one role's weights are moved; the weights are put back.

    A role's log-probabilities must change with its own weights, and those of other roles and of the frozen base not
    by a single bit.
    """
    found = []
    batches = {role: role_batch(trajectories, role) for role in policy.weights.roles}
    batches = {role: batch for role, batch in batches.items() if batch.rows}
    before = {role: _views(policy, batch, role) for role, batch in batches.items()}
    for mover in batches:
        parameters = policy.weights.policy_parameters(mover)
        kept = [parameter.detach().clone() for parameter in parameters]
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for parameter in parameters:
                parameter.add_(_STEP * torch.randn(parameter.shape).to(parameter))
        policy.weights_changed()
        for role, batch in batches.items():
            own, base = _views(policy, batch, role)
            if role != mover and not torch.equal(own, before[role][0]):
                found.append(f"moving the weights of {mover} moves {role}")
            if role == mover and torch.equal(own, before[role][0]):
                found.append(f"moving the weights of {mover} does not move {mover}")
            if not torch.equal(base, before[role][1]):
                found.append(f"moving the weights of {mover} moves the frozen base")
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
        policy.weights_changed()
    return list(dict.fromkeys(found))


@torch.no_grad()
def _views(policy: TunablePolicy, batch: RoleBatch, role: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) log-probabilities under the role's weights and under the frozen base."""
    tokens, _ = pack(batch.rows, width=_WIDTH, device=policy.weights.device)
    return policy.evaluate(tokens, role).logprobs, policy.reference_logprobs(tokens, role)
