"""What the algorithms differ in: what the tokens of an episode are worth, and the loss over them.

ppo                                  values      -> from_values   -> advantages per token or turn
grpo, rloo, reinforce                returns     -> from_outcomes -> one number an episode, or a turn
filtered_bc                          success     -> from_outcomes -> one number an episode
dpo                                  preferences -> from_outcomes -> pairs of episodes
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cmat_env.tuning import losses
from cmat_env.tuning.advantages import (
    gae,
    group_advantages,
    leave_one_out,
    ranked_pairs,
    scale,
    standardise,
    turn_gae,
    turn_returns,
)
from cmat_env.tuning.rows import RoleBatch, Row, gather
from cmat_env.tuning.settings import TunerSettings

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Credit:
    """What each action token should be changed by; all (E, A).

    Attributes:
        advantages: of the policy loss; for imitation, the weight of the token; for preferences, 1 or -1.
        returns: targets of the value head.
        value_mask: True = the value head learns here.
        reference: log-probabilities of the frozen base, in nats.
        pairs: of episodes, the preferred one first.
    """

    advantages: torch.Tensor
    returns: torch.Tensor
    value_mask: torch.Tensor
    reference: torch.Tensor
    pairs: Pairs = ()


def from_values(
    batch: RoleBatch,
    values: torch.Tensor,
    last_values: torch.Tensor,
    reference: torch.Tensor,
    settings: TunerSettings,
    *,
    kl_beta: float,
) -> Credit:
    """Credit by generalised advantage estimation, the KL to the base being part of the reward.

    Args:
        batch: the episodes.
        values: (E, A) before each token.
        last_values: (E,) after the last one.
        reference: (E, A) log-probabilities of the frozen base, in nats.
        settings: of the role.
        kl_beta: weight of the KL.

    Returns:
        Advantages as they are where `settings.normalise` is "all" or "none".
    """
    mask = batch.mask
    rewards = batch.rewards - kl_beta * (batch.logprobs - reference) * mask
    bootstrap = last_values * batch.truncated
    gamma, lam = settings.gamma, settings.lam
    if settings.credit == "turn":
        advantages, returns, value_mask = turn_gae(
            rewards=rewards, values=values, turns=batch.turns, mask=mask, gamma=gamma, lam=lam, last_value=bootstrap
        )
    else:
        advantages, returns = gae(rewards=rewards, values=values, mask=mask, gamma=gamma, lam=lam, last_value=bootstrap)
        value_mask = mask
    if settings.normalise in {"role", "turn"}:
        groups = batch.turns if settings.normalise == "turn" else None
        advantages = standardise(advantages, mask, groups=groups)
    return Credit(advantages, returns, value_mask, reference)


def standardised_together(credits: Sequence[Credit], masks: Sequence[torch.Tensor]) -> list[Credit]:
    """Credit of several roles with one mean and one deviation over all their tokens.

    Args:
        credits: of each role, as `from_values` gives it.
        masks: of each role, (E, A) True = counts.
    """
    if not credits:
        return []
    written = torch.cat([credit.advantages[mask] for credit, mask in zip(credits, masks, strict=True)])
    scores = standardise(written, torch.ones_like(written, dtype=torch.bool))
    parts = scores.split([int(mask.sum()) for mask in masks])
    return [
        dataclasses.replace(credit, advantages=torch.zeros_like(credit.advantages).masked_scatter(mask, part))
        for credit, mask, part in zip(credits, masks, parts, strict=True)
    ]


def from_outcomes(batch: RoleBatch, reference: torch.Tensor, settings: TunerSettings) -> Credit:
    """Credit by algorithms without values: every token of an episode, or of a turn, is worth the same."""
    pairs: Pairs = ()
    if settings.algorithm == "dpo":
        worth, pairs = _preferences(batch)
    elif settings.algorithm == "filtered_bc":
        worth = batch.success
    elif settings.credit == "turn":
        worth = _turnwise(batch, settings)
    else:
        worth = _compared(batch.returns, batch.groups, settings.algorithm)
    spread = worth if worth.dim() == 2 else worth.unsqueeze(-1)
    nothing, nowhere = torch.zeros_like(batch.rewards), torch.zeros_like(batch.mask)
    return Credit(spread * batch.mask, nothing, nowhere, reference, pairs)


def _compared(returns: torch.Tensor, groups: torch.Tensor, algorithm: str) -> torch.Tensor:
    """(N,) how much better each return is than the others of its group; for reinforce, than all."""
    if algorithm == "rloo":
        return scale(leave_one_out(returns, groups))
    return group_advantages(returns, torch.zeros_like(groups) if algorithm == "reinforce" else groups)


def _turnwise(batch: RoleBatch, settings: TunerSettings) -> torch.Tensor:
    """(E, A) what is paid from a turn on, compared with the same turn of the other episodes of the group.

    Source: the grouping by agent and turn of PettingLLMs (AT-GRPO), arXiv:2510.11062; the role is the batch's.
    """
    returns, exists = turn_returns(rewards=batch.rewards, turns=batch.turns, mask=batch.mask, gamma=settings.gamma)
    episodes, turns = exists.nonzero(as_tuple=True)
    worth = torch.zeros_like(returns)
    worth[exists] = _compared(returns[exists], batch.groups[episodes] * exists.shape[1] + turns, settings.algorithm)
    return worth.gather(1, batch.turns)


def _preferences(batch: RoleBatch) -> tuple[torch.Tensor, Pairs]:
    """(E,) 1 for the preferred episode of a pair, -1 for the other; and the pairs."""
    # An episode in which the role said nothing is alone in a group of its own, -1 - episode: it is in no pair.
    alone = -1 - torch.arange(len(batch.groups))
    pairs = tuple(ranked_pairs(batch.returns, batch.groups.where(batch.mask.any(-1), alone)))
    signs = torch.zeros_like(batch.returns)
    for better, worse in pairs:
        signs[better], signs[worse] = 1.0, -1.0
    return signs, pairs


def together(rows: Sequence[Row], credit: Credit) -> list[list[Row]]:
    """What stays together in a minibatch: a row, or all rows of a pair."""
    if not credit.pairs:
        return [[row] for row in rows]
    return [[row for row in rows if row.episode in pair] for pair in credit.pairs]


def policy_loss(
    logprobs: torch.Tensor,
    credit: Credit,
    *,
    batch: RoleBatch,
    rows: Sequence[Row],
    order: Sequence[int],
    settings: TunerSettings,
    kl_beta: float,
) -> tuple[torch.Tensor, dict[str, float]]:
    """What an algorithm minimises over some rows, values and entropy apart, and its statistics.

    Args:
        logprobs: (N,) of the rows' action tokens now, with gradient, in nats.
        credit: of the batch.
        batch: all episodes.
        rows: the rows.
        order: in which they were packed.
        settings: of the role.
        kl_beta: weight of the KL where it is part of the loss.
    """
    old = gather(batch.logprobs, rows, order).to(logprobs)
    reference = gather(credit.reference, rows, order).to(logprobs)
    advantages = gather(credit.advantages, rows, order).to(logprobs)
    if settings.algorithm == "dpo":
        return _preference_loss(logprobs - reference, rows, order, credit.pairs, settings.dpo_beta)
    statistics = {"ratio": float((logprobs.detach() - old).exp().mean())}
    if settings.algorithm in {"filtered_bc", "reinforce"}:
        loss = losses.weighted_likelihood_loss(logprobs, advantages)
    else:
        loss, clipped = losses.clipped_policy_loss(logprobs, old, advantages, clip=settings.clip)
        statistics["clip_fraction"] = float(clipped)
    if settings.algorithm != "ppo":  # whose KL is part of the reward
        loss = loss + kl_beta * losses.k3(logprobs, reference).mean()
    return loss, statistics


def _preference_loss(
    log_ratios: torch.Tensor,
    rows: Sequence[Row],
    order: Sequence[int],
    pairs: Pairs,
    beta: float,
) -> tuple[torch.Tensor, dict[str, float]]:
    """DPO over the pairs whose rows these are: log-ratios are summed over all the tokens that a role wrote."""
    parts = log_ratios.split([rows[i].actions for i in order])
    sums: dict[int, torch.Tensor] = {}
    for index, part in zip(order, parts, strict=True):
        episode = rows[index].episode
        sums[episode] = sums.get(episode, part.new_zeros(())) + part.sum()
    present = [(sums[better], sums[worse]) for better, worse in pairs if better in sums]
    chosen, rejected = (torch.stack(side) for side in zip(*present, strict=True))
    loss, margins = losses.preference_loss(chosen, rejected, beta=beta)
    return loss, {
        "margin": float(margins.mean()),
        "preferred": float((margins > 0).float().mean()),
        "log_ratio_chosen": float(chosen.detach().mean()),
        "log_ratio_rejected": float(rejected.detach().mean()),
    }
