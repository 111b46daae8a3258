"""The adaptive weights: of the KL penalty, and of the roles."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cmat_env.tuning.adaptation import Adaptation
from cmat_env.tuning.adaptive import AdaptiveKL, RoleWeights, own_pay
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.evaluations import Evaluations, gains
from cmat_env.tuning.folder import RunFolder
from cmat_env.tuning.settings import AdaptiveSettings
from cmat_env.tuning.team_settings import TeamSettings
from cmat_env.types import Payment
from tests.cmat_env.tuning.conftest import episode


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


def test_who_contributes_more_is_updated_more() -> None:
    """Contributions 0.75 and 0.25: 0.25 above and below their mean, so exp(0.5) and exp(-0.5) for a gain of 2."""
    weights = RoleWeights(gain=2.0)
    weights.saw({"assistant": 0.75, "checker": 0.25})

    assert {"assistant": math.exp(0.5), "checker": math.exp(-0.5)} == pytest.approx(
        weights.of(("assistant", "checker"))
    )


def test_a_gain_below_nothing_favours_who_lags_behind() -> None:
    """The same factors, changed about."""
    weights = RoleWeights(gain=-2.0)
    weights.saw({"assistant": 0.75, "checker": 0.25})

    assert math.exp(-0.5) == pytest.approx(weights.of(("assistant", "checker"))["assistant"])


def test_factors_have_a_limit() -> None:
    """However far apart they are."""
    weights = RoleWeights(gain=100.0, limit=4.0)
    weights.saw({"assistant": 1.0, "checker": -1.0})

    assert {"assistant": 4.0, "checker": 0.25} == pytest.approx(weights.of(("assistant", "checker")))


@pytest.mark.parametrize("measured", [{}, {"assistant": 1.0}])
def test_nothing_is_changed_before_every_learner_was_measured(measured: dict[str, float]) -> None:
    """A factor compares."""
    weights = RoleWeights(gain=2.0)
    weights.saw(measured)

    assert {"assistant": 1.0, "checker": 1.0} == weights.of(("assistant", "checker"))


def test_contributions_are_running_means() -> None:
    """0.75 * 1 + 0.25 * 0; the first measurement stands for itself."""
    weights = RoleWeights(gain=1.0, memory=0.75)
    weights.saw({"checker": 1.0})
    weights.saw({"checker": 0.0})

    assert {"checker": 0.75} == weights.contributions


def test_own_pay_leaves_out_shares_of_the_team() -> None:
    """Two episodes: the assistant got 1 and 0 from the task, the checker 1 - 0.5 for verdicts and 0.7 of the team's."""
    paid = (
        Payment("assistant", 1.0, "task", 1),
        Payment("checker", 1.0, "verdict", 0),
        Payment("checker", -0.5, "verdict", 1),
        Payment("checker", 0.7, "team", 1),
    )
    episodes = [episode(success=True, payments=paid), episode(success=False)]

    assert {"assistant": 0.5, "checker": 0.25} == own_pay(episodes, ("assistant", "checker"))
    assert {} == own_pay([], ("assistant",))


def test_gains_are_paired_with_and_without() -> None:
    """Without its assistant a team never succeeds."""
    found = {"team, greedy": 0.75, "without checker, greedy": 0.5}

    assert {"assistant": 0.75, "checker": 0.25} == gains(found)
    assert {"assistant": 0.75} == gains({"team, greedy": 0.75})
    assert {} == gains({"team, greedy": None, "without checker, greedy": 0.5})
    assert {"assistant": 0.75, "user": -0.25} == gains({"team, greedy": 0.75, "scripted user, greedy": 1.0})


@pytest.mark.parametrize(("gain", "played"), [(1.0, ["model", "model", "ScriptedUser"]), (0.0, ["model", "model"])])
def test_a_user_that_learns_is_measured_against_the_scripted_one(
    gain: float, played: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A third evaluation on the same tasks, so that every learner has a contribution and factors differ from 1."""
    rates = iter((0.75, 0.5, 0.25))
    users: list[str] = []

    def evaluated(_: Any, policies: dict[str, Any], **__: Any) -> Any:
        users.append("model" if policies["user"] is policies["assistant"] else type(policies["user"]).__name__)
        return SimpleNamespace(success_rate=next(rates))

    monkeypatch.setattr("cmat_env.tuning.evaluations.evaluate", evaluated)
    settings = RunSettings(
        team=TeamSettings(learners=("user", "assistant", "checker"), user="user:paraphrase"),
        adaptive=AdaptiveSettings(role_gain=gain, role_source="paired"),
    )
    model: Any = SimpleNamespace()
    model.with_sampling = lambda _: model
    found = Evaluations(settings, RunFolder(tmp_path), lambda *_: None).now(model)
    adaptation = Adaptation(settings)
    adaptation.saw([], found)
    adaptation.close()

    assert played == users
    mean = (0.75 + 0.25 + 0.5) / 3
    wanted = {"user": math.exp(0.5 - mean), "assistant": math.exp(0.75 - mean), "checker": math.exp(0.25 - mean)}
    assert adaptation.factors() == pytest.approx(wanted if gain else dict.fromkeys(wanted, 1.0))
