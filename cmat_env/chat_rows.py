"""Dialogues as rows of chat data, out of episodes and out of other people's files.

    {"messages": [{"role": "user", "content": "...", "loss": false}, {"role": "assistant", ..., "loss": true}],
     "role": "assistant", "env_id": ..., "task_id": ..., "task_type": ..., "seed": ..., "success": ..., "reward": ...}

"assistant" is the role whose row it is, "user" everybody else, "system" its prompt; loss = is it to be learned? Read
are also `loss` as a list beside the messages, ShareGPT's and AgentInstruct's `conversations` ({"from": "gpt", "value":
..., "loss": ...}), and `prompt` with `completion`; in JSONL, a JSON list, or Parquet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmat_env.errors import MissingExtraError, TaskFileError
from cmat_env.types import Dialogue, Message, Trajectory

_NAMES = {
    "system": "system", "developer": "system",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "user": "user", "human": "user", "tool": "user", "function": "user", "observation": "user", "environment": "user",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a row.

    Attributes:
        role: "system", "user" or "assistant".
        content: what was said.
        loss: is it to be learned?
    """

    role: str
    content: str
    loss: bool = False


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One dialogue of one role.

    Attributes:
        messages: in order.
        role: whose dialogue.
        facts: where it comes from; see the head of this module.
    """

    messages: tuple[Said, ...]
    role: str = "assistant"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The row in JSON's types."""
        messages = [{"role": each.role, "content": each.content, "loss": each.loss} for each in self.messages]
        return {"messages": messages, "role": self.role, **self.facts}

    def chat(self) -> list[dict[str, str]]:
        """The messages as a chat template takes them."""
        return [{"role": each.role, "content": each.content} for each in self.messages]

    def dialogue(self) -> Dialogue:
        """The dialogue, for a policy to encode."""
        speakers = {"system": "system", "assistant": self.role, "user": "environment"}
        return Dialogue(self.role, messages=[Message(speakers[each.role], each.content) for each in self.messages])

    def unlearned(self, encoded: Dialogue) -> Dialogue:
        """The same dialogue, encoded, but what the role said without loss is context: action_mask is False there."""
        own = [each.loss for each in self.messages if each.role == "assistant"]
        for (start, end), learn in zip(encoded.turns, own, strict=True):
            if not learn:
                encoded.action_mask[start:end] = [False] * (end - start)
        return encoded


def rows_of(episodes: Iterable[Trajectory], roles: Sequence[str] = ("assistant",)) -> Iterator[ChatRow]:
    """The dialogues of some roles; all that a role said itself is to be learned."""
    for episode in episodes:
        for role in roles:
            for dialogue in episode.dialogues.get(role, ()):
                said = tuple(_said(message, role) for message in dialogue.messages)
                if any(each.loss for each in said):
                    yield ChatRow(said, role, facts_of(episode, role))


def facts_of(episode: Trajectory, role: str) -> dict[str, Any]:
    """Where a row comes from, in JSON's types."""
    return {
        "env_id": episode.env_id,
        "task_id": episode.task_id,
        "task_type": episode.task_type,
        "seed": episode.seed,
        "success": episode.success,
        "score": episode.score,
        "reward": episode.returns().get(role, 0.0),
        "outcome": episode.outcome,
    }


def read_rows(path: Path | str) -> list[ChatRow]:
    """The rows of a file in any of the forms above; what has nothing to learn is left out.

    Raises:
        TaskFileError: the file cannot be read, or something in it is no dialogue; file, row and field are named.
        MissingExtraError: it is Parquet, and pyarrow is not installed.
    """
    file = Path(path)
    rows = [_row(value, f"{file}, row {number}") for number, value in enumerate(_values(file), 1)]
    found = [row for row in rows if any(each.loss for each in row.messages)]
    if not found:
        raise TaskFileError(
            f"{file} holds no dialogue with anything to learn; wanted messages, conversations or prompts"
        )
    return found


def _values(file: Path) -> list[Any]:
    if file.suffix == ".parquet":
        return _parquet(file)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskFileError(f"{file} cannot be read: {error}") from error
    try:
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise TaskFileError(f"{file} is neither JSON lines nor a JSON list: {error}") from error


def _parquet(file: Path) -> list[Any]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - heavy, and an optional dependency
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("pyarrow", "export") from error
    try:
        return list(parquet.read_table(file).to_pylist())
    except (OSError, ArrowException) as error:
        raise TaskFileError(f"{file} cannot be read: {error}") from error


def _row(value: Any, place: str) -> ChatRow:
    if not isinstance(value, Mapping):
        raise TaskFileError(f"{place}: a {type(value).__name__}; wanted an object")
    if "messages" in value:
        listed, names = value["messages"], ("role", "content")
    elif "conversations" in value:
        listed, names = value["conversations"], ("from", "value")
    elif "prompt" in value and "completion" in value:
        listed, names = _completed(value, place), ("role", "content")
    else:
        raise TaskFileError(f"{place}: wanted 'messages', 'conversations', or 'prompt' with 'completion'")
    if not isinstance(listed, list):
        raise TaskFileError(f"{place}: the messages are a {type(listed).__name__}; wanted a list")
    beside = value.get("loss")
    if beside is not None and (not isinstance(beside, list) or len(beside) != len(listed)):
        raise TaskFileError(f"{place}: loss must be a list with one flag a message")
    flags = beside or [None] * len(listed)
    said = [
        _read(message, flag, names, f"{place}, message {number}")
        for number, (message, flag) in enumerate(zip(listed, flags, strict=True), 1)
    ]
    taken = ("messages", "conversations", "prompt", "completion", "loss", "role")
    facts = {name: fact for name, fact in value.items() if name not in taken}
    return ChatRow(tuple(said), str(value.get("role") or "assistant"), facts)


def _completed(value: Mapping[str, Any], place: str) -> list[Any]:
    """A prompt, of which nothing is learned, and its completion; either may be one text."""
    prompt, completion = value["prompt"], value["completion"]
    prompt = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    completion = [{"role": "assistant", "content": completion}] if isinstance(completion, str) else completion
    if not isinstance(prompt, list) or not isinstance(completion, list):
        raise TaskFileError(f"{place}: prompt and completion must be texts or lists of messages")
    return [{**each, "loss": False} if isinstance(each, Mapping) else each for each in prompt] + completion


def _read(message: Any, flag: Any, names: tuple[str, str], place: str) -> Said:
    """One message. A flag that is missing or null says yes to what the assistant said, and nothing else is learned."""
    who, what = names
    if not isinstance(message, Mapping) or not isinstance(message.get(what), str):
        raise TaskFileError(f"{place}: wanted an object with texts {who!r} and {what!r}")
    role = _NAMES.get(str(message.get(who)).lower())
    if role is None:
        raise TaskFileError(f"{place}: {who}={message.get(who)!r} is nobody; known: {', '.join(_NAMES)}")
    learn = message.get("loss") if flag is None else flag
    if learn not in (None, True, False):
        raise TaskFileError(f"{place}: loss={learn!r} must be true, false or null")
    return Said(role, message[what], role == "assistant" and learn is not False)


def _said(message: Message, role: str) -> Said:
    own = message.speaker == role
    return Said("assistant" if own else "system" if message.speaker == "system" else "user", message.content, own)
