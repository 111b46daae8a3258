"""Short-term memory: the dialogue of the running episode, within a token budget.

Source: the trajectory memory of CMAT (arXiv:2404.01663, framework figure); what is dropped and when is ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cmat_env.errors import ConfigError
from cmat_env.types import Dialogue, Message

_NOTE = "[{} earlier messages are left out{}]"
_DID = "; you said: "
_NOTED = re.compile(r"\[(\d+) earlier messages are left out(?:; you said: (.*))?\]", re.DOTALL)
_BETWEEN = " | "
_PART = 80


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, where no tokenizer is at hand: four characters each."""
    return len(text) // 4 + 1


@dataclass(frozen=True, slots=True)
class ShortTermMemory:
    """Keeps a dialogue within a token budget by beginning a new one that leaves the middle out.

    The new dialogue holds the system prompt, the first message (the task), a note of how many messages are left out,
    and the latest messages that fit into half of the budget. The old dialogue is kept as it was: its tokens are a
    training row of their own, so that rows stay exact.

    Attributes:
        budget: longest dialogue in tokens; None = no limit.
        count: how many tokens a text has.
        digest: tokens of the note that may sum up what the role itself said in what is left out, the latest first; 0 =
            it says only how many messages are missing.
    """

    budget: int | None = None
    count: Callable[[str], int] = estimate_tokens
    digest: int = 0

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 16:
            raise ConfigError(f"memory budget={self.budget} tokens is too small; 16 is the least")
        if self.digest < 0 or (self.budget is not None and self.digest > self.budget // 4):
            raise ConfigError(f"memory digest={self.digest} must be from 0 to a quarter of budget={self.budget}")

    def fit(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue itself while it fits, else a shorter one that goes on from it."""
        length = self._length(dialogue)
        if self.budget is None or length <= self.budget:
            return dialogue
        frame, left_out, said, later = _parts(dialogue.messages)
        # The tokens that the dialogue has tell how far the count is off.
        scale = max(1.0, length / max(1, sum(self.count(message.content) for message in dialogue.messages)))
        room = self.budget / 2 - self.digest - scale * sum(self.count(message.content) for message in frame)
        kept: list[Message] = []
        for message in reversed(later):
            room -= scale * self.count(message.content)
            if room < 0 and kept:
                break
            kept.insert(0, message)
        if len(kept) == len(later):
            return dialogue
        gone = later[: len(later) - len(kept)]
        said += [message.content for message in gone if message.speaker == dialogue.role]
        digest = self._digest(said, scale)
        note = Message("environment", _NOTE.format(left_out + len(gone), f"{_DID}{digest}" if digest else ""))
        return Dialogue(dialogue.role, seed=_next_seed(dialogue.seed), messages=[*frame, note, *kept])

    def _digest(self, said: Sequence[str], scale: float) -> str:
        """The first lines of what was said, as many of the latest as there is room for."""
        room, parts = float(self.digest), []
        for text in reversed(said):
            part = " ".join(text.split()).replace(_BETWEEN, " ")[:_PART]
            room -= scale * self.count(part + _BETWEEN)
            if room < 0:
                break
            parts.append(part)
        return _BETWEEN.join(reversed(parts))

    def _length(self, dialogue: Dialogue) -> int:
        if dialogue.token_ids:
            return len(dialogue.token_ids) + sum(self.count(message.content) for message in dialogue.pending)
        return sum(self.count(message.content) for message in dialogue.messages)


def _parts(messages: Sequence[Message]) -> tuple[list[Message], int, list[str], list[Message]]:
    """System prompt and task; what a note says is left out already (how many, and what was said); what came later."""
    system = [message for message in messages if message.speaker == "system"]
    rest = [message for message in messages if message.speaker != "system"]
    noted = _NOTED.fullmatch(rest[1].content) if len(rest) > 1 and rest[1].speaker == "environment" else None
    if noted is None:
        return [*system, *rest[:1]], 0, [], rest[1:]
    return [*system, *rest[:1]], int(noted[1]), noted[2].split(_BETWEEN) if noted[2] else [], rest[2:]


def _next_seed(seed: int) -> int:
    """Another stream of random numbers for each dialogue of an episode: a step of a 64-bit congruential generator."""
    return (seed * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
