"""An agent: a role with its prompt, its memory and its way to read a reply. It holds no model and no task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cmat_env.agents.memory import ShortTermMemory
from cmat_env.agents.reflection import told
from cmat_env.types import Dialogue, Generation, Message, Recalled

_THINK_END = "</think>"


@dataclass(frozen=True, slots=True)
class Agent:
    """One role of a team.

    Attributes:
        role: its name.
        prompt: its system prompt; `{instructions}` stands for the task's own. Empty = none.
        memory: its short-term memory.
    """

    role: str
    prompt: str = ""
    memory: ShortTermMemory = field(default_factory=ShortTermMemory)

    def begin(self, *, seed: int, instructions: str = "", recalled: Sequence[Recalled] = ()) -> Dialogue:
        """A new dialogue for a new episode; what is recalled stands at the end of the system prompt."""
        prompt = "\n\n".join(
            part for part in (self.prompt.replace("{instructions}", instructions).strip(), told(recalled)) if part
        )
        return Dialogue(self.role, seed=seed, messages=[Message("system", prompt)] if prompt else [])

    def observe(self, dialogue: Dialogue, *, speaker: str, message: str) -> Dialogue:
        """Take in what the environment shows; returns the dialogue to go on with, a new one if memory was full."""
        dialogue.say(Message(speaker, message))
        return self.memory.fit(dialogue)

    def act(self, generation: Generation) -> str:
        """The action in a reply: what stands behind the model's thinking aloud, if it has any."""
        return generation.text.rpartition(_THINK_END)[2].strip()
