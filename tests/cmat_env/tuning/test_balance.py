"""Balanced verdicts: both kinds of proposal weigh the same, and nothing else is touched."""

from __future__ import annotations

from cmat_env.tuning.balance import balanced, strength_at
from cmat_env.types import Generation, Judgement, Payment, Step, Trajectory, Verdict


def episode(*verdicts: tuple[bool, float]) -> Trajectory:
    """An episode whose checker judged proposals that were good or bad, and was paid these amounts for it."""
    steps = tuple(
        Step(
            turn, "checker_0", "checker", turn, {}, Generation("Verdict: approve"),
            verdict=Verdict(approve=True), judgement=Judgement(good),
        )
        for turn, (good, _) in enumerate(verdicts)
    )  # fmt: skip
    paid = tuple(Payment("checker", amount, "verdict", turn) for turn, (_, amount) in enumerate(verdicts))
    others = (Payment("checker", 0.7, "team", 0), Payment("assistant", 1.0, "task", 0))
    return Trajectory(
        "env", "task", "type", 0, steps, {}, (*paid, *others), success=True, score=1.0, outcome="correct",
        terminated=True, truncated=False,
    )  # fmt: skip


def amounts(trajectories: list[Trajectory], reason: str) -> list[float]:
    """What was paid for this reason, in order."""
    return [p.amount for trajectory in trajectories for p in trajectory.payments if p.reason == reason]


def test_a_constant_verdict_earns_nothing() -> None:
    """Three good, one bad, all approved: 3 * 4/(2*3) - 4/(2*1) = 2 - 2 = 0, over all episodes together."""
    two = balanced([episode((True, 1.0), (True, 1.0)), episode((True, 1.0), (False, -1.0))])

    assert [4 / 6, 4 / 6, 4 / 6, -2.0] == amounts(two, "verdict")


def test_a_rare_kind_is_scaled_four_times_at_most() -> None:
    """One bad proposal in ten would count five times; a batch must not hang on one verdict."""
    ten = balanced([episode(*[(True, 1.0)] * 9, (False, 1.0))])

    assert 4.0 == amounts(ten, "verdict")[-1]


def test_other_payments_stay() -> None:
    """Team and task rewards are as the ledger has them."""
    one = balanced([episode((True, 1.0), (False, 1.0))])

    assert [0.7] == amounts(one, "team")
    assert [1.0] == amounts(one, "task")


def test_one_kind_alone_is_halved_and_no_verdict_is_no_error() -> None:
    """Without a bad proposal the good ones keep their half: 2 / (2 * 2)."""
    assert [0.5, 0.5] == amounts(balanced([episode((True, 1.0), (True, 1.0))]), "verdict")
    assert [] == amounts(balanced([episode()]), "verdict")


def test_balance_fades() -> None:
    """At half strength a weight of 2 is its root; at none each verdict counts what it is paid."""
    three_to_one = [episode((True, 1.0), (True, 1.0), (True, 1.0), (False, 1.0))]

    assert 2**0.5 == amounts(balanced(three_to_one, strength=0.5), "verdict")[-1]
    assert [1.0] * 4 == amounts(balanced(three_to_one, strength=0.0), "verdict")
    assert [1.0, 0.75, 0.0, 0.0] == [strength_at(iteration, 4) for iteration in (0, 1, 4, 9)]
    assert 0.0 == strength_at(0, 0)
