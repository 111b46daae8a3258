"""Tool calls in the text of a model: read tolerantly, in time linear in the length, and never run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_CALLS = 32


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call.

    Attributes:
        name: of the tool.
        arguments: by name.
    """

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadCall:
    """One that cannot be read.

    Attributes:
        error: what is wrong with the JSON; empty if it is JSON, but no call.
    """

    error: str = ""


def read_calls(text: str) -> list[ToolCall | BadCall]:
    """The calls in a text, in order; beyond `MAX_CALLS` one more at most, which tells that there are more.

    Read are `{"name": ..., "arguments": {...}}`, a list of them, OpenAI's `{"tool_calls": [{"function": ...}]}` and
    `{"function": ...}`, arguments also as JSON text or under "parameters"; each alone, in `<tool_call>` tags, in a
    block of JSON, or from the first line that begins with a brace to the end.
    """
    calls: list[ToolCall | BadCall] = []
    for part in _parts(text):
        try:
            value = json.loads(part)
        except (ValueError, RecursionError) as error:
            calls.append(BadCall(f"{type(error).__name__}: {error}"))
        else:
            calls.extend(_call(each) for each in _each(value))
    return calls[: MAX_CALLS + 1]


def write_call(name: str, **arguments: object) -> str:
    """The text of a call."""
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def _parts(text: str) -> list[str]:
    parts = text.split("<tool_call>", MAX_CALLS + 1)
    if len(parts) > 1:
        return [part.partition("</tool_call>")[0] for part in parts[1:]]
    _, opened, rest = text.partition("```json\n")
    block, closed, _ = rest.partition("\n```")
    if opened and closed:
        return [block]
    whole = text.strip()
    if whole.startswith(("{", "[")):
        return [whole]
    _, brace, rest = whole.partition("\n{")
    return [brace + rest] if brace else []


def _each(value: object) -> Iterator[object]:
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    yield from value if isinstance(value, list) else [value]


def _call(value: object) -> ToolCall | BadCall:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return BadCall()
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError) as error:
            return BadCall(f"{type(error).__name__}: {error}")
    return ToolCall(value["name"], arguments) if isinstance(arguments, dict) else BadCall()
