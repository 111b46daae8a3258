"""Credit: every number here is recomputed by hand in the comment or the docstring beside it."""

from __future__ import annotations

import pytest
import torch

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


def row(*values: float | bool) -> torch.Tensor:
    """One episode."""
    return torch.tensor([values])


def one_gae(
    rewards: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
    last: float,
) -> tuple[list[float], list[float]]:
    """Advantages and returns of one episode."""
    advantages, returns = gae(
        rewards=rewards, values=values, mask=mask, gamma=gamma, lam=lam, last_value=torch.tensor([last])
    )
    return advantages[0].tolist(), returns[0].tolist()


def test_gae_of_a_terminated_episode_is_the_return_less_the_value() -> None:
    """With gamma = lambda = 1 an advantage is what is still paid minus what was expected: 1 - 0.5, 1 - 0.25."""
    advantages, returns = one_gae(row(0.0, 1.0), row(0.5, 0.25), row(True, True), last=0.0)

    assert [0.5, 0.75] == advantages
    assert [1.0, 1.0] == returns


def test_gae_bootstraps_a_truncated_episode() -> None:
    """A time limit is not an end: the value of the last state still counts, 0 + 5 - 1."""
    advantages, returns = one_gae(row(0.0, 0.0), row(1.0, 1.0), row(True, True), last=5.0)

    assert [4.0, 4.0] == advantages
    assert [5.0, 5.0] == returns


def test_gae_discounts_by_gamma_and_lambda() -> None:
    """By hand: d1 = 2 + 0.5*4 - 1 = 3; d0 = 1 + 0.5*1 - 1 = 0.5, and 0.5 + 0.5*0.5*3 = 1.25."""
    advantages, returns = one_gae(row(1.0, 2.0), row(1.0, 1.0), row(True, True), gamma=0.5, lam=0.5, last=4.0)

    assert [1.25, 3.0] == advantages
    assert [2.25, 4.0] == returns


def test_gae_with_lambda_zero_is_the_one_step_difference() -> None:
    """Lambda = 0: each advantage is r + gamma V' - V alone: 0 + 0.5 - 0.25, 1 + 0 - 0.5."""
    advantages, _ = one_gae(row(0.0, 1.0), row(0.25, 0.5), row(True, True), lam=0.0, last=0.0)

    assert [0.25, 0.5] == advantages


def test_gae_passes_over_a_gap_without_a_discount() -> None:
    """Tokens that are not there cost no step: with a hole in the middle the two neighbours are adjacent."""
    hole, _ = one_gae(row(1.0, 9.0, 2.0), row(1.0, 9.0, 1.0), row(True, False, True), gamma=0.5, lam=0.5, last=4.0)

    assert [1.25, 0.0, 3.0] == hole


def test_padding_behind_an_episode_changes_nothing_and_stays_zero() -> None:
    """The bootstrap value passes over padding to the last token that exists."""
    advantages, returns = one_gae(row(0.0, 0.0, 7.0), row(1.0, 1.0, 7.0), row(True, True, False), last=5.0)

    assert [4.0, 4.0, 0.0] == advantages
    assert [5.0, 5.0, 0.0] == returns


def test_episodes_of_a_batch_do_not_mix() -> None:
    """Each row is its own episode: one terminated, one truncated."""
    ones = torch.ones(2, 2, dtype=torch.bool)
    advantages, _ = gae(
        rewards=torch.tensor([[0.0, 1.0], [0.0, 0.0]]),
        values=torch.tensor([[0.5, 0.25], [1.0, 1.0]]),
        mask=ones,
        gamma=1.0,
        lam=1.0,
        last_value=torch.tensor([0.0, 5.0]),
    )

    assert [[0.5, 0.75], [4.0, 4.0]] == advantages.tolist()


