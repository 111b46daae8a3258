"""What an observation offers to do, where it says so in AgentBench's words: "Available Actions:" and a dictionary."""

from __future__ import annotations

import ast
import random
from collections.abc import Sequence
from typing import Any

_AVAILABLE = "\n\nAvailable Actions:\n"
_NOUNS = (
    "bag bed blue bottle cable camera chair coffee cream dress free jeans lamp large light mat organic phone red "
    "rug set shirt shoes small snack table tea toy watch white wood"
)
GOODS = tuple(_NOUNS.split())


def offered_by(observation: str) -> dict[str, Any]:
    """What can be done: `has_search_bar` and the list `clickables`; nothing where the text does not say."""
    _, found, listed = observation.rpartition(_AVAILABLE)
    try:
        value = ast.literal_eval(listed.split("\n")[0]) if found else {}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    return value if isinstance(value, dict) else {}


def any_of(offered: dict[str, Any], rng: random.Random, *, words: Sequence[str] = GOODS) -> str:
    """One of these actions, all alike probable; where there is a search bar, a search for two of the words."""
    if offered.get("has_search_bar"):
        return f"Action: search[{' '.join(rng.sample(words, 2))}]"
    labels = offered.get("clickables")
    return f"Action: click[{rng.choice(labels) if isinstance(labels, list) and labels else 'back to search'}]"
