"""The verdict codec: canonical when written, tolerant when read, linear on junk."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmat_env.agents.parsing import format_verdict, parse_verdict
from cmat_env.types import Verdict

READINGS = [
    ("Verdict: approve", True, "", 1.0),
    ("Verdict: revise", False, "", 1.0),
    ("Verdict: revise. wrong column", False, "wrong column", 1.0),
    ("Verdict: revise, confidence 0.8. wrong column", False, "wrong column", 0.8),
    ("verdict - REVISE (confidence 80%) it counts all rows", False, "it counts all rows", 0.8),
    ("Verdict: approve. looks right, confidence: .25", True, "looks right,", 0.25),
    ("**Verdict:** approve", True, "", 1.0),
    ("## Verdict\n\n`revise` - no WHERE", False, "no WHERE", 1.0),
    ("My verdict is: approved", True, "", 1.0),
    ("Decision: reject because it drops a table", False, "because it drops a table", 1.0),
    ("yes", True, "", 1.0),
    ("No, the year is missing", False, "the year is missing", 1.0),
    ("no problems", True, "problems", 1.0),
    ("OK", True, "", 1.0),
    ("LGTM!", True, "", 1.0),
    ("I don't approve", False, "", 1.0),
    ("That\u2019s wrong", False, "", 1.0),
    ("do not revise", True, "", 1.0),
    ("It is not correct.", False, "", 1.0),
    ("The table has four columns.\nApprove", True, "", 1.0),
    (
        "It asks for a name. Verdict: approve? No.\nVerdict: revise. it selects the year",
        False,
        "it selects the year",
        1.0,
    ),
    ("Verdict: revise. Your verdict: approve was hasty", False, "Your verdict: approve was hasty", 1.0),
    ("Verdict: maybe. Verdict: approve", True, "", 1.0),
    ('{"verdict": "revise", "reason": "wrong table", "confidence": 0.6}', False, "wrong table", 0.6),
    ('```json\n{"approve": true}\n```', True, "", 1.0),
    ('{"approved": false, "feedback": "no"}', False, "no", 1.0),
    ('{"verdict": "approve", "confidence": 7}', True, "", 1.0),
]


@pytest.mark.parametrize(("text", "approve", "reason", "confidence"), READINGS)
def test_reads_what_a_checker_may_mean(text: str, approve: bool, reason: str, confidence: float) -> None:
    """Labels, bare words, negations, Markdown and JSON are understood."""
    assert Verdict(approve, reason, confidence) == parse_verdict(text)


@pytest.mark.parametrize(
    "text", ["", "   \n", "SELECT 1", "hmm, the table", "{", '{"verdict": 3}', "verdict", "\ud800"]
)
def test_what_is_no_verdict_counts_as_an_approval_and_says_so(text: str) -> None:
    """An unreadable checker never stops the team, and the log can tell."""
    assert Verdict(approve=True, parsed=False) == parse_verdict(text)


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Verdict(approve=True), "Verdict: approve"),
        (Verdict(approve=False, reason="wrong column"), "Verdict: revise. wrong column"),
        (Verdict(approve=False, reason="a, b", confidence=0.8), "Verdict: revise, confidence 0.8. a, b"),
        (
            Verdict(approve=True, reason="my confidence is 0.5"),
            "Verdict: approve, confidence 1.0. my confidence is 0.5",
        ),
    ],
)
def test_writes_the_canonical_form(verdict: Verdict, text: str) -> None:
    """What demonstrations teach is this text, letter by letter."""
    assert text == format_verdict(verdict)
    assert verdict == parse_verdict(text)


@given(st.booleans(), st.text(max_size=60), st.floats(0.0, 1.0, allow_nan=False))
def test_what_is_written_is_read_back(approve: bool, reason: str, confidence: float) -> None:
    """Whatever the reason says, the verdict and its confidence come back, and the text is stable from then on."""
    first = parse_verdict(format_verdict(Verdict(approve, reason, confidence)))

    assert (approve, confidence, True) == (first.approve, first.confidence, first.parsed)
    assert first == parse_verdict(format_verdict(first))


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    """A model's words are data."""
    verdict = parse_verdict(text)

    assert 0.0 <= verdict.confidence <= 1.0


JUNK = (
    "a", " ", "\n", "verdict ", "verdict: ", "verdict is ", "x verdict: no ", "no confidence ", "confidence 1", "not ",
    "{", '{"a":', "[", "(", "no (", "no ,:", "1", "\u2019", "🦊",
)  # fmt: skip


@pytest.mark.parametrize("piece", JUNK)
def test_a_megabyte_of_junk_takes_linear_time(piece: str) -> None:
    """Ten times the junk takes about ten times as long, not a hundred times."""
    spent = []
    for size in (100_000, 1_000_000):
        text = piece * (size // len(piece))
        begin = time.process_time()
        parse_verdict(text)
        spent.append(time.process_time() - begin)

    assert spent[1] < 40 * spent[0] + 0.5
