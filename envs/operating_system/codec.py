"""How an agent writes its moves: AgentBench v0.2 text, and tool calls as JSON text.

A codec reads any text in time linear in its length and never runs any of it. What cannot be read is data as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol, get_args

from cmat_env.envs.tool_calls import BadCall, read_calls, write_call

FormatName = Literal["v0.2", "tools"]
FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)


@dataclass(frozen=True, slots=True)
class Bash:
    """Execute a script in the live shell."""

    script: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Commit an answer, None = finish without one."""

    given: str | None


@dataclass(frozen=True, slots=True)
class Malformed:
    """Nothing that could be done; the message says what came and what the formats are."""

    message: str


Move = Bash | Answer | Malformed

_ACT = re.compile(r"Act:\s*(\S.*)")
_INTRODUCTION = (
    "You are an assistant that will act like a person. I will play the role of a Linux (Debian) operating system.\n"
    "Your goal is to implement the operations required by me or answer the questions proposed by me.\n"
)


class Codec(Protocol):
    """One way to write moves."""

    @property
    def instructions(self) -> str:
        """The system prompt that explains it."""
        ...

    def parse(self, text: str) -> Move:
        """What a text asks for."""
        ...

    def bash(self, script: str) -> str:
        """Write a script down."""
        ...

    def answer(self, answer: str | None) -> str:
        """Write an answer down; None = finish."""
        ...


class TextCodec:
    """AgentBench v0.2: `Think: ...`, then `Act: bash` with fenced scripts, `Act: finish` or `Act: answer(...)`.

    The last line with `Act:` counts; all blocks fenced as bash are joined; an answer reaches from the first "(" after
    the word to the last ")".
    """

    instructions = (
        f"{_INTRODUCTION}"
        "For each of your turns, first think about what you should do, then take exactly one of the three actions: "
        '"bash", "finish" or "answer".\n'
        "1. If you think you should execute some bash code, write:\n"
        "Think: put your thought here.\n\nAct: bash\n\n```bash\n# put your bash code here\n```\n"
        "2. If you think you have finished the task, write:\n"
        "Think: put your thought here.\n\nAct: finish\n"
        "3. If you think you have got the answer to the question, write:\n"
        "Think: put your thought here.\n\nAct: answer(your answer to the question should be put in this pair of "
        "parentheses)\n"
        "If the output is too long, I will truncate it. You have to deal with that yourself.\n"
        "There is no need to interact: commands that read from the keyboard get nothing.\n"
        "Answer with the shortest form of what was asked, such as a number alone."
    )
    formats = (
        "Nothing in your message could be executed. Write one of:\n"
        "Act: bash\n\n```bash\n<script>\n```\nor\nAct: answer(<answer>)\nor\nAct: finish"
    )

    def parse(self, text: str) -> Move:
        """One move."""
        acts = list(_ACT.finditer(text))
        if not acts:
            return Malformed(self.formats)
        action = acts[-1][1].lower()
        if action.startswith("bash"):
            blocks = _fenced(text)
            return Bash("\n\n".join(blocks)) if blocks else Malformed(self.formats)
        if action.startswith("finish"):
            return Answer(None)
        if action.startswith("answer"):
            tail = text[acts[-1].start(1) :]
            start, end = tail.find("("), tail.rfind(")")
            return Answer(tail[start + 1 : end]) if 0 <= start < end else Malformed(self.formats)
        return Malformed(self.formats)

    def bash(self, script: str) -> str:
        """The action with its block."""
        return f"Think: I run this.\n\nAct: bash\n\n```bash\n{script}\n```"

    def answer(self, answer: str | None) -> str:
        """The answer, or the end without one."""
        act = "finish" if answer is None else f"answer({answer})"
        return f"Think: I am done.\n\nAct: {act}"


def _fenced(text: str) -> list[str]:
    """The contents of all blocks that begin with ```bash."""
    blocks: list[str] = []
    _, mark, rest = text.partition("```bash\n")
    while mark:
        inner, end, rest = rest.partition("\n```")
        if not end:
            break
        blocks.append(inner)
        _, mark, rest = rest.partition("```bash\n")
    return blocks


NO_CALL = "No executable tool calls found. Please call a tool instead"
UNKNOWN_TOOL = "Invalid function call. Please call a tool instead"
_CALLS = (
    '\nA call is written as {"name": "bash_action", "arguments": {"script": "..."}}, '
    '{"name": "answer_action", "arguments": {"answer": "..."}} or '
    '{"name": "finish_action", "arguments": {"thought": "..."}}.'
)
_TOOLS = ("bash_action", "answer_action", "finish_action")


class ToolCodec:
    """AgentBench main: the tools `bash_action{script}`, `finish_action{thought}`, `answer_action{answer}` in JSON text.

    As upstream the first call of a turn counts, and its first argument, whatever its name.
    """

    instructions = (
        f"{_INTRODUCTION}"
        "For each of your turns, think about what you should do, then call exactly one of the three tools: "
        "`bash_action` executes a bash script, `answer_action` commits the answer to the question, and `finish_action` "
        "says that the task is done.\n"
        "If the output is too long, I will truncate it. You have to deal with that yourself.\n"
        "Answer with the shortest form of what was asked, such as a number alone."
        f"{_CALLS}"
    )

    def parse(self, text: str) -> Move:
        """The first call of a turn."""
        calls = read_calls(text)
        if not calls:
            return Malformed(f"{NO_CALL}.{_CALLS}")
        call = calls[0]
        if isinstance(call, BadCall):
            return Malformed(f"{call.error or UNKNOWN_TOOL}.{_CALLS}")
        if call.name not in _TOOLS:
            return Malformed(f"{UNKNOWN_TOOL}.{_CALLS}")
        first = next(iter(call.arguments.values()), None)
        if call.name == "bash_action":
            return Bash(first) if isinstance(first, str) else Malformed(f"{UNKNOWN_TOOL}.{_CALLS}")
        return Answer(None if first is None else str(first))

    def bash(self, script: str) -> str:
        """The call of `bash_action`."""
        return write_call("bash_action", script=script)

    def answer(self, answer: str | None) -> str:
        """The call of `answer_action`, or of `finish_action` for None."""
        if answer is None:
            return write_call("finish_action", thought="done")
        return write_call("answer_action", answer=answer)


CODECS: Mapping[FormatName, Codec] = MappingProxyType({"v0.2": TextCodec(), "tools": ToolCodec()})