def one_turn_gae(*, gamma: float, lam: float, last: float) -> tuple[list[float], list[float], list[bool]]:
    """Two turns of two and one tokens, paid 1 and 2, worth 1 and 1, then padding that must not count."""
    advantages, returns, first = turn_gae(
        rewards=row(0.0, 1.0, 2.0, 8.0),
        values=row(1.0, 6.0, 1.0, 8.0),
        turns=torch.tensor([[0, 0, 1, 0]]),
        mask=row(True, True, True, False),
        gamma=gamma,
        lam=lam,
        last_value=torch.tensor([last]),
    )
    return advantages[0].tolist(), returns[0].tolist(), first[0].tolist()


def test_all_tokens_of_a_turn_share_its_advantage_and_a_turn_is_one_step() -> None:
    """The numbers of `test_gae_discounts_by_gamma_and_lambda`, with turns for tokens."""
    advantages, returns, first = one_turn_gae(gamma=0.5, lam=0.5, last=4.0)

    assert [1.25, 1.25, 3.0, 0.0] == advantages
    assert [True, False, True, False] == first
    assert [2.25, 0.0, 4.0, 0.0] == returns


def test_turn_gae_bootstraps_behind_the_last_turn() -> None:
    """Undiscounted: 2 + 5 - 1 = 6 for the second turn, 1 + 2 + 5 - 1 = 7 for the first."""
    advantages, _, _ = one_turn_gae(gamma=1.0, lam=1.0, last=5.0)

    assert [7.0, 7.0, 6.0, 0.0] == advantages


def test_turn_gae_of_episodes_with_different_numbers_of_turns() -> None:
    """A turn that an episode never took costs it no step: its bootstrap is undiscounted by it."""
    advantages, _, _ = turn_gae(
        rewards=torch.tensor([[1.0, 2.0], [0.0, 3.0]]),
        values=torch.zeros(2, 2),
        turns=torch.tensor([[0, 1], [0, 0]]),
        mask=torch.ones(2, 2, dtype=torch.bool),
        gamma=0.5,
        lam=1.0,
        last_value=torch.tensor([0.0, 4.0]),
    )

    assert [[2.0, 2.0], [5.0, 5.0]] == advantages.tolist()


def test_turn_gae_works_in_double_precision() -> None:
    """The precision is that of what comes in."""
    double = torch.zeros(1, 1, dtype=torch.float64)
    advantages, _, _ = turn_gae(
        rewards=double + 0.1,
        values=double,
        turns=torch.zeros(1, 1, dtype=torch.long),
        mask=row(True),
        gamma=1.0,
        lam=1.0,
        last_value=double[:, 0],
    )

    assert [[0.1]] == advantages.tolist()


def test_group_advantages_compare_within_a_group() -> None:
    """Two groups: (0, 2) has mean 1 and deviation 1; (5, 5) has nothing to tell."""
    advantages = group_advantages(torch.tensor([0.0, 5.0, 2.0, 5.0]), torch.tensor([0, 1, 0, 1]), epsilon=0.0)

    assert [-1.0, 0.0, 1.0, 0.0] == advantages.tolist()


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 1 / 3, 1e6 + 0.1])
@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_group_that_is_all_alike_gets_exactly_zero(value: float, count: int, dtype: torch.dtype) -> None:
    """The mean of equal numbers may round away from them; that is no difference between episodes."""
    returns = torch.full((count,), value, dtype=dtype)

    assert [0.0] * count == group_advantages(returns, torch.zeros(count, dtype=torch.long)).tolist()


def test_leave_one_out_compares_with_the_others() -> None:
    """(1, 4, 7): 1 - (4 + 7)/2, 4 - (1 + 7)/2, 7 - (1 + 4)/2; (5, 5) and the one that is alone have nothing to tell."""
    returns = torch.tensor([1.0, 5.0, 4.0, 5.0, 7.0, 9.0])
    groups = torch.tensor([0, 1, 0, 1, 0, 2])

    assert [-4.5, 0.0, 0.0, 0.0, 4.5, 0.0] == leave_one_out(returns, groups).tolist()


@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3, 1e6 + 0.1])
def test_leave_one_out_makes_no_difference_out_of_rounding(value: float) -> None:
    """The mean of two of three equal numbers may not be the third."""
    returns = torch.full((7,), value)

    assert [0.0] * 7 == leave_one_out(returns, torch.zeros(7, dtype=torch.long)).tolist()


