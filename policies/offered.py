"""What an observation offers to do, where it says so: AgentBench's "Available Actions:", or a line "Legal moves: ".

And how such an action is written: as AgentBench's text, or as its tool calls where the instructions explain those.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Sequence
from typing import Any, Literal

from cmat_env.types import Message

_AVAILABLE = "\n\nAvailable Actions:\n"
_LEGAL = "Legal moves: "
_INSTRUCTION = re.compile(r"Instruction: \[SEP\] (.*?) \[SEP\] ")
_NOUNS = (
    "bag bed blue bottle cable camera chair coffee cream dress free jeans lamp large light mat organic phone red "
    "rug set shirt shoes small snack table tea toy watch white wood"
)
_TOOLS = {"search": ("search_action", "keywords"), "click": ("click_action", "value")}
GOODS = tuple(_NOUNS.split())


def offered_by(observation: str) -> dict[str, Any]:
    """What can be done: `has_search_bar` and the list `clickables`; nothing where the text does not say."""
    _, found, listed = observation.rpartition(_AVAILABLE)
    try:
        value = ast.literal_eval(listed.split("\n")[0]) if found else {}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    return value if isinstance(value, dict) else {}


def wish_in(observation: str) -> str:
    """What a customer of the web shop wants, where the page says so."""
    found = _INSTRUCTION.search(observation)
    return found[1] if found else ""


def moves_in(observation: str) -> list[str]:
    """The moves of a board game that the last line lists; none where it is no such list."""
    line = observation.rpartition("\n")[2]
    return line.removeprefix(_LEGAL).split(", ") if line.startswith(_LEGAL) else []


def any_of(
    offered: dict[str, Any], rng: random.Random, *, words: Sequence[str] = GOODS, messages: Sequence[Message] = ()
) -> str:
    """One of these actions, all alike probable; where there is a search bar, a search for two of the words.

    Args:
        offered: what `offered_by` found.
        rng: all randomness.
        words: at least two.
        messages: the dialogue so far, which says how an action is written.
    """
    if offered.get("has_search_bar"):
        return write("search", " ".join(rng.sample(words, 2)), messages)
    labels = offered.get("clickables")
    return write(
        "click", str(rng.choice(labels)) if isinstance(labels, list) and labels else "back to search", messages
    )


def write(verb: Literal["search", "click"], value: str, messages: Sequence[Message]) -> str:
    """An action as the instructions of a dialogue ask for it; text where they say nothing of tools."""
    tool, argument = _TOOLS[verb]
    if any(message.speaker == "system" and f'"{tool}"' in message.content for message in messages):
        return json.dumps({"name": tool, "arguments": {argument: value}}, ensure_ascii=False)
    return f"Action: {verb}[{value}]"
