"""The verdict codec: canonical when written, tolerant when read, linear on junk."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmat_env.agents.parsing import format_verdict, parse_farewell, parse_question, parse_verdict
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
    ("confidence 90% approve", True, "", 0.9),
    ("Confidence: 0.7\nVerdict: revise. x", False, "x", 0.7),
]


@pytest.mark.parametrize(("text", "approve", "reason", "confidence"), READINGS)
def test_reads_what_a_checker_may_mean(text: str, approve: bool, reason: str, confidence: float) -> None:
    """Labels, bare words, negations, Markdown and JSON are understood."""
    assert Verdict(approve, reason, confidence) == parse_verdict(text)


SMALL_MODELS = [
    ("<verdict>revise</verdict> wrong column", False, "wrong column"),
    ("<verdict> APPROVE </verdict>", True, ""),
    ("<answer>Approve</answer>", True, ""),
    ("[REVISE] the table is called boats", False, "the table is called boats"),
    ("[[approve]]", True, ""),
    ("\\boxed{approve}", True, ""),
    ("Final verdict: **REVISE** \u2013 add a WHERE", False, "add a WHERE"),
    ("Final answer: reject", False, ""),
    ("Answer: yes", True, ""),
    ("Status: Incorrect. Error 1054: unknown column", False, "Error 1054: unknown column"),
    ("Status: completed\nVerdict: correct", True, ""),
    ("Judgment: incorrect\nReason: it counts all rows", False, "it counts all rows"),
    ("Judgement - correct", True, ""),
    ("Assessment: The proposal is not correct because it updates every row.", False, "because it updates every row."),
    ("Conclusion: approve", True, ""),
    ("Result: pass", True, ""),
    ("Evaluation: fail, no WHERE clause", False, "no WHERE clause"),
    ("Verdict: **Approve**\n\n**Reason:** it is fine", True, "it is fine"),
    ("Verdict: revise\nReason: the column is called year", False, "the column is called year"),
    ("Verdict: revise.\nFeedback: use COUNT(*)", False, "use COUNT(*)"),
    ("Reason: the column is wrong.\nVerdict: revise", False, "the column is wrong."),
    ("✅ Approve", True, ""),
    ("✅", True, ""),
    ("❌ wrong table", False, "table"),
    ("✔ looks fine", True, ""),
    ("👍", True, ""),
    ("👎 no", False, ""),
    ("The SQL is correct.", True, ""),
    ("The SQL statement is incorrect because it sums alt.", False, "because it sums alt."),
    ("The query looks good.", True, ""),
    ("The action seems fine to me", True, "to me"),
    ("This SQL query will work, so I approve.", True, ""),
    ("Looks good to me!", True, "to me!"),
    ("This is not right: it needs a WHERE", False, "it needs a WHERE"),
    ("I would approve this.", True, "this."),
    ("I cannot approve this action", False, "this action"),
    ("I recommend revising the query: it misses LIMIT 1", False, ""),
    ("Needs revision: wrong table", False, "wrong table"),
    ("The assistant should revise the query.", False, "the query."),
    ("Please revise. The value is 7.", False, "The value is 7."),
    ("Approved ✓", True, ""),
    ("Not approved. Use MIN", False, "Use MIN"),
    ("unapproved: x", False, "x"),
    ("disapprove", False, ""),
    ("Sure! Here is my verdict:\n\nVerdict: revise. no", False, "no"),
    ('Sure, here it is:\n```json\n{"verdict": "revise", "reason": "wrong table"}\n```', False, "wrong table"),
    ("{'verdict': 'revise', 'reason': 'wrong table'}", False, "wrong table"),
    ('{"Verdict": "Approve"}', True, ""),
    ('{"is_correct": false, "explanation": "it sums alt"}', False, "it sums alt"),
    ('{"decision": "REVISE", "reasons": ["a", "b"]}', False, "a; b"),
    ('{"approve": "no", "comment": "x"}', False, "x"),
    ('{"approve": 0}', False, ""),
    ('{"verdict": "revise", "reason": "cut off in the mid', False, "cut off in the mid"),
    ('{"valid": true}', True, ""),
    ("verdict=approve", True, ""),
    ("VERDICT : REVISE ; use MIN", False, "use MIN"),
    ("Verdict:\n- revise\n- use MIN", False, "use MIN"),
    ("1. Verdict: revise. use MIN", False, "use MIN"),
    ("| Verdict | revise |", False, ""),
    ("Checker: Verdict: approve", True, ""),
    ("assistant: approve", True, ""),
    ("Vedict: revise. x", False, "x"),
    ("verdict approve", True, ""),
    ("There is an error in the SQL: no such column", False, ""),
    ("There are no errors. ", True, ""),
    ("No issues found.", True, ""),
    ("No.", False, ""),
    ("YES.", True, ""),
    ("true", True, ""),
    ("False", False, ""),
    ("N", False, ""),
    ("Y", True, ""),
    ("y", True, ""),
    ("Verdict: do not execute. it drops a table", False, "it drops a table"),
    ("Verdict: don't approve", False, ""),
    ("Verdict: needs revision - no WHERE", False, "no WHERE"),
    ("Verdict: no revision needed", True, ""),
    ("No revision is needed.", True, ""),
    ("No need to revise.", True, ""),
    ("It does not need revision", True, ""),
    ("Nothing to revise", True, ""),
    ("Revision needed: yes. use MIN", False, "use MIN"),
    ("Revise: no", True, ""),
    ("Approve: no. use MIN", False, "use MIN"),
    ("approve = false", False, ""),
    ("Approved: yes", True, ""),
    ("The proposal should be executed.", True, ""),
    ("The proposal should not be executed: it drops a table", False, "it drops a table"),
    ("Execute it.", True, ""),
    ("Verdict: approve (90%)", True, ""),
    ("Verdict: revise (confidence: high). x", False, ""),
    ("Confidence: 0.7\nVerdict: revise. x", False, "x"),
    ("Verdict\uff1arevise\u3002列名错误", False, "列名错误"),
    ("The proposed SQL: SELECT 1\nis correct", True, ""),
    ("Approve? No.", False, ""),
    ("Is the proposal correct? No. It sums the wrong column.", False, "It sums the wrong column."),
    ("Is this SQL right? No\nReason: wrong column", False, "wrong column"),
    ("Should we execute? No", False, ""),
    ("Correct? No, it sums...", False, "it sums..."),
    ("is it good? nope", False, ""),
    ("Does it solve the task? No.", False, ""),
    ("Does it answer what was asked? No, it counts.", False, "it counts."),
    ("Is it correct?\n**No**", False, ""),
    ("Is the SQL valid? Yes. Does it solve the task? No. It counts.", False, "It counts."),
    ("1. Is the SQL valid? Yes\n2. Does it solve the task? Yes", True, ""),
    ("Is it correct? It is wrong.", False, ""),
    ("Are there any errors? Yes: no such column", False, "no such column"),
    ("Are there any errors? No.", True, ""),
    ("Is it correct? No issues.", True, ""),
    ("Revise? Yes. use MIN", False, "use MIN"),
    ("Revise? No.", True, ""),
    ("Needs revision? No.", True, ""),
    ("Is it correct? Yes.", True, ""),
    ("No why would it sum?", False, ""),
    ("Is there a table boats? Yes.\nRevise. It is called ships", False, "It is called ships"),
    ("Verdict: correct? No. It counts.", False, "It counts."),
    ("Good: 0", False, ""),
    ("Correct: 1", True, ""),
    ("Approve: 0.9", True, ""),
    ("I would approve this if the column was right, but it is not.", False, ""),
    ("Approved once the WHERE is there", False, "once the WHERE is there"),
    ("It is correct because it checks if the year is there", True, ""),
    ("Approved. However the WHERE is missing, please revise.", False, "the WHERE is missing, please revise."),
    ("Looks good, but the column is wrong.", False, "the column is wrong."),
    ("Looks good, but it is not right.", False, ""),
    ("Looks good. However, there is no index, and no revision is needed.", True, ""),
    ("Verdict: approve. It is slow, but do not reject it; wrong is another matter", True, ""),
    ("Approval denied.", False, ""),
    ("Approval granted.", True, ""),
    ("It does not solve the task", False, ""),
]
"""What small models write for a verdict, or may: text, approve, and words that the reason holds."""


@pytest.mark.parametrize(("text", "approve", "reason"), SMALL_MODELS)
def test_reads_the_formats_of_small_models(text: str, approve: bool, reason: str) -> None:
    """Tags, boxes, ticks, other labels, statuses, broken JSON, sentences, and questions with an answer are verdicts."""
    verdict = parse_verdict(text)

    assert (approve, True) == (verdict.approve, verdict.parsed)
    assert reason in verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "SELECT 1",
        "hmm, the table",
        "Error 1054",
        "Status: completed",
        "Is the proposal correct? It sums the column.",
        "Is there a table boats? Yes.",
        "confidence 90%",
        "{",
        '{"verdict": 3}',
        "verdict",
        "\ud800",
    ],
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
    "status: ", "reason: ",
    "verdict is it? yes ", "is it? yes ", "no? ", "ok but ", "but ", "ok if ", "?", "</a", "1. ", "'verdict': '", "✅",
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


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Ask: which table?", "which table?"),
        ("I am not sure.\n**Ask the user:** which table?", "which table?"),
        ("Action: Ask: which one", "which one"),
        ("ask user:\nwhich table?", "which table?"),
        ('{"name": "ask_user", "arguments": {"question": "which \\"one\\"?"}}', 'which "one"?'),
        ("Ask:", None),
        ("Task: which table?", None),
        ("SELECT ask FROM t", None),
        ("", None),
    ],
)
def test_reads_a_question_to_the_user(text: str, question: str | None) -> None:
    """A line or a tool call that asks, and nothing else."""
    assert question == parse_question(text)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("End of dialogue.", True),
        ("Thank you!\nEnd of the conversation", True),
        ("###STOP###", True),
        ("Goodbye!", True),
        ("That\u2019s all.", True),
        ("Next: end of dialogue is a column", False),
        ("End of dialogue.\nNext: count all cars", False),
        ("", False),
    ],
)
def test_reads_a_farewell(text: str, *, ends: bool) -> None:
    """The last line alone ends a dialogue, and only if it says nothing else."""
    assert ends == parse_farewell(text)
