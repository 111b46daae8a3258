"""Customers without a model, to compare a policy with: two click at random, one takes the first result.

They read what a model would read: the latest observation of `cmat/WebShop-v0`. By name on the command line:
`cmat_env.policies.shopper:RandomShopper`, `...:RandomReader` and `...:FirstResult`.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Sequence
from typing import Any

from cmat_env.policies.scripted import stream_of
from cmat_env.types import Dialogue, Generation

_AVAILABLE = "\n\nAvailable Actions:\n"
_INSTRUCTION = re.compile(r"Instruction: \[SEP\] (.*?) \[SEP\] ")
_NOUNS = (
    "bag bed blue bottle cable camera chair coffee cream dress free jeans lamp large light mat organic phone red "
    "rug set shirt shoes small snack table tea toy watch white wood"
)
_GOODS = tuple(_NOUNS.split())
_PRODUCT = re.compile(r"b[0-9][0-9a-z]{8}")


class RandomShopper:
    """Searches for random goods, whatever the instruction says, and clicks anything that can be clicked."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue with a possible action, all alike probable."""
        return [Generation(self._act(dialogue, random.Random(stream_of(dialogue, seed)))) for dialogue in dialogues]

    def _act(self, dialogue: Dialogue, rng: random.Random) -> str:
        available = _available(dialogue)
        if available.get("has_search_bar"):
            return f"Action: search[{' '.join(rng.sample(self._words(dialogue), 2))}]"
        return f"Action: click[{rng.choice(available.get('clickables') or ['back to search'])}]"

    def _words(self, dialogue: Dialogue) -> Sequence[str]:
        return _GOODS


class RandomReader(RandomShopper):
    """Like RandomShopper, but that its searches are random words of the instruction."""

    def _words(self, dialogue: Dialogue) -> Sequence[str]:
        words = _instruction(dialogue).split()
        return words if len(words) > 1 else _GOODS


class FirstResult:
    """Searches for the whole instruction, takes the first result, chooses the options it names, and buys."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue with the next action of this plan."""
        return [Generation(self._act(dialogue)) for dialogue in dialogues]

    def _act(self, dialogue: Dialogue) -> str:
        available = _available(dialogue)
        instruction = _instruction(dialogue)
        if available.get("has_search_bar"):
            return f"Action: search[{instruction}]"
        labels = available.get("clickables") or []
        if "buy now" not in labels:
            found = next((label for label in labels if _PRODUCT.fullmatch(label)), "back to search")
            return f"Action: click[{found}]"
        done = {message.content for message in dialogue.messages if message.speaker == dialogue.role}
        words = f" {re.sub(r'[^a-z0-9]+', ' ', instruction)} "
        for label in labels[labels.index("buy now") + 1 :]:
            action = f"Action: click[{label}]"
            if action not in done and f" {re.sub(r'[^a-z0-9]+', ' ', label).strip()} " in words:
                return action
        return "Action: click[buy now]"


def _available(dialogue: Dialogue) -> dict[str, Any]:
    """What the latest observation says can be done."""
    text = dialogue.messages[-1].content if dialogue.messages else ""
    try:
        value = ast.literal_eval(text.rpartition(_AVAILABLE)[2].split("\n")[0])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    return value if isinstance(value, dict) else {}


def _instruction(dialogue: Dialogue) -> str:
    found = (_INSTRUCTION.search(message.content) for message in dialogue.messages)
    return next((match[1] for match in found if match), "")
