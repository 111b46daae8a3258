"""How an agent writes its moves: AgentBench v0.2 text, and tool calls as JSON text.

A codec reads any text in time linear in its length and never runs any of it. What cannot be read is data as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol, get_args

from cmat_env.envs.tool_calls import MAX_CALLS, BadCall, ToolCall, read_calls, write_call

FormatName = Literal["v0.2", "tools"]
FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)


@dataclass(frozen=True, slots=True)
class Query:
    """Execute one statement."""

    sql: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Commit an answer: the text as written, or a list of values."""

    given: object


@dataclass(frozen=True, slots=True)
class Malformed:
    """Nothing that could be done; `message` is what upstream answers, None where it ends the episode."""

    message: str | None = None


Move = Query | Answer | Malformed


class Codec(Protocol):
    """One way to write moves."""

    @property
    def instructions(self) -> str:
        """The system prompt that explains it."""
        ...

    def state(self, description: str, add_description: str, evidence: str) -> str:
        """The statement of a task."""
        ...

    def parse(self, text: str, *, last_round: bool = False) -> tuple[Move, ...]:
        """What a text asks for: at least one move. In the last round upstream's text format reads answers only."""
        ...

    def query(self, sql: str) -> str:
        """Write a statement down."""
        ...

    def answer(self, answers: Sequence[str]) -> str:
        """Write an answer down."""
        ...


class TextCodec:
    """AgentBench v0.2: `Action: Operation` with a block of SQL, or `Action: Answer` with `Final Answer: [...]`.

    The first match of each upstream pattern counts: `Action: (.*?)`, then a block from "```sql" to "```", both on lines
    of their own, else `Final Answer:(.*)` after a newline. Ours: where these find nothing and the text does not end
    with a newline, one is thought there.
    """

    instructions = (
        "I will ask you a question, then you should help me operate a MySQL database with SQL to answer the question.\n"
        "You have to explain the problem and your solution to me and write down your thoughts.\n"
        "After thinking and explaining thoroughly, every round you can choose to operate or to answer.\n"
        "your operation should be like this:\n"
        "Action: Operation\n```sql\nSELECT * FROM table WHERE condition;\n```\n"
        "You MUST put SQL in markdown format without any other comments. Your SQL should be in one line.\n"
        "Every time you can only execute one SQL statement. I will only execute the statement in the first SQL code "
        "block. Every time you write a SQL, I will execute it for you and give you the output.\n"
        "If you are done operating, and you want to commit your final answer, then write down:\n"
        'Action: Answer\nFinal Answer: ["ANSWER1", "ANSWER2", ...]\n'
        "DO NOT write this pattern unless you are sure about your answer. I expect an accurate and correct answer.\n"
        "Your answer should be accurate. Your answer must be exactly the same as the correct answer.\n"
        "If the question is about modifying the database, then after done operation, your answer field can be "
        "anything.\n"
        "If your response cannot match any pattern I mentioned earlier, you will be judged as FAIL immediately.\n"
        "Your input will be raw MySQL response, you have to deal with it by yourself."
    )

    def state(self, description: str, add_description: str, evidence: str) -> str:
        """The question, then the names of table and columns, a line each."""
        return "\n".join(part for part in (evidence, description, add_description) if part)

    def parse(self, text: str, *, last_round: bool = False) -> tuple[Move, ...]:
        """One move; its message is None if it is malformed."""
        move = self._match(text, last_round=last_round)
        if isinstance(move, Malformed) and not text.endswith("\n"):
            move = self._match(text + "\n", last_round=last_round)
        return (move,)

    def _match(self, text: str, *, last_round: bool) -> Move:
        if not last_round and _between(text, "Action: ", "\n") == "Operation":
            sql = _between(text, "```sql\n", "\n```")
            return Malformed() if sql is None else Query(sql.strip().replace("\n", " "))
        _, mark, rest = text.partition("\nFinal Answer:")
        return Answer(rest.partition("\n")[0]) if mark else Malformed()

    def query(self, sql: str) -> str:
        """The operation with its block of SQL."""
        return f"Action: Operation\n```sql\n{sql}\n```"

    def answer(self, answers: Sequence[str]) -> str:
        """The answer as a list of texts."""
        return f"Action: Answer\nFinal Answer: {json.dumps(list(answers), ensure_ascii=False)}"


