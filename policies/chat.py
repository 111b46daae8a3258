"""Dialogues as token ids: what is new is rendered by the model's chat template, encoded once, and kept.

A reply is kept as it was sampled. What the template writes between two replies (the end of the reply's frame, the
messages of the others, the prompt for the next reply) is the *delta*, found by rendering with and without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from cmat_env.errors import ConfigError, ContractError
from cmat_env.types import Dialogue, Generation, Message


class ChatEncoder:
    """Turns messages into token ids by a tokenizer's chat template.

    What is said is text: where it spells a special token, a space is put into it, so that nobody can write another
    one's turn.

    Args:
        tokenizer: with a chat template and an end-of-turn token (`eos_token`), with which the template ends a reply.

    Raises:
        ConfigError: the tokenizer lacks one of them, or they do not fit together.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.chat_template:
            raise ConfigError(
                f"the tokenizer of {tokenizer.name_or_path or 'this model'} has no chat template; "
                "set tokenizer.chat_template or save a chat_template.jinja beside it"
            )
        if tokenizer.eos_token_id is None:
            raise ConfigError("the tokenizer has no eos_token; set it to the token that ends a turn")
        self.tokenizer = tokenizer
        self.end_id = int(tokenizer.eos_token_id)
        special = sorted((t.content for t in tokenizer.added_tokens_decoder.values() if t.special), key=len)
        self._special = re.compile("|".join(map(re.escape, reversed(special))) or r"(?!)")
        self._check_ending()
        self._concatenates = self._is_concatenative()

    def encode(self, dialogues: Sequence[Dialogue]) -> None:
        """Encode what is pending in each dialogue, with the prompt for its reply."""
        waiting = [dialogue for dialogue in dialogues if dialogue.pending or not dialogue.token_ids]
        if not waiting:
            return
        deltas = self._ids([self._delta(dialogue) for dialogue in waiting])
        for dialogue, ids in zip(waiting, deltas, strict=True):
            dialogue.encode(ids)

    def decode(self, replies: Sequence[Sequence[int]]) -> list[str]:
        """The text of sampled replies, special tokens removed."""
        if not replies:
            return []
        texts: list[str] = self.tokenizer.batch_decode(list(map(list, replies)), skip_special_tokens=True)
        return texts

    def tokenize(self, dialogue: Dialogue) -> Dialogue:
        """A copy of a dialogue with token ids for every message; each reply ends with the end-of-turn token."""
        copy = Dialogue(dialogue.role, seed=dialogue.seed)
        for message in dialogue.messages:
            if message.speaker != dialogue.role:
                copy.say(message)
                continue
            self.encode([copy])
            ids = (*self._ids([self._plain(message.content)])[0], self.end_id)
            copy.reply(Generation(message.content, ids))
        return copy

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids; half a surrogate pair, which no encoding of text knows, becomes a question mark."""
        known = [text.encode("utf-8", "replace").decode() for text in texts]
        ids: list[list[int]] = self.tokenizer(known, add_special_tokens=False)["input_ids"]
        return ids

    def _plain(self, text: str) -> str:
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)

    def _delta(self, dialogue: Dialogue) -> str:
        """The text between the end of the last sampled reply and the next one."""
        chat = as_chat(dialogue.messages, dialogue.role)
        done = len(dialogue.messages) - len(dialogue.pending)
        if done == 0:
            return self._render(chat or [{"role": "user", "content": ""}], prompt=True)
        if not dialogue.turns or dialogue.turns[-1][1] != len(dialogue.token_ids):
            raise ContractError(
                f"{dialogue!r} was encoded for a reply that has not come with its token ids; "
                "give it to Dialogue.reply before anybody says more"
            )
        history = as_chat(dialogue.messages[:done], dialogue.role)
        ended = dialogue.token_ids[-1:] == [self.end_id]
        if self._concatenates:
            frame = "" if ended else str(self.tokenizer.eos_token)
            return frame + self._render(chat[len(history) :], prompt=True)
        before, after = self._render(history, prompt=False), self._render(chat, prompt=True)
        if not after.startswith(before):
            raise ConfigError(
                "the chat template rewrites earlier turns when later ones come, so that sampled tokens cannot be kept; "
                "use a template in which every message is rendered the same wherever it stands"
            )
        return self._closing(before, ended=ended) + after[len(before) :]

    def _closing(self, rendered: str, *, ended: bool) -> str:
        """What the template puts behind the last reply, less the end-of-turn token where it was sampled."""
        end = str(self.tokenizer.eos_token)
        position = rendered.rfind(end)
        return rendered[position + len(end) :] if ended else rendered[position:]

    def _render(self, chat: list[dict[str, str]], *, prompt: bool) -> str:
        plain = [{**message, "content": self._plain(message["content"])} for message in chat]
        try:
            text = self.tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt)
        except TemplateError as error:
            said = ", ".join(message["role"] for message in chat)
            raise ConfigError(f"the chat template refuses messages of {said}: {error}") from error
        return str(text)

    def _check_ending(self) -> None:
        chat = [{"role": "user", "content": "(a)"}, {"role": "assistant", "content": "(b)"}]
        ending = self._render(chat, prompt=False).rpartition("(b)")[2]
        if str(self.tokenizer.eos_token) not in ending:
            raise ConfigError(
                f"the chat template ends a reply with {ending!r}, but the tokenizer's eos_token is "
                f"{self.tokenizer.eos_token!r}; set tokenizer.eos_token to the token that ends a turn"
            )

    def _is_concatenative(self) -> bool:
        """Does the template render each message by itself, ending a reply with the end-of-turn token alone?"""
        user, reply = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
        try:
            parts = [self._render([message], prompt=False) for message in (user, reply, user)]
            whole = self._render([user, reply, user], prompt=False)
        except ConfigError:
            return False
        return whole == "".join(parts) and parts[1].endswith("b" + str(self.tokenizer.eos_token))


def as_chat(messages: Sequence[Message], role: str) -> list[dict[str, str]]:
    """Messages as a chat template knows them: the role's own are the assistant's, everybody else's the user's.

    Neighbouring messages of others become one, because many templates want user and assistant to alternate.
    """
    chat: list[dict[str, str]] = []
    for message in messages:
        name = "assistant" if message.speaker == role else "system" if message.speaker == "system" else "user"
        if chat and chat[-1]["role"] == name == "user":
            chat[-1] = {"role": "user", "content": f"{chat[-1]['content']}\n\n{message.content}"}
        else:
            chat.append({"role": name, "content": message.content})
    return chat
