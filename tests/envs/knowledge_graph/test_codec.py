"""The codecs: what is read out of any text, and that what is written is read back."""

from __future__ import annotations

import time

import pytest

from cmat_env.envs.knowledge_graph.codec import (
    BAD_CALL,
    CODECS,
    NO_ACTION,
    NO_CALL,
    TOO_MANY,
    WRONG_ARGUMENTS,
    Final,
    Malformed,
    TextCodec,
    ToolCodec,
)  # fmt: skip
from cmat_env.envs.knowledge_graph.tasks import TOOLS, Call
from cmat_env.envs.tool_calls import MAX_CALLS

TEXT, TOOL = TextCodec(), ToolCodec()

NAMES = ("Paris, France", "Paris", "Rome (Italy)", "half :( open", "a,b,c")


@pytest.mark.parametrize(
    ("text", "move"),
    [
        ("Action: get_relations(Paris)", Call("get_relations", ("Paris",))),
        ("Thought: I look.\nAction: get_relations(Oslo)", Call("get_relations", ("Oslo",))),
        ("Thought: hm\nAction 1: get_neighbors(#0, a.b.c)\nmore", Call("get_neighbors", ("#0", "a.b.c"))),
        ("Action:get_neighbors( Paris , x )", Call("get_neighbors", ("Paris", "x"))),
        ("Action: get_relations(Paris, France)", Call("get_relations", ("Paris, France",))),
        (
            "Action: get_neighbors(Paris, France, geo.city.country)",
            Call("get_neighbors", (NAMES[0], "geo.city.country")),
        ),
        ("Action: get_relations(Rome (Italy))", Call("get_relations", ("Rome (Italy)",))),
        ("Action: get_neighbors(Rome (Italy), x) because", Call("get_neighbors", ("Rome (Italy)", "x"))),
        ("Action: get_relations(half :( open)", Call("get_relations", ("half :( open",))),
        ("Action: get_neighbors(a,b,c, r)", Call("get_neighbors", ("a,b,c", "r"))),
        ("Action: get_neighbors(Nowhere, Land, r)", Call("get_neighbors", ("Nowhere, Land", "r"))),
        ("Action: intersection(#0,#1)", Call("intersection", ("#0", "#1"))),
        ("Action: intersection(variable #0, variable #1)", Call("intersection", ("variable #0", "variable #1"))),
        ("Action: I call argmax(#2, size)", Call("argmax", ("#2", "size"))),
        ("Action: get\\_relations(Paris)", Call("get_relations", ("Paris",))),
        ("Action: count()", Call("count", ())),
        ("Action: get_neighbors(#0)", Call("get_neighbors", ("#0",))),
        ("Action: drop(everything)", Call("drop", ("everything",))),
        ("Action: get_relations(Paris", Call("get_relations", ("Paris",))),
        ("Final Answer: #3", Final("3")),
        ("Thought: done. Find Answer: #0", Final("0")),
        ("Action: count(#0)\nFinal Answer: #1", Final("1")),
        ("Action: count(#0)\nObservation: variable #1\nFinal Answer: #1", Call("count", ("#0",))),
        ("Final Answer: #-1", Malformed(NO_ACTION)),
        ("Final Answer: #abc", Malformed(NO_ACTION)),
        ("Final Answer: Paris", Malformed(NO_ACTION)),
        ("", Malformed(NO_ACTION)),
        ("hello", Malformed(NO_ACTION)),
        ("Action:", Malformed(NO_ACTION)),
        ("Action: think", Malformed(NO_ACTION)),
        ("get_relations(Paris)", Malformed(NO_ACTION)),
    ],
)
def test_one_move_is_read_from_text(text: str, move: object) -> None:
    """AgentBench v0.2, and names of entities with commas and brackets, balanced or not."""
    assert (move,) == TEXT.parse(text, names=NAMES)


def call(name: str, **arguments: object) -> str:
    """A tool call in JSON."""
    return str({"name": name, "arguments": arguments}).replace("'", '"')


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        (call("count", variable="#0"), [Call("count", ("#0",))]),
        (call("get_neighbors", relation="r", variable="a, b"), [Call("get_neighbors", ("a, b", "r"))]),
        (f"<tool_call>{call('count', variable='#0')}</tool_call>" * 2, [Call("count", ("#0",))] * 2),
        (f"I think\n{call('count', variable='#0')}", [Call("count", ("#0",))]),
        (
            '{"tool_calls": [{"function": {"name": "count", "arguments": "{\\"variable\\": \\"#0\\"}"}}]}',
            [Call("count", ("#0",))],
        ),
        ("Final Answer: #2", [Final("2")]),
        (call("count"), [Malformed(WRONG_ARGUMENTS)]),
        (call("count", variable="#0", more="x"), [Malformed(WRONG_ARGUMENTS)]),
        (call("count", variable=3), [Malformed(WRONG_ARGUMENTS)]),
        (call("union", variable1="#0", variable2="#1"), [Malformed(WRONG_ARGUMENTS)]),
        ('{"name": "count", "arguments": "{"}', [Malformed(BAD_CALL)]),
        ("{", [Malformed(BAD_CALL)]),
        ("[1, {}]", [Malformed(BAD_CALL)] * 2),
        ("[" * 30_000, [Malformed(BAD_CALL)]),
        ("hello", [Malformed(NO_CALL)]),
        ("", [Malformed(NO_CALL)]),
    ],
    ids=range(16),
)  # fmt: skip
def test_calls_are_read_from_json(text: str, moves: list[object]) -> None:
    """All the ways in which models write tool calls, and what upstream answers to others."""
    assert tuple(moves) == TOOL.parse(text)


def test_the_calls_of_a_turn_are_bounded() -> None:
    """The first 32, then a word about it."""
    moves = TOOL.parse("[" + ",".join([call("count", variable="#0")] * 50) + "]")

    assert (MAX_CALLS, Malformed(TOO_MANY)) == (len(moves) - 1, moves[-1])


@pytest.mark.parametrize("format", CODECS)
def test_what_is_written_is_read_back(format: str) -> None:
    """Every tool, with the hardest names; and the answer."""
    codec = CODECS[format]  # type: ignore[index]
    for tool, parameters in TOOLS.items():
        for name in NAMES:
            written = Call(tool, (name, "#1")[: len(parameters)])
            assert (written,) == codec.parse(codec.call(written), names=NAMES)
    assert (Final("4"),) == codec.parse(codec.final(4))
    assert all(tool in codec.instructions(15) for tool in TOOLS)
    assert "at most 15" in codec.instructions(15)


@pytest.mark.parametrize("format", CODECS)
@pytest.mark.parametrize(
    "piece",
    ["Action", "Action:", "Action: (", "f(", "(", ")", "#", "Final Answer: #", "{", "<tool_call>", "\\_", ",", "\n"],
)
def test_any_text_is_read_in_linear_time(format: str, piece: str) -> None:
    """A million characters of the worst kinds, well under a second's processor time each."""
    text = "Action: get_neighbors(" * (piece == ",") + piece * (1_000_000 // len(piece))
    started = time.process_time()
    CODECS[format].parse(text, names=NAMES)  # type: ignore[index]

    assert time.process_time() - started < 2
