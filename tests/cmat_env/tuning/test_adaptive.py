"""The adaptive weight of the KL penalty."""

from __future__ import annotations

import pytest

from cmat_env.tuning.adaptive import AdaptiveKL


@pytest.mark.parametrize(
    ("kl", "beta"),
    [
        (0.10, 1.0),  # on target: stays
        (0.11, 1.05),  # a tenth too high: half of a tenth more
        (0.09, 0.95),
        (9.00, 1.1),  # the error is clipped to 20 %
        (0.00, 0.9),
        (-5.0, 0.9),  # an estimate from samples may be negative
    ],
)
def test_beta_moves_by_a_share_of_the_clipped_error(kl: float, beta: float) -> None:
    """Ziegler et al. 2019, section 2.2, with gain 0.5 and target 0.1."""
    controller = AdaptiveKL(beta=1.0, target=0.1, gain=0.5)
    controller.update(kl)

    assert controller.beta == pytest.approx(beta)


def test_no_gain_keeps_beta() -> None:
    """A fixed penalty is a setting of the same object."""
    controller = AdaptiveKL(beta=0.3, target=0.1, gain=0.0)
    controller.update(100.0)

    assert 0.3 == controller.beta


def test_updates_compound() -> None:
    """Twice far above the target: 1.1 * 1.1."""
    controller = AdaptiveKL(beta=1.0, target=0.1, gain=0.5)
    controller.update(1.0)
    controller.update(1.0)

    assert controller.beta == pytest.approx(1.21)
