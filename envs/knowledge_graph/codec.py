"""How an agent writes its moves: AgentBench v0.2 text, and tool calls as JSON text. Both give the same calls.

A codec reads any text in time linear in its length and never runs any of it. What cannot be read is data as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol, get_args

from cmat_env.envs.knowledge_graph.tasks import TOOLS, Call, entities_of
from cmat_env.envs.tool_calls import MAX_CALLS, BadCall, ToolCall, read_calls, write_call

FormatName = Literal["v0.2", "tools"]
FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)
LONGEST_ARGUMENT = 2_000

NO_ACTION = "No executable function found! Need to recheck the action."
NO_CALL = "No valid function calls found! Need to recheck the function calls."
BAD_CALL = "Error: Failed to parse tool call. Tool call format is incorrect."
WRONG_ARGUMENTS = "Arguments do not match the function signature"
TOO_MANY = f"Error: Only the first {MAX_CALLS} tool calls of a turn are executed."

_FINAL = re.compile(r"(?:Find|Final) Answer: #([0-9]+)")
_NAME = re.compile(r"\b([A-Za-z_][A-Za-z0-9_]{0,60})\(")

_GUIDE = """\
You are an agent that answers questions based on the knowledge stored in a knowledge base. To achieve this, you can \
use the following tools to query the KB.

1. get_relations(variable): the relations that lead out of an entity or of a set of entities (a variable).
2. get_neighbors(variable, relation): a new variable, the entities that the relation leads to. The relation must be \
among those that get_relations showed for it.
3. intersection(variable1, variable2): a new variable, the entities that are in both. They must be of the same type!
4. get_attributes(variable): the attributes of a variable that can be compared. Use it only if the question asks for \
a superlative.
5. argmax(variable, attribute): a new variable, the entities of the variable with the largest value of an attribute \
that get_attributes showed.
6. argmin(variable, attribute): the same with the smallest value.
7. count(variable): a new variable, the number of entities in a variable.

A variable is written as # and its number: #0 is the first one, #1 the second. An entity is written by its name in \
the question's list of entities.
Once you find the answer, respond with `Final Answer: #id`, where #id is the variable that you think is the answer, \
such as `Final Answer: #3`.
"""


@dataclass(frozen=True, slots=True)
class Final:
    """Commit a variable as the answer; `number` is text, as it was written."""

    number: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Nothing that could be done, with what is answered."""

    message: str


Move = Call | Final | Malformed


class Codec(Protocol):
    """One way to write moves."""

    def instructions(self, max_rounds: int) -> str:
        """The system prompt that explains it."""
        ...

    def parse(self, text: str, *, names: Collection[str] = ()) -> tuple[Move, ...]:
        """What a text asks for: at least one move. `names` are those of the task's entities."""
        ...

    def call(self, call: Call) -> str:
        """Write a call down."""
        ...

    def final(self, number: int) -> str:
        """Write an answer down."""
        ...


def state(question: str, names: Collection[str]) -> str:
    """The statement of a task."""
    return f"{question}\n{entities_of(names)}"


class TextCodec:
    """AgentBench v0.2: `Thought: ...`, then `Action: get_relations(Some Entity)`, or `Final Answer: #k`.

    What follows "Observation:" is cut, and a final answer counts before an action, as upstream. One action a message is
    executed. Ours: the arguments are found with the names of the task's entities, so that a comma or a bracket in a
    name breaks nothing, and relations are split off from the right.
    """

    def instructions(self, max_rounds: int) -> str:
        """The tools, and how to write an action."""
        return (
            f"{_GUIDE}Every message holds a thought and one action, or the answer:\nThought: ...\n"
            "Action: get_relations(Barack Obama)\n"
            f"You can only take ONE action at a time! You can take at most {max_rounds} actions."
        )

    def parse(self, text: str, *, names: Collection[str] = ()) -> tuple[Move, ...]:
        """One move."""
        text = _own(text)
        final = _FINAL.search(text)
        if final is not None:
            return (Final(final[1][:40]),)
        for line in text.split("\n"):
            head, colon, action = line.partition(":")
            name = _NAME.search(action[:LONGEST_ARGUMENT]) if colon and head.startswith("Action") else None
            if name is not None:
                return (_call(name[1], action[name.end() :], names),)
        return (Malformed(NO_ACTION),)

    def call(self, call: Call) -> str:
        """The action's line."""
        return f"Action: {call}"

    def final(self, number: int) -> str:
        """The answer's line."""
        return f"Final Answer: #{number}"