def _between(text: str, start: str, end: str) -> str | None:
    """What the pattern start(.*?)end finds first; no later start can match where the first has no end."""
    _, mark, rest = text.partition(start)
    inner, stop, _ = rest.partition(end)
    return inner if mark and stop else None


NO_CALL = "Internal error: No tool calls found despite finish reason."
BAD_CALL = "Error: Failed to parse tool call. Tool call format is incorrect."
UNKNOWN_TOOL = "Invalid function call. Please call a tool instead."
TOO_MANY = f"Error: Only the first {MAX_CALLS} tool calls of a turn are executed."

_TOOLS = ("execute_sql", "commit_final_answer")


class ToolCodec:
    """AgentBench main: the tools `execute_sql{query}` and `commit_final_answer{answers}`, called in JSON text.

    See `read_calls` for what is read. As upstream, the first argument counts whatever its name, and
    a turn may hold several calls. Ours: at most 32; empty arguments are a malformed call, where upstream crashes.
    """

    instructions = (
        "I will ask you a question, then you should help me operate a MySQL database with SQL to answer the question.\n"
        "You have to explain the problem and your solution to me and write down your thoughts.\n"
        "After thinking and explaining thoroughly, every round you can choose to operate or to answer with the two "
        "specific tools provided.\n"
        "If you should execute a SQL query, use the `execute_sql` function, Your SQL should be in one line.\n"
        "Every time you can only execute one SQL statement. I will only execute the statement in the first SQL code "
        "block. Every time you write a SQL, I will execute it for you and give you the output.\n"
        "If you are done operating, and you want to commit your final answer, then use the `commit_final_answer` "
        "function.\n"
        "DO NOT use this tool unless you are sure about your answer. I expect an accurate and correct answer.\n"
        "Your answer should be accurate. Your answer must be exactly the same as the correct answer.\n"
        "If the question is about modifying the database, then after done operation, your answer field can be "
        "anything.\n"
        "Your input will be raw MySQL response, you have to deal with it by yourself.\n"
        'A call is written as {"name": "execute_sql", "arguments": {"query": "..."}} or '
        '{"name": "commit_final_answer", "arguments": {"answers": ["...", "..."]}}.'
    )

    def state(self, description: str, add_description: str, evidence: str) -> str:
        """What is known about the tables, then the question."""
        hint = f"Evidence about the question: {evidence}\n" if evidence else ""
        table = f"Additional table information about the question: {add_description}\n" if add_description else ""
        return f"{hint}{table}Question: {description}\n"

    def parse(self, text: str, *, last_round: bool = False) -> tuple[Move, ...]:
        """All calls of a turn, in its last round too; a malformed one carries upstream's message."""
        moves = [_move(call) for call in read_calls(text)]
        if len(moves) > MAX_CALLS:
            moves[MAX_CALLS:] = [Malformed(TOO_MANY)]
        return tuple(moves) or (Malformed(NO_CALL),)

    def query(self, sql: str) -> str:
        """The call of `execute_sql`."""
        return write_call("execute_sql", query=sql)

    def answer(self, answers: Sequence[str]) -> str:
        """The call of `commit_final_answer`."""
        return write_call("commit_final_answer", answers=list(answers))


def _move(call: ToolCall | BadCall) -> Move:
    if isinstance(call, BadCall):
        return Malformed(BAD_CALL)
    if call.name not in _TOOLS:
        return Malformed(UNKNOWN_TOOL)
    first = next(iter(call.arguments.values()), None)
    if call.name == "commit_final_answer":
        return Answer(first) if call.arguments else Malformed(BAD_CALL)
    return Query(first) if isinstance(first, str) else Malformed(BAD_CALL)


CODECS: Mapping[FormatName, Codec] = MappingProxyType({"v0.2": TextCodec(), "tools": ToolCodec()})
