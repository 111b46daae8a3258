"""Both ways to write actions: AgentBench's patterns, and what is no action at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmat_env.envs.operating_system.codec import CODECS, NO_CALL, UNKNOWN_TOOL, Answer, Bash, Malformed, Move

TEXT, TOOLS = CODECS["v0.2"], CODECS["tools"]


def call(name: str, **arguments: object) -> str:
    """A tool call."""
    return json.dumps({"name": name, "arguments": arguments})


@pytest.mark.parametrize(
    ("text", "move"),
    [
        ("Think: x\n\nAct: bash\n\n```bash\nls -l\n```", Bash("ls -l")),
        ("Act: bash\n```bash\na\n```\ntext\n```bash\nb\n```", Bash("a\n\nb")),
        ("act: no\nAct: BASH\n```bash\na\n```", Bash("a")),
        ("Act: bash\n```bash\na\n```\nAct: finish", Answer(None)),
        ("Act: answer(220)", Answer("220")),
        ("Act: Answer(f(x)) and more", Answer("f(x)")),
        ("Act: answer()", Answer("")),
        ("Act: finish", Answer(None)),
        ("Act:\n  answer(7)", Answer("7")),
    ],
)
def test_the_text_format(text: str, move: Move) -> None:
    """The last act counts, blocks are joined, an answer reaches to the last parenthesis."""
    assert move == TEXT.parse(text)


@pytest.mark.parametrize(
    "text", ["", "hello", "Act:", "Act: dance", "Act: bash", "Act: bash\n```sh\nls\n```", "Act: answer 7"]
)
def test_text_that_is_no_action_says_what_the_formats_are(text: str) -> None:
    """All three are named."""
    move = TEXT.parse(text)

    assert isinstance(move, Malformed)
    assert all(words in move.message for words in ("Act: bash", "Act: answer(", "Act: finish"))


@pytest.mark.parametrize(
    ("text", "move"),
    [
        (call("bash_action", script="ls"), Bash("ls")),
        (call("bash_action", anything="ls"), Bash("ls")),
        (call("answer_action", answer=5), Answer("5")),
        (call("finish_action", thought="done"), Answer("done")),
        (call("finish_action"), Answer(None)),
        (f"I think\n<tool_call>{call('bash_action', script='ls')}</tool_call>", Bash("ls")),
        (f"[{call('bash_action', script='a')}, {call('bash_action', script='b')}]", Bash("a")),
        (
            '{"tool_calls": [{"function": {"name": "bash_action", "arguments": "{\\"script\\": \\"ls\\"}"}}]}',
            Bash("ls"),
        ),
        (f"```json\n{call('answer_action', answer='x')}\n```", Answer("x")),
        (f"first\n{call('answer_action', answer='x')}", Answer("x")),
    ],
)
def test_the_tool_format(text: str, move: Move) -> None:
    """The first call of a turn counts, and its first argument whatever its name."""
    assert move == TOOLS.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", NO_CALL),
        ("{", "JSONDecodeError"),
        (call("drop", x=1), UNKNOWN_TOOL),
        ("[]", NO_CALL),
        (call("bash_action"), UNKNOWN_TOOL),
    ],
)
def test_a_call_that_is_none_says_how_to_write_one(text: str, words: str) -> None:
    """With upstream's words first."""
    move = TOOLS.parse(text)

    assert isinstance(move, Malformed)
    assert words in move.message and "bash_action" in move.message


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(st.text(), st.text())
def test_what_a_codec_writes_it_reads(codec: object, script: str, answer: str) -> None:
    """A script without fences and any answer come back."""
    assert isinstance(codec, type(TEXT) | type(TOOLS))
    plain = script.replace("`", "").replace("Act:", "").replace("\r", "")
    spoken = answer.replace("Act:", "")

    assert Bash(plain) == codec.parse(codec.bash(plain))
    assert Answer(spoken) == codec.parse(codec.answer(spoken))
    assert isinstance(codec.parse(codec.answer(None)), Answer)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(st.text())
def test_any_text_is_read(codec: object, text: str) -> None:
    """Nothing raises."""
    assert isinstance(codec, type(TEXT) | type(TOOLS))
    assert codec.parse(text) is not None
