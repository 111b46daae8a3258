"""Action codecs: what a model's text asks for, in both of AgentBench's formats."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmat_env.envs.database.codec import (
    BAD_CALL,
    CODECS,
    NO_CALL,
    TOO_MANY,
    UNKNOWN_TOOL,
    Answer,
    Malformed,
    Move,
    Query,
)
from cmat_env.envs.tool_calls import MAX_CALLS

TEXT, TOOLS = CODECS["v0.2"], CODECS["tools"]
SQL_BLOCK = "```sql\nSELECT 1\n```"
CALL = '{"name": "execute_sql", "arguments": {"query": "SELECT 1"}}'
COMMIT = '{"name": "commit_final_answer", "arguments": {"answers": ["1"]}}'


def upstream(text: str) -> Move:
    """AgentBench v0.2's own patterns, as its task applies them."""
    action = re.search(r"Action: (.*?)\n", text)
    if action and action.group(1) == "Operation":
        block = re.search(r"```sql\n([\s\S]*?)\n```", text)
        return Query(block.group(1).strip().replace("\n", " ")) if block else Malformed()
    final = re.search(r"\nFinal Answer:(.*)", text)
    return Answer(final.group(1)) if final else Malformed()


@pytest.mark.parametrize(
    ("text", "move"),
    [
        (f"Action: Operation\n{SQL_BLOCK}", Query("SELECT 1")),
        (f"I think.\nAction: Operation\nso\n{SQL_BLOCK}\nand more", Query("SELECT 1")),
        ("Action: Operation\n```sql\n SELECT a\nFROM t \n```", Query("SELECT a FROM t")),
        (f"Action: Operation\n{SQL_BLOCK}\n```sql\nSELECT 2\n```", Query("SELECT 1")),
        (f"{SQL_BLOCK}\nAction: Operation\n", Query("SELECT 1")),
        ("Action: Operation\nSELECT 1", Malformed()),
        ("Action: Operation\n```sql\nSELECT 1```", Malformed()),
        ("Action: Operation\n```SQL\nSELECT 1\n```", Malformed()),
        (f"Action:Operation\n{SQL_BLOCK}", Malformed()),
        (f"Action: Operation \n{SQL_BLOCK}", Malformed()),
        ('Action: Answer\nFinal Answer: ["a"]', Answer(' ["a"]')),
        ('Action: Answer\nFinal Answer: ["a"]\nmore', Answer(' ["a"]')),
        ('anything\nFinal Answer:["a"]', Answer('["a"]')),
        ('Final Answer: ["a"]', Malformed()),
        (f"Action: Answer\nAction: Operation\n{SQL_BLOCK}", Malformed()),
        ("", Malformed()),
    ],
)
def test_the_text_format_is_read_as_upstream_reads_it(text: str, move: Move) -> None:
    """First match of each pattern, exactly; nothing found is a malformed action."""
    assert (move,) == TEXT.parse(text)
    assert move == upstream(text)


def test_a_missing_last_newline_is_forgiven() -> None:
    """Where upstream fails only because the text ends, a newline is thought there."""
    text = f"{SQL_BLOCK}\nAction: Operation"

    assert Malformed() == upstream(text)
    assert (Query("SELECT 1"),) == TEXT.parse(text)


def test_the_last_round_reads_answers_only() -> None:
    """After the last statement upstream looks for an answer, whatever the action is called."""
    text = f"Action: Operation\n{SQL_BLOCK}\nFinal Answer: 1"

    assert (Query("SELECT 1"),) == TEXT.parse(text)
    assert (Answer(" 1"),) == TEXT.parse(text, last_round=True)


