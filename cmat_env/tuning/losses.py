"""The losses: what an update minimises, over the N action tokens of a minibatch."""

from __future__ import annotations

import torch
from torch.nn import functional


def clipped_policy_loss(
    logprobs: torch.Tensor, old_logprobs: torch.Tensor, advantages: torch.Tensor, *, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's clipped surrogate.

    Args:
        logprobs: (N,) now, with gradient, in nats.
        old_logprobs: (N,) as sampled, in nats.
        advantages: (N,).
        clip: the ratio is clipped to [1 - clip, 1 + clip].

    Returns:
        the loss (mean over tokens), and the fraction of tokens whose clipping was active.

    Source: Schulman et al. 2017, arXiv:1707.06347, eq. 7.
    """
    ratio = (logprobs - old_logprobs).exp()
    plain, clipped = ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages
    return -torch.minimum(plain, clipped).mean(), (clipped < plain).float().mean()


def weighted_likelihood_loss(logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Log-likelihood of the tokens, weighted, less its sign.

    Weighted by an advantage it is REINFORCE; weight 1 for successful episodes and 0 for others imitates them. The mean
    is over all tokens, failed episodes included, so that imitation's step grows with the success rate.

    Args:
        logprobs: (N,) with gradient, in nats.
        weights: (N,).

    Source: Williams 1992, doi:10.1007/BF00992696.
    """
    return -(logprobs * weights).mean()


def preference_loss(chosen: torch.Tensor, rejected: torch.Tensor, *, beta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Direct preference optimisation.

    Args:
        chosen: (P,) log-probability of what is preferred less that under the frozen base, summed over the role's own
            tokens, in nats, with gradient.
        rejected: (P,) the same of what it is preferred to.
        beta: weight of the log-ratios.

    Returns:
        the loss (mean over pairs), and the (P,) margins: how much more the policy's implicit reward gives to what is
        preferred.

    Source: Rafailov et al. 2023, arXiv:2305.18290, eq. 7.
    """
    margins = beta * (chosen - rejected)
    return -functional.logsigmoid(margins).mean(), margins.detach()


def value_loss(values: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Half the mean squared error over the tokens of the mask (N,), 1 or True = counts; 0 if there is none."""
    return 0.5 * ((values - returns).pow(2) * mask).sum() / mask.sum().clamp(min=1)


def k3(logprobs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """(N,) an unbiased, never negative estimate of KL(policy || reference) a token, in nats, for tokens of the policy.

    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html, k3.
    """
    difference = reference - logprobs
    return difference.exp() - 1 - difference
