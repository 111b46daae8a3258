"""Customers without a model, to compare a policy with: one clicks at random, one takes the first result.

They read what a model would read: the latest observation of `cmat/WebShop-v0`. By name on the command line:
`cmat_env.policies.shopper:RandomReader` and `...:FirstResult`. See also the `random` policy of the framework.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from cmat_env.policies.offered import GOODS, any_of, offered_by, wish_in, write
from cmat_env.policies.scripted import stream_of
from cmat_env.types import Dialogue, Generation

_PRODUCT = re.compile(r"b[0-9][0-9a-z]{8}")


class RandomReader:
    """As the framework's `random` policy, but that its searches are random words of the instruction."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue with a possible action, all alike probable."""
        return [Generation(self._act(dialogue, random.Random(stream_of(dialogue, seed)))) for dialogue in dialogues]

    def _act(self, dialogue: Dialogue, rng: random.Random) -> str:
        words = _instruction(dialogue).split()
        words = words if len(words) > 1 else list(GOODS)
        return any_of(_offered(dialogue), rng, words=words, messages=dialogue.messages)


class FirstResult:
    """Searches for the whole instruction, takes the first result, chooses the options it names, and buys."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue with the next action of this plan."""
        return [Generation(self._act(dialogue)) for dialogue in dialogues]

    def _act(self, dialogue: Dialogue) -> str:
        available = _offered(dialogue)
        instruction = _instruction(dialogue)
        if available.get("has_search_bar"):
            return write("search", instruction, dialogue.messages)
        labels = available.get("clickables") or []
        if "buy now" not in labels:
            found = next((label for label in labels if _PRODUCT.fullmatch(label)), "back to search")
            return write("click", found, dialogue.messages)
        done = {message.content for message in dialogue.messages if message.speaker == dialogue.role}
        words = f" {re.sub(r'[^a-z0-9]+', ' ', instruction)} "
        for label in labels[labels.index("buy now") + 1 :]:
            action = write("click", label, dialogue.messages)
            if action not in done and f" {re.sub(r'[^a-z0-9]+', ' ', label).strip()} " in words:
                return action
        return write("click", "buy now", dialogue.messages)


def _offered(dialogue: Dialogue) -> dict[str, Any]:
    """What the latest observation says can be done."""
    return offered_by(dialogue.messages[-1].content) if dialogue.messages else {}


def _instruction(dialogue: Dialogue) -> str:
    wishes = (wish_in(message.content) for message in dialogue.messages)
    return next((wish for wish in wishes if wish), "")
