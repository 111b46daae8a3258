"""Dialogues as chat templates and endpoints know them: a list of {"role", "content"}."""

from __future__ import annotations

from collections.abc import Sequence

from cmat_env.types import Message

Chat = list[dict[str, str]]


def as_chat(messages: Sequence[Message], role: str) -> Chat:
    """Messages as a chat template knows them: the role's own are the assistant's, everybody else's the user's.

    Neighbouring messages of others become one, because many templates want user and assistant to alternate.
    """
    chat: Chat = []
    for message in messages:
        name = "assistant" if message.speaker == role else "system" if message.speaker == "system" else "user"
        if chat and chat[-1]["role"] == name == "user":
            chat[-1] = {"role": "user", "content": f"{chat[-1]['content']}\n\n{message.content}"}
        else:
            chat.append({"role": name, "content": message.content})
    return chat
