"""Who is paid what: literal numbers of the default rule, and the ledger's arithmetic."""

from __future__ import annotations

import copy
import math

import pytest

from cmat_env.errors import ConfigError, ContractError
from cmat_env.ledger import Ledger, RewardRule
from cmat_env.types import Judgement, Payment, Verdict


@pytest.mark.parametrize(
    ("approve", "confidence", "good", "score"),
    [
        (True, 1.0, True, 1.0),
        (True, 1.0, False, -1.0),
        (False, 1.0, False, 1.0),
        (False, 1.0, True, -1.0),
        (True, 0.5, True, 0.5),
        (False, 0.75, False, 0.875),
    ],
)
def test_a_verdict_is_paid_by_the_brier_score(approve: bool, confidence: float, good: bool, score: float) -> None:
    """1 - 2 (p - y)^2, times the weight."""
    verdict, judgement = Verdict(approve, confidence=confidence), Judgement(good)

    assert score == RewardRule().of_verdict(verdict, judgement)
    assert 2 * score == RewardRule(verdict=2.0).of_verdict(verdict, judgement)


def test_honest_confidence_pays_best() -> None:
    """The score is proper: with a belief of 0.7 no confidence is paid more, on average, than 0.7."""
    rule = RewardRule()

    def mean(confidence: float) -> float:
        verdict = Verdict(approve=True, confidence=confidence)
        return 0.7 * rule.of_verdict(verdict, Judgement(good=True)) + 0.3 * rule.of_verdict(
            verdict, Judgement(good=False)
        )

    assert 0.7 == max((step / 20 for step in range(21)), key=mean)


def test_the_team_shares_the_return_at_the_end() -> None:
    """By default the checker gets 0.7 of it and the user all of it."""
    assert (("checker", 1.4), ("user", 2.0)) == RewardRule().at_end(2.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", True, None])
def test_a_weight_must_be_a_finite_number(value: float) -> None:
    """A wrong weight is named."""
    with pytest.raises(ConfigError, match=r"RewardRule\.team=.* finite"):
        RewardRule(team=value)


def test_the_ledger_adds_up() -> None:
    """Totals are by role or of all, and `since` gives the new entries."""
    ledger = Ledger()
    ledger.pay(Payment("assistant", 1.0, "task", 0))
    ledger.pay(Payment("checker", 0.5, "verdict", 0))
    ledger.pay(Payment("checker", 0.25, "team", 1))

    assert (1.75, 1.0, 0.75, 0.0) == (
        ledger.total(),
        *(ledger.total(role) for role in ("assistant", "checker", "user")),
    )
    assert (Payment("checker", 0.25, "team", 1),) == ledger.since(2)
    assert 3 == len(ledger)


def test_a_payment_that_is_not_finite_is_refused() -> None:
    """A task that pays NaN is found out at once."""
    with pytest.raises(ContractError, match="finite"):
        Ledger().pay(Payment("assistant", math.nan, "task", 0))


def test_a_copy_is_equal_and_separate() -> None:
    """Paying into a copy leaves the original alone."""
    ledger = Ledger([Payment("assistant", 1.0, "task", 0)])
    twin = copy.deepcopy(ledger)

    assert ledger == twin
    twin.pay(Payment("assistant", 1.0, "task", 1))
    assert ledger != twin
    assert repr(ledger) == "Ledger(1 entries, 1 in all)"


def test_a_verdict_on_a_bad_proposal_can_count_more() -> None:
    """The weight falls on bad proposals alone, and approving everything earns nothing at that ratio of good to bad."""
    rule, approve = RewardRule(bad=3.0), Verdict(approve=True)

    good, bad = (rule.of_verdict(approve, Judgement(good=good)) for good in (True, False))

    assert (1.0, -3.0, 0.0) == (good, bad, 3 * good + bad)


def test_what_is_no_verdict_earns_the_worst_score() -> None:
    """An unreadable text passes as an approval, but is not paid as one, whatever the proposal is."""
    unread = Verdict(approve=True, parsed=False)

    assert [-1.0, -1.0] == [RewardRule().of_verdict(unread, Judgement(good=good)) for good in (True, False)]


def test_a_mix_pays_alpha_of_the_team_and_the_rest_of_the_verdict() -> None:
    """One number says how much of the checker's pay is the team's."""
    rule = RewardRule.mixed(0.75, revision=0.5)

    assert (0.25, 0.75, 0.5) == (rule.verdict, rule.team, rule.revision)
    with pytest.raises(ConfigError, match="alpha"):
        RewardRule.mixed(1.5)


@pytest.mark.parametrize(("before", "after", "gain"), [(False, True, 1.0), (True, False, -1.0), (True, True, 0.0)])
def test_a_revision_is_paid_by_what_it_changed(*, before: bool, after: bool, gain: float) -> None:
    """To better pays, to worse costs, a change that changes nothing is worth nothing."""
    rule = RewardRule(revision=0.5, reviser=0.25)

    assert (("checker", 0.5 * gain), ("assistant", 0.25 * gain)) == rule.of_revision(
        Judgement(before), Judgement(after)
    )
