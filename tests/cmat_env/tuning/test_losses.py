"""The losses by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cmat_env.tuning.losses import clipped_policy_loss, k3, preference_loss, value_loss, weighted_likelihood_loss

OLD = -1.0


def clipped(ratio: float, advantage: float) -> tuple[float, float, float]:
    """Loss, clip fraction and gradient with respect to the log-probability, of one token with this ratio."""
    logprob = torch.tensor([OLD + math.log(ratio)], dtype=torch.float64, requires_grad=True)
    loss, fraction = clipped_policy_loss(
        logprob, torch.tensor([OLD], dtype=torch.float64), torch.tensor([advantage], dtype=torch.float64), clip=0.2
    )
    loss.backward()
    assert logprob.grad is not None
    return loss.item(), fraction.item(), logprob.grad.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "fraction", "gradient"),
    [
        (1.0, 2.0, -2.0, 0.0, -2.0),  # nothing moved yet: the plain policy gradient
        (1.5, 2.0, -2.4, 1.0, 0.0),  # good, and already 20 % more likely: enough
        (0.5, 2.0, -1.0, 0.0, -1.0),  # good, and less likely: pull it back, unclipped
        (0.5, -2.0, 1.6, 1.0, 0.0),  # bad, and already 20 % less likely: enough
        (1.5, -2.0, 3.0, 0.0, 3.0),  # bad, and more likely: push it down, unclipped
    ],
)
def test_clipped_loss_of_both_signs(
    ratio: float, advantage: float, loss: float, fraction: float, gradient: float
) -> None:
    """PPO, eq. 7: the smaller of the plain and the clipped gain; d(ratio)/d(logprob) = ratio."""
    assert (loss, fraction, gradient) == pytest.approx(clipped(ratio, advantage))


def test_clipped_loss_is_the_mean_over_tokens() -> None:
    """Two tokens at ratio 1 with advantages 1 and 3: -(1 + 3) / 2."""
    loss, fraction = clipped_policy_loss(torch.zeros(2), torch.zeros(2), torch.tensor([1.0, 3.0]), clip=0.2)

    assert (-2.0, 0.0) == (loss.item(), fraction.item())


def test_imitation_weighs_log_likelihoods() -> None:
    """(-1 * 1, -3 * 0): -(-1 - 0) / 2 tokens; a token of weight 0 counts in the mean."""
    assert 0.5 == weighted_likelihood_loss(torch.tensor([-1.0, -3.0]), torch.tensor([1.0, 0.0])).item()


def test_reinforce_is_the_weighted_likelihood() -> None:
    """Advantages 2 and -1: -(-1 * 2 - 3 * -1) / 2; the gradient is minus the advantage over the number of tokens."""
    logprobs = torch.tensor([-1.0, -3.0], requires_grad=True)
    loss = weighted_likelihood_loss(logprobs, torch.tensor([2.0, -1.0]))
    loss.backward()

    assert logprobs.grad is not None
    assert (-0.5, [-1.0, 0.5]) == (loss.item(), logprobs.grad.tolist())


def test_preference_loss_by_hand() -> None:
    """Log-ratios 2 and -1, 0 and 3, beta 0.5: margins 1.5 and -1.5; -log sigmoid is log(1 + e^-margin)."""
    chosen = torch.tensor([2.0, 0.0], dtype=torch.float64, requires_grad=True)
    rejected = torch.tensor([-1.0, 3.0], dtype=torch.float64, requires_grad=True)
    loss, margins = preference_loss(chosen, rejected, beta=0.5)
    loss.backward()
    sigmoid = [1 / (1 + math.exp(1.5)), 1 / (1 + math.exp(-1.5))]  # of minus the margin: what is still to be learned

    assert [1.5, -1.5] == margins.tolist()
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-1.5)) + math.log(1 + math.exp(1.5))) / 2)
    assert chosen.grad is not None
    assert chosen.grad.tolist() == pytest.approx([-0.25 * share for share in sigmoid])
    assert rejected.grad is not None
    assert rejected.grad.tolist() == pytest.approx([0.25 * share for share in sigmoid])


def test_value_loss_looks_at_the_mask_alone() -> None:
    """Half of (1 - 3)^2 over one token; the other one is 100 off and masked."""
    loss = value_loss(torch.tensor([1.0, 0.0]), torch.tensor([3.0, 100.0]), torch.tensor([True, False]))

    assert 2.0 == loss.item()


def test_value_loss_of_no_tokens_is_zero() -> None:
    """Not NaN."""
    assert 0.0 == value_loss(torch.ones(2), torch.zeros(2), torch.zeros(2, dtype=torch.bool)).item()


def test_k3_by_hand() -> None:
    """Policy 1/2, reference 1/4: 1/2 - 1 - log(1/2)."""
    result = k3(torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.25)])).item()

    assert result == pytest.approx(0.5 - 1 + math.log(2))


def test_k3_is_never_negative_and_zero_only_where_nothing_differs() -> None:
    """x - 1 - log x >= 0 for every ratio x."""
    policy = torch.linspace(-6, 0, 61, dtype=torch.float64)
    result = k3(policy, torch.full_like(policy, -3.0))

    assert 0.0 == result.min().item()
    assert [30] == (result == 0.0).nonzero().flatten().tolist()


def test_k3_is_unbiased() -> None:
    """Its mean under the policy is KL(policy || reference), here 0.9 log(0.9/0.5) + 0.1 log(0.1/0.5)."""
    policy, reference = torch.tensor([0.9, 0.1]).double(), torch.tensor([0.5, 0.5]).double()
    kl = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)

    assert (policy * k3(policy.log(), reference.log())).sum().item() == pytest.approx(kl)
