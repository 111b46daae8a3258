"""Credit: from what each turn was paid to an advantage for every token the role wrote.

Shapes: E episodes, A action tokens of the longest episode. Only tokens that the role wrote are in these arrays: foreign
tokens are left out, so that value and credit pass over them as if the turns were adjacent. Masks are True where a token
exists.
"""

from __future__ import annotations

import torch


def gae(
    *,
    rewards: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    gamma: float,
    lam: float,
    last_value: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalised advantage estimation.

    Args:
        rewards: (E, A) paid after each token.
        values: (E, A) of the state before each token.
        mask: (E, A) True = the token exists; a row's tokens stand at its beginning.
        gamma: discount a transition.
        lam: 1 = Monte Carlo returns, 0 = one-step temporal differences.
        last_value: (E,) value of the state after the last token: 0 where the episode terminated, the value head's
            opinion where it was truncated.

    Returns:
        advantages and returns (E, A); 0 where mask is False.

    Source: Schulman et al. 2015, arXiv:1506.02438, eq. 16.
    """
    advantages = torch.zeros_like(values)
    next_value, carry = last_value.clone(), torch.zeros_like(last_value)
    for token in reversed(range(values.shape[1])):
        here = mask[:, token]
        delta = rewards[:, token] + gamma * next_value - values[:, token]
        carry = torch.where(here, delta + gamma * lam * carry, carry)
        next_value = torch.where(here, values[:, token], next_value)
        advantages[:, token] = torch.where(here, carry, torch.zeros_like(carry))
    return advantages, (advantages + values) * mask


def turn_gae(
    *,
    rewards: torch.Tensor,
    values: torch.Tensor,
    turns: torch.Tensor,
    mask: torch.Tensor,
    gamma: float,
    lam: float,
    last_value: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Generalised advantage estimation with a turn as one action: all tokens of a turn share its advantage.

    Args:
        turns: (E, A) int64, the turn that each token belongs to, counted from 0; the rest as in `gae`.

    Returns:
        advantages and returns (E, A), and the mask (E, A) of the tokens whose value stands for their turn (the first).

    Source: the turn-level credit of Zhou et al. 2024 (ArCHer), arXiv:2402.19446, with GAE over turns.
    """
    count = int(turns.max()) + 1 if turns.numel() else 0
    index = turns.where(mask, torch.full_like(turns, count))
    nothing = rewards.new_zeros(len(turns), count + 1)
    paid = nothing.scatter_add(1, index, rewards * mask)[:, :count]
    previous = torch.nn.functional.pad(index[:, :-1], (1, 0), value=-1)
    first = mask & (index != previous)
    value = nothing.scatter_add(1, index, values * first)[:, :count]
    exists = nothing.scatter_add(1, index, first.to(nothing))[:, :count] > 0
    per_turn, returns = gae(rewards=paid, values=value, mask=exists, gamma=gamma, lam=lam, last_value=last_value)
    spread = turns.clamp(max=max(count - 1, 0))
    return per_turn.gather(1, spread) * mask, returns.gather(1, spread) * first, first


def turn_returns(
    *, rewards: torch.Tensor, turns: torch.Tensor, mask: torch.Tensor, gamma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What is paid from each turn on.

    Args:
        rewards: (E, A) paid after each token.
        turns: (E, A) int64, the turn that each token belongs to, counted from 0.
        mask: (E, A) True = the token exists.
        gamma: discount a turn.

    Returns:
        (E, K) returns for K turns, and (E, K) True = the turn exists.
    """
    count = int(turns.max()) + 1 if turns.numel() else 0
    index = turns.where(mask, torch.full_like(turns, count))
    nothing = rewards.new_zeros(len(turns), count + 1)
    returns = nothing.scatter_add(1, index, rewards * mask)[:, :count]
    exists = nothing.scatter_add(1, index, mask.to(nothing))[:, :count] > 0
    for turn in reversed(range(count - 1)):
        returns[:, turn] += gamma * returns[:, turn + 1]
    return returns, exists


def group_advantages(returns: torch.Tensor, groups: torch.Tensor, *, epsilon: float = 1e-4) -> torch.Tensor:
    """How much better an episode did than the others of its group, in standard deviations of the group.

    Args:
        returns: (E,) of the episodes.
        groups: (E,) int64; episodes of one task have one number.
        epsilon: added to the standard deviation.

    Returns:
        (E,) advantages; 0 for every episode of a group whose returns are all alike.

    Source: Shao et al. 2024 (GRPO), arXiv:2402.03300, section 4.1.2.
    """
    advantages = torch.zeros_like(returns)
    for group in groups.unique():
        inside = groups == group
        advantages[inside] = _standard_scores(returns[inside], epsilon)
    return advantages


def leave_one_out(returns: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """How much better an episode did than the mean of the others of its group.

    Args:
        returns: (E,) of the episodes.
        groups: (E,) int64; episodes of one task have one number.

    Returns:
        (E,) advantages; 0 for an episode that is alone, and exactly 0 where a group's returns are all alike.

    Source: Kool et al. 2019, openreview.net r1lgTGL5DE; Ahmadian et al. 2024 (RLOO), arXiv:2402.14740.
    """
    advantages = torch.zeros_like(returns)
    for group in groups.unique():
        inside = groups == group
        own = returns[inside]
        if (own != own[0]).any():
            advantages[inside] = own - (own.sum() - own) / (len(own) - 1)
    return advantages


def scale(advantages: torch.Tensor, *, epsilon: float = 1e-8) -> torch.Tensor:
    """(E,) divided by their root mean square, without a shift: what is 0 stays 0."""
    return advantages / (advantages.pow(2).mean().sqrt() + epsilon)


def ranked_pairs(returns: torch.Tensor, groups: torch.Tensor) -> list[tuple[int, int]]:
    """Preferences within groups: the best episode over the worst, the second best over the second worst, and so on.

    Every episode is in one pair at most. Where returns are 0 and 1 these are all the pairs of a success and a failure
    that can be had at once.

    Args:
        returns: (E,) of the episodes.
        groups: (E,) int64; episodes of one task have one number.

    Returns:
        (better, worse) positions; pairs of equal returns are left out.
    """
    pairs: list[tuple[int, int]] = []
    for group in groups.unique().tolist():
        members = [index for index, other in enumerate(groups.tolist()) if other == group]
        ranked = sorted(members, key=lambda index: -returns[index].item())
        for better, worse in zip(ranked[: len(ranked) // 2], ranked[::-1], strict=False):
            if returns[better] > returns[worse]:
                pairs.append((better, worse))
    return pairs


def standardise(
    advantages: torch.Tensor, mask: torch.Tensor, *, groups: torch.Tensor | None = None, epsilon: float = 1e-8
) -> torch.Tensor:
    """Shift and scale to mean 0 and standard deviation 1 over the tokens of the mask.

    Args:
        advantages: (E, A), or of any shape.
        mask: (E, A) True = counts.
        groups: (E, A) int64: standardise within each group (such as the turn) instead of over all.
        epsilon: added to the standard deviation.

    Returns:
        (E, A); 0 where mask is False, and in a group whose advantages are all alike.
    """
    result = torch.zeros_like(advantages)
    labels = torch.zeros_like(mask, dtype=torch.long) if groups is None else groups
    for label in labels[mask].unique():
        inside = mask & (labels == label)
        result[inside] = _standard_scores(advantages[inside], epsilon)
    return result


def _standard_scores(values: torch.Tensor, epsilon: float) -> torch.Tensor:
    """(N,) to mean 0 and standard deviation 1; exactly 0 where all are alike, since their mean may round off them."""
    if (values == values[0]).all():
        return torch.zeros_like(values)
    centred = values - values.mean()
    return centred / (centred.pow(2).mean().sqrt() + epsilon)
