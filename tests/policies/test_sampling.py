"""Sampling: what is cut off, what is drawn, and that a draw depends on nothing but its own key."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cmat_env.errors import ConfigError
from cmat_env.policies.sampling import Sampling, choose, log_distribution, stream, uniforms

PROBABILITIES = (0.5, 0.3, 0.15, 0.05)


def logits(*probabilities: float) -> torch.Tensor:
    """(1, V) logits of a distribution; their sum is arbitrary."""
    return torch.tensor([[math.log(p) + 3.0 for p in probabilities]], dtype=torch.float64)


def distribution(sampling: Sampling, chosen: int | None = None) -> list[float]:
    """What becomes of `PROBABILITIES`."""
    forced = None if chosen is None else torch.tensor([chosen])
    return [round(p, 9) for p in log_distribution(logits(*PROBABILITIES), sampling, forced)[0].exp().tolist()]


def test_plain_sampling_is_the_models_own_distribution() -> None:
    """Temperature 1 and no cut-off change nothing."""
    assert [0.5, 0.3, 0.15, 0.05] == distribution(Sampling())


def test_temperature_divides_the_logits() -> None:
    """At temperature 0.5 probabilities are squared: 0.25, 0.09, 0.0225, 0.0025 of 0.365."""
    assert [p * p / 0.365 for p in PROBABILITIES] == pytest.approx(distribution(Sampling(temperature=0.5)))


def test_top_k_keeps_the_k_most_probable() -> None:
    """Two of four, 0.5 and 0.3 of 0.8."""
    assert [0.625, 0.375, 0.0, 0.0] == distribution(Sampling(top_k=2))


def test_top_k_beyond_the_vocabulary_keeps_all() -> None:
    """k = 9 of 4."""
    assert [0.5, 0.3, 0.15, 0.05] == distribution(Sampling(top_k=9))


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.4, 1), (0.5, 1), (0.6, 2), (0.81, 3), (0.96, 4), (1.0, 4), (1e-9, 1)],
)
def test_top_p_keeps_the_smallest_set_that_reaches_p(top_p: float, kept: int) -> None:
    """0.5, 0.8, 0.95, 1: the sums that one, two, three and four tokens reach."""
    assert kept == sum(p > 0 for p in distribution(Sampling(top_p=top_p)))


def test_top_p_counts_within_top_k() -> None:
    """As elsewhere in the field: of the best three (0.526, 0.316, 0.158) two reach 0.83, of all four they do not."""
    assert [0.625, 0.375, 0.0, 0.0] == distribution(Sampling(top_k=3, top_p=0.83))


def test_temperature_comes_before_the_cut_offs() -> None:
    """At temperature 0.5 the first token alone has 0.685 and reaches 0.6."""
    assert [1.0, 0.0, 0.0, 0.0] == distribution(Sampling(temperature=0.5, top_p=0.6))


def test_a_chosen_token_stays_in_the_distribution() -> None:
    """Cut to two, the fourth token is kept because it was sampled once: 0.5, 0.3 and 0.05 of 0.85."""
    assert [0.5 / 0.85, 0.3 / 0.85, 0.0, 0.05 / 0.85] == pytest.approx(distribution(Sampling(top_k=2), chosen=3))


def test_greedy_does_not_change_the_distribution() -> None:
    """A greedy token is reported with the probability that sampling would give it."""
    assert distribution(Sampling()) == distribution(Sampling(greedy=True))


def test_half_precision_is_computed_in_single() -> None:
    """A log-probability of a bfloat16 model is float32, and sums to 1 as such."""
    result = log_distribution(torch.zeros(1, 3, dtype=torch.bfloat16), Sampling())

    assert torch.float32 == result.dtype
    assert result.exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_choose_inverts_the_cumulative_distribution() -> None:
    """Tokens own [0, 0.5), [0.5, 0.8), [0.8, 0.95), [0.95, 1)."""
    draws = torch.tensor([0.0, 0.4999, 0.5001, 0.7999, 0.8001, 0.9499, 0.9501, 1 - 2.0**-53], dtype=torch.float64)
    rows = log_distribution(logits(*PROBABILITIES), Sampling()).expand(8, -1)

    assert [0, 0, 1, 1, 2, 2, 3, 3] == choose(rows, draws, greedy=False).tolist()


def test_choose_never_takes_a_token_that_is_cut_off() -> None:
    """Neither at 0 nor just below 1, wherever the zeros stand."""
    rows = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).log().expand(2, -1)
    draws = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)

    assert [1, 3] == choose(rows, draws, greedy=False).tolist()


def test_choose_has_the_frequencies_of_the_distribution() -> None:
    """20,000 draws: each frequency within four standard deviations."""
    count = 20_000
    keys = np.array([stream(0, index, "assistant", 0) for index in range(count)], dtype=np.uint64)
    tokens = choose(
        log_distribution(logits(*PROBABILITIES), Sampling()).expand(count, -1), uniforms(keys, 0), greedy=False
    )
    frequencies = (torch.bincount(tokens, minlength=4) / count).tolist()

    for frequency, p in zip(frequencies, PROBABILITIES, strict=True):
        assert frequency == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / count))


def test_greedy_takes_the_most_probable() -> None:
    """Whatever the random number is."""
    assert [0] == choose(logits(*PROBABILITIES), torch.tensor([0.99], dtype=torch.float64), greedy=True).tolist()


def test_uniforms_are_uniform_and_in_range() -> None:
    """Mean 1/2 and variance 1/12, within four standard errors, all in [0, 1)."""
    keys = np.array([stream(1, 2, "checker", turn) for turn in range(200)], dtype=np.uint64)
    draws = torch.cat([uniforms(keys, position) for position in range(50)])

    assert 0.0 <= draws.min().item() < draws.max().item() < 1.0
    assert draws.mean().item() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / 10_000))
    assert draws.var().item() == pytest.approx(1 / 12, rel=0.05)


def test_uniforms_depend_on_their_own_key_alone() -> None:
    """Alone, in a batch, in another order: the same number for the same key and position."""
    keys = np.array([stream(0, index, "assistant", 3) for index in range(5)], dtype=np.uint64)
    together = uniforms(keys, 7)

    assert [uniforms(keys[index : index + 1], 7).item() for index in range(5)] == together.tolist()
    assert together.flip(0).tolist() == uniforms(keys[::-1].copy(), 7).tolist()


def test_streams_differ_in_every_part() -> None:
    """Run seed, dialogue seed, role and turn each make another stream; large and negative seeds are seeds too."""
    base = (0, 0, "assistant", 0)
    others = [(1, 0, "assistant", 0), (0, 1, "assistant", 0), (0, 0, "checker", 0), (0, 0, "assistant", 1)]
    others += [(-1, 0, "assistant", 0), (0, 2**64 - 1, "assistant", 0), (0, 2**40, "assistant", 0)]

    assert len({stream(*parts) for parts in (base, *others)}) == 1 + len(others)


def test_neighbouring_positions_are_unrelated() -> None:
    """The correlation of one token's number with the next one's is within four standard errors of 0."""
    keys = np.array([stream(0, index, "assistant", 0) for index in range(4000)], dtype=np.uint64)
    pair = torch.stack([uniforms(keys, 0), uniforms(keys, 1)])

    assert abs(torch.corrcoef(pair)[0, 1].item()) < 4 / math.sqrt(4000)


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ({"temperature": 0.0}, "greedy"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
    ],
)
def test_impossible_settings_are_refused(setting: dict[str, float], word: str) -> None:
    """With the name of the setting, and what to do instead."""
    with pytest.raises(ConfigError, match=word):
        Sampling(**setting)  # type: ignore[arg-type]