class ToolCodec:
    """AgentBench main: tool calls with named arguments, as JSON text, and a plain message `Final Answer: #k`.

    See `read_calls` for what is read. A turn may hold several calls; ours: at most 32.
    """

    def instructions(self, max_rounds: int) -> str:
        """The tools, and how to write a call."""
        calls = "\n".join(write_call(tool, **dict.fromkeys(arguments, "...")) for tool, arguments in TOOLS.items())
        return f"{_GUIDE}A call of a tool is written as JSON:\n{calls}\nYou can take at most {max_rounds} turns."

    def parse(self, text: str, *, names: Collection[str] = ()) -> tuple[Move, ...]:
        """All calls of a turn, or the answer."""
        text = _own(text)
        moves = [_move(call) for call in read_calls(text)]
        if len(moves) > MAX_CALLS:
            moves[MAX_CALLS:] = [Malformed(TOO_MANY)]
        if not any(isinstance(move, Call) for move in moves):
            final = _FINAL.search(text)
            if final is not None:
                return (Final(final[1][:40]),)
        return tuple(moves) or (Malformed(NO_CALL),)

    def call(self, call: Call) -> str:
        """The call as JSON."""
        return write_call(call.tool, **dict(zip(TOOLS[call.tool], call.arguments, strict=True)))

    def final(self, number: int) -> str:
        """The answer's line."""
        return f"Final Answer: #{number}"


CODECS: Mapping[FormatName, Codec] = MappingProxyType({"v0.2": TextCodec(), "tools": ToolCodec()})


def _own(text: str) -> str:
    """What the agent itself said: not the observations that it made up."""
    return text.partition("Observation:")[0].replace("\\_", "_")


def _call(tool: str, rest: str, names: Collection[str]) -> Move:
    """The call whose arguments and closing bracket are `rest`."""
    wanted = len(TOOLS.get(tool, ("",)))
    known = _leading_name(rest, names)
    if known is not None:
        name, rest = known
        return Call(tool, (name, *([_inside(rest[1:]).strip()] if rest[:1] == "," else [])))
    inside = _inside(rest)
    if not inside.strip():
        return Call(tool, ())
    arguments = inside.rsplit(",", wanted - 1) if wanted > 1 else [inside]
    return Call(tool, tuple(argument.strip()[:LONGEST_ARGUMENT] for argument in arguments))


def _leading_name(rest: str, names: Collection[str]) -> tuple[str, str] | None:
    """The longest name of an entity that the arguments begin with, and what follows it."""
    bare = rest.lstrip()
    for name in sorted(names, key=len, reverse=True):
        if name and bare.startswith(name):
            after = bare[len(name) :].lstrip()
            if after[:1] in (",", ")"):
                return name, after
    return None


def _inside(rest: str) -> str:
    """What stands before the closing bracket: the one that balances, else the last one, else all of it."""
    depth = 1
    for bracket in re.finditer(r"[()]", rest):
        depth += 1 if bracket[0] == "(" else -1
        if not depth:
            return rest[: bracket.start()]
    return rest.rpartition(")")[0] or rest.rstrip(")")


def _move(call: ToolCall | BadCall) -> Move:
    if isinstance(call, BadCall):
        return Malformed(BAD_CALL)
    wanted, given = TOOLS.get(call.name), call.arguments
    if wanted is None or set(given) != set(wanted) or not all(isinstance(given[key], str) for key in wanted):
        return Malformed(WRONG_ARGUMENTS)
    return Call(call.name, tuple(given[key].strip()[:LONGEST_ARGUMENT] for key in wanted))
