"""Short-term memory: the dialogue of the running episode, within a token budget.

Source: the trajectory memory of CMAT (arXiv:2404.01663, framework figure); what is dropped and when is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cmat_env.errors import ConfigError
from cmat_env.types import Dialogue, Message

_NEW_SEED = 0x9E3779B97F4A7C15


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
    """

    budget: int | None = None
    count: Callable[[str], int] = estimate_tokens

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 16:
            raise ConfigError(f"memory budget={self.budget} tokens is too small; 16 is the least")

    def fit(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue itself while it fits, else a shorter one that goes on from it."""
        if self.budget is None or self._length(dialogue) <= self.budget:
            return dialogue
        head = [message for message in dialogue.messages if message.speaker == "system"]
        rest = [message for message in dialogue.messages if message.speaker != "system"]
        task, later = rest[:1], rest[1:]
        room = self.budget // 2 - sum(self.count(message.content) for message in (*head, *task))
        kept: list[Message] = []
        for message in reversed(later):
            room -= self.count(message.content)
            if room < 0 and kept:
                break
            kept.insert(0, message)
        gap = len(later) - len(kept)
        if gap == 0:
            return dialogue
        note = [Message("environment", f"[{gap} earlier messages are left out]")]
        return Dialogue(dialogue.role, seed=dialogue.seed ^ _NEW_SEED, messages=[*head, *task, *note, *kept])

    def _length(self, dialogue: Dialogue) -> int:
        if dialogue.token_ids:
            return len(dialogue.token_ids) + sum(self.count(message.content) for message in dialogue.pending)
        return sum(self.count(message.content) for message in dialogue.messages)
