"""The way through a knowledge graph that led to a variable: Corton ─town.natives→ #0 person ─person.guild→ #1 guild."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from cmat_env.types import Step

_VARIABLE = re.compile(r"[Vv]ariable #([0-9]{1,6}), which (?:are instances of|is a) ([^\s.,;]+)")
_CALL = re.compile(r"^Action: (\w+)\(([^()\n]*)\)", re.MULTILINE)
_ASKS = ("get_relations", "get_attributes")
"""Calls that find no variable."""
_LONGEST = 2_000


def path_at(steps: Sequence[Step], index: int) -> str:
    """The way to the latest variable that a step's role hears of; "" if it hears of none.

    Args:
        steps: of an episode, as far as they are known.
        index: the step's position, from 0.
    """
    if not _is_found(steps[index]):
        return ""
    ways: dict[str, str] = {}
    called: list[tuple[str, tuple[str, ...]]] = []
    way = ""
    for step in steps[: index + 1]:
        if step.role != "assistant":
            continue
        found = _VARIABLE.findall(step.observation["message"]) if _is_found(step) else []
        made = [call for call in called if call[0] not in _ASKS]
        way = ""
        if len(found) == len(made):
            for (number, kind), (name, arguments) in zip(found, made, strict=True):
                way = ways[f"#{number}"] = f"{_way(name, arguments, ways)} #{number} {kind}"[:_LONGEST]
        called = list(_calls(step.generation.text))
    return way


def _is_found(step: Step) -> bool:
    return step.role == "assistant" and _VARIABLE.search(step.observation["message"]) is not None


def _way(name: str, arguments: tuple[str, ...], ways: dict[str, str]) -> str:
    """What a call leads to, after the ways to its arguments."""
    known = [ways.get(argument, argument) for argument in arguments]
    if name == "get_neighbors" and len(known) == 2:
        return f"{known[0]} ─{arguments[1]}→"
    if name == "intersection" and len(known) == 2:
        return f"({known[0]}) ∩ ({known[1]}) ="
    return f"{known[0] if known else ''} ─{' '.join((name, *arguments[1:]))}→"


def _calls(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and arguments of each call in a text, in either form."""
    for name, arguments in _CALL.findall(text):
        yield name, tuple(argument.strip().replace("variable ", "") for argument in arguments.split(","))
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                call = json.loads(line)
                yield str(call["name"]), tuple(str(value) for value in dict(call["arguments"]).values())
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
