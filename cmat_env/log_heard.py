"""What each dialogue of an episode heard between its replies, as the lines of a log hold it, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cmat_env.log_fields import LineError, take
from cmat_env.types import Dialogue, Message, Step, Trajectory


class Heard:
    """What each dialogue heard before each of its replies, and after the last one."""

    def __init__(self, episode: Trajectory) -> None:
        self._dialogues = episode.dialogues
        self._at: dict[tuple[str, int], tuple[int, int, int]] = {}  # messages, token ids and token turns written
        steps: dict[tuple[str, int], int] = {}
        for step in episode.steps:
            steps[step.role, step.dialogue] = steps.get((step.role, step.dialogue), 0) + 1
        self._own = {key: self._replies(key)[-count:] for key, count in steps.items()}

    def _replies(self, key: tuple[str, int]) -> list[int]:
        role, number = key
        messages = self._dialogues[role][number].messages
        return [place for place, message in enumerate(messages) if message.speaker == role]

    def before(self, step: Step) -> tuple[list[Message], list[int]]:
        """Messages and token ids between the dialogue's last reply and this one."""
        key = step.role, step.dialogue
        dialogue = self._dialogues[step.role][step.dialogue]
        messages, tokens, turns = self._at.get(key, (0, 0, 0))
        end = self._own[key].pop(0)
        heard, prompt_ids = dialogue.messages[messages:end], []
        if step.generation.token_ids is not None:
            start, stop = dialogue.turns[turns]
            prompt_ids = dialogue.token_ids[tokens:start]
            tokens, turns = stop, turns + 1
        self._at[key] = end + 1, tokens, turns
        return heard, prompt_ids

    def tail(self, role: str, number: int) -> Tail:
        """What a dialogue heard after its last reply."""
        dialogue = self._dialogues[role][number]
        messages, tokens, _ = self._at.get((role, number), (0, 0, 0))
        heard, ids = dialogue.messages[messages:], dialogue.token_ids[tokens:]
        return Tail(dialogue.seed, heard, ids, max(len(heard) - len(dialogue.pending), 0))


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a dialogue: messages after the last reply, and how many of them token_ids stand for."""

    seed: int
    heard: list[Message]
    token_ids: list[int]
    encoded: int

    @classmethod
    def read(cls, line: object) -> Tail:
        """The inverse of `line`.

        Raises:
            LineError: a field is missing or of another type.
        """
        if not isinstance(line, dict):
            raise LineError(f"field 'dialogues' must hold objects, not {type(line).__name__}")
        heard = [read_message(message) for message in take(line, "heard", list)]
        return cls(take(line, "seed", int), heard, take(line, "token_ids", list), take(line, "encoded", int))

    def line(self) -> dict[str, Any]:
        """As part of the footer."""
        return asdict(self) | {"heard": pairs(self.heard)}

    def append_to(self, dialogue: Dialogue) -> None:
        """Let the dialogue hear it again."""
        for message in self.heard[: self.encoded]:
            dialogue.say(message)
        if self.token_ids:
            dialogue.encode(self.token_ids)
        for message in self.heard[self.encoded :]:
            dialogue.say(message)


def pairs(messages: Sequence[Message]) -> list[list[str]]:
    """Messages as JSON has them: [speaker, content] each."""
    return [[message.speaker, message.content] for message in messages]


def read_message(value: object) -> Message:
    """The message that one of `pairs` stands for.

    Raises:
        LineError: it is no such pair.
    """
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, str) for part in value):
        raise LineError("field 'heard' must hold [speaker, content] pairs")
    return Message(*value)