PIECES = ["Action: ", "Operation", "Answer", "\n", "```sql", "```", "Final Answer:", " ", "x"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_no_text_is_read_otherwise_than_upstream(text: str) -> None:
    """On text that is made of the format's own pieces, ours differs only where it is more lenient."""
    wanted = upstream(text)
    if isinstance(wanted, Malformed):
        wanted = upstream(text + "\n")

    assert (wanted,) == TEXT.parse(text)


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        (CALL, [Query("SELECT 1")]),
        (COMMIT, [Answer(["1"])]),
        (f"Let me look.\n<tool_call>\n{CALL}\n</tool_call>", [Query("SELECT 1")]),
        (f"<tool_call>{CALL}</tool_call>\n<tool_call>{COMMIT}", [Query("SELECT 1"), Answer(["1"])]),
        (f"```json\n{CALL}\n```", [Query("SELECT 1")]),
        (f"Let me look.\n{CALL}", [Query("SELECT 1")]),
        (f"[{CALL}, {COMMIT}]", [Query("SELECT 1"), Answer(["1"])]),
        (
            '{"tool_calls": [{"id": "1", "type": "function", "function": '
            '{"name": "execute_sql", "arguments": "{\\"query\\": \\"SELECT 1\\"}"}}]}',
            [Query("SELECT 1")],
        ),
        (f'{{"function": {CALL}}}', [Query("SELECT 1")]),
        ('{"name": "execute_sql", "parameters": {"anything": "SELECT 1"}}', [Query("SELECT 1")]),
        ('{"name": "commit_final_answer", "arguments": {"answers": "[1]"}}', [Answer("[1]")]),
        ('{"name": "commit_final_answer", "arguments": {"answers": null}}', [Answer(None)]),
        ('{"name": "drop", "arguments": {"x": 1}}', [Malformed(UNKNOWN_TOOL)]),
        ('{"name": "execute_sql", "arguments": {}}', [Malformed(BAD_CALL)]),
        ('{"name": "commit_final_answer", "arguments": {}}', [Malformed(BAD_CALL)]),
        ('{"name": "execute_sql", "arguments": {"query": 5}}', [Malformed(BAD_CALL)]),
        ('{"name": "execute_sql", "arguments": "{"}', [Malformed(BAD_CALL)]),
        ('{"name": "execute_sql"}', [Malformed(BAD_CALL)]),
        ('{"name": 5}', [Malformed(BAD_CALL)]),
        ("[1]", [Malformed(BAD_CALL)]),
        ("{broken", [Malformed(BAD_CALL)]),
        ("just text", [Malformed(NO_CALL)]),
        ("", [Malformed(NO_CALL)]),
        ("[]", [Malformed(NO_CALL)]),
        ('{"tool_calls": []}', [Malformed(NO_CALL)]),
    ],
)
def test_tool_calls_are_read_in_every_usual_form(text: str, moves: list[Move]) -> None:
    """Plain, tagged, fenced, listed and OpenAI's form; what is no call carries upstream's message."""
    assert tuple(moves) == TOOLS.parse(text)


def test_a_turn_has_a_bounded_number_of_calls() -> None:
    """Calls beyond the limit are answered by a message, not executed."""
    moves = TOOLS.parse(json.dumps([json.loads(CALL)] * 1000))

    assert [Query("SELECT 1")] * MAX_CALLS == list(moves[:-1])
    assert Malformed(TOO_MANY) == moves[-1]


@pytest.mark.parametrize("name", ["v0.2", "tools"])
@pytest.mark.parametrize(
    ("sql", "answers"),
    [("SELECT 1", ["1"]), ("SELECT `é` FROM \"t\" WHERE a = 'it''s \\\\'", ['"', "'", "a, b", "é", "", "x\ny"])],
)
def test_what_a_codec_writes_it_reads(name: str, sql: str, answers: list[str]) -> None:
    """Writing a move down and reading it gives the move back."""
    from cmat_env.envs.database.grade import grade_strict  # noqa: PLC0415

    codec = CODECS[name]  # type: ignore[index]
    (move,) = codec.parse(codec.answer(answers))

    assert (Query(sql),) == codec.parse(codec.query(sql))
    assert isinstance(move, Answer)
    assert grade_strict(move.given, [answer.strip() for answer in answers])


@pytest.mark.parametrize("name", ["v0.2", "tools"])
@pytest.mark.parametrize(
    "unit",
    [
        "Action: ",
        "```sql\n",
        "\nFinal Answer:",
        "Action: Operation\n",
        "<tool_call>",
        "{",
        "[",
        '{"a":',
        "\n{",
        "```json\n",
        "9",
    ],
)
def test_a_megabyte_of_junk_is_read_in_linear_time(name: str, unit: str) -> None:
    """No text is too long or too nested to be read at once."""
    begin = time.process_time()
    CODECS[name].parse(unit * (1_000_000 // len(unit)))  # type: ignore[index]

    assert time.process_time() - begin < 1


@pytest.mark.parametrize("name", ["v0.2", "tools"])
@given(text=st.text())
def test_any_text_can_be_read(name: str, text: str) -> None:
    """A codec never raises, and always finds at least one move."""
    assert CODECS[name].parse(text)  # type: ignore[index]


def test_a_task_is_stated_in_the_formats_own_words() -> None:
    """v0.2 states question and table; main states evidence, table and question."""
    assert "how many?\nTable t (a)." == TEXT.state("how many?", "Table t (a).", "")
    assert (
        "Evidence about the question: e\nAdditional table information about the question: Table t (a).\n"
        "Question: how many?\n"
    ) == TOOLS.state("how many?", "Table t (a).", "e")