def test_scale_divides_by_the_root_mean_square() -> None:
    """(3, 0, -3, 0): square root of 18/4; zeros stay, and nothing is shifted."""
    result = scale(torch.tensor([3.0, 0.0, -3.0, 0.0]), epsilon=0.0)

    assert result.tolist() == pytest.approx([2**0.5, 0.0, -(2**0.5), 0.0])
    assert [0.0, 0.0] == scale(torch.zeros(2)).tolist()


def test_pairs_are_the_best_over_the_worst() -> None:
    """Group 0 is ranked 3 (at 4), 2 (at 0), 1 (at 2): 3 over 1, and the middle one is in no pair."""
    returns = torch.tensor([2.0, 1.0, 1.0, 0.0, 3.0, 0.0])
    groups = torch.tensor([0, 1, 0, 1, 0, 2])

    assert [(4, 2), (1, 3)] == ranked_pairs(returns, groups)


def test_pairs_of_successes_and_failures() -> None:
    """Three successes and two failures make two pairs, four alike none; nobody is in two."""
    returns = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
    pairs = ranked_pairs(returns, torch.zeros(5, dtype=torch.long))

    assert [(1.0, 0.0), (1.0, 0.0)] == [(returns[a].item(), returns[b].item()) for a, b in pairs]
    assert 4 == len({index for pair in pairs for index in pair})
    assert [] == ranked_pairs(torch.ones(4), torch.zeros(4, dtype=torch.long))


def test_standardise_shifts_to_mean_zero_and_deviation_one() -> None:
    """(1, 3) becomes (-1, 1); what the mask leaves out neither counts nor changes from 0."""
    result = standardise(row(1.0, 3.0, 100.0), row(True, True, False), epsilon=0.0)

    assert [-1.0, 1.0, 0.0] == result[0].tolist()


def test_standardise_within_groups() -> None:
    """Each group has mean 0 and deviation 1 of its own: (1, 3) and (10, 30) look the same."""
    result = standardise(
        torch.tensor([[1.0, 10.0], [3.0, 30.0]]),
        torch.ones(2, 2, dtype=torch.bool),
        groups=torch.tensor([[0, 1], [0, 1]]),
        epsilon=0.0,
    )

    assert [[-1.0, -1.0], [1.0, 1.0]] == result.tolist()


def test_standardise_has_mean_zero_and_deviation_one_on_many_numbers() -> None:
    """The trap of a `whiten(shift_mean=True)` that adds the mean back."""
    values = torch.arange(12.0).reshape(3, 4).pow(2)
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2] = False
    result = standardise(values, mask)[mask]

    assert result.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert result.pow(2).mean().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3, 1e6 + 0.1])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_standardise_makes_no_difference_out_of_rounding(value: float, count: int) -> None:
    """Equal advantages (one token among them) become 0, not rounding errors blown up to size 1."""
    result = standardise(torch.full((1, count), value), torch.ones(1, count, dtype=torch.bool))

    assert [[0.0] * count] == result.tolist()


def test_standardise_of_nothing_is_nothing() -> None:
    """An empty mask is no division by zero."""
    assert [[0.0, 0.0]] == standardise(row(1.0, 2.0), row(False, False)).tolist()


def test_turn_returns_are_what_is_paid_from_a_turn_on() -> None:
    """Turns of 2, 1 and 1 tokens paid 1, 0 and 4: 1 + 0.5 * 2 = 2, 0 + 0.5 * 4 = 2, 4; and an episode of one turn."""
    returns, exists = turn_returns(
        rewards=torch.tensor([[0.0, 1.0, 0.0, 4.0], [3.0, 9.0, 9.0, 9.0]]),
        turns=torch.tensor([[0, 0, 1, 2], [0, 0, 0, 0]]),
        mask=torch.tensor([[True] * 4, [True, False, False, False]]),
        gamma=0.5,
    )

    assert [[2.0, 2.0, 4.0], [3.0, 0.0, 0.0]] == returns.tolist()
    assert [[True, True, True], [True, False, False]] == exists.tolist()
