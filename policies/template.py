"""What a model's chat template writes around messages: Qwen's, Llama's, Mistral's, Gemma's, or anybody's.

Families differ in the token that ends a reply, in whether they take a system message and who may speak first, and in
whether a message is rendered the same wherever it stands. All of that is found out by rendering small chats, once.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from cmat_env.errors import ConfigError
from cmat_env.policies.messages import Chat

Style = Literal["concatenative", "prefix", "anchored"]
_THOUGHT = "<think>\nhm\n</think>\n\n(b)"
_MARK = "(a reply)"
_REWRITES = (
    "the chat template rewrites earlier turns when later ones come, so that sampled tokens cannot be kept; "
    "use a template in which every message is rendered the same wherever it stands"
)


class ChatTemplate:
    """A tokenizer's chat template, and what was found out about it.

    Args:
        tokenizer: with a chat template.

    Attributes:
        end: the token that ends a reply.
        takes_system: does it show a system message? If not, system messages are said by the user.
        wants_user: must a user speak first? If so, an empty message of the user is put there where none is.
        style: "concatenative" = each message is rendered by itself; "prefix" = what is rendered never changes when more
            is said; "anchored" = it does change (earlier thinking is dropped, or the system prompt moves to the latest
            message), so that what stands between two replies is rendered behind a stand-in for the history.

    Raises:
        ConfigError: there is no template, or no way to keep sampled tokens under it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.chat_template:
            raise ConfigError(
                f"the tokenizer of {tokenizer.name_or_path or 'this model'} has no chat template; put the one that the "
                "model was trained with into chat_template.jinja beside it (or set tokenizer.chat_template), or take "
                "the instruction-tuned version of the model"
            )
        self._tokenizer = tokenizer
        special = sorted((t.content for t in tokenizer.added_tokens_decoder.values() if t.special), key=len)
        self._special = re.compile("|".join(map(re.escape, reversed(special))) or r"(?!)")
        self.takes_system = True
        self.wants_user = not self._takes([_said("assistant", "(b)"), _said("user", "(c)")])
        self.end = self._find_end()
        self.takes_system = self._takes([_said("system", "(s)"), _said("user", "(a)")])
        self.style: Style = self._find_style()

    def render(self, chat: Chat, *, prompt: bool) -> str:
        """The text of a chat, with the prompt for the next reply or without.

        Raises:
            ConfigError: the template refuses these messages.
        """
        plain = [{**message, "content": self.plain(message["content"])} for message in self._acceptable(chat)]
        try:
            text = self._tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt)
        except TemplateError as error:
            said = ", ".join(message["role"] for message in plain)
            raise ConfigError(f"the chat template refuses messages of {said}: {error}") from error
        return str(text)

    def plain(self, text: str) -> str:
        """The text with a space in whatever spells a special token: nobody can write another one's turn."""
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)

    def between(self, history: Chat, later: Chat, *, ended: bool) -> str:
        """What stands between the last reply of the history and the next reply.

        Args:
            history: as far as it is encoded; a reply is its last message.
            later: what others have said since.
            ended: was the end-of-turn token sampled with the reply?
        """
        if self.style == "concatenative":
            return ("" if ended else self.end) + self.render(later, prompt=True)
        if self.style == "prefix":
            before, after = self.render(history, prompt=False), self.render([*history, *later], prompt=True)
            if after.startswith(before):
                return self._from_end(before, before.rfind(self.end), ended=ended) + after[len(before) :]
        stand_in = [_said("user", "(a)"), _said("assistant", _MARK)]
        _, found, tail = self.render([*stand_in, *later], prompt=True).rpartition(_MARK)
        if not found or self.end not in tail:
            raise ConfigError(_REWRITES)
        return self._from_end(tail, tail.find(self.end), ended=ended)

    def _from_end(self, text: str, position: int, *, ended: bool) -> str:
        return text[position + len(self.end) * ended :]

    def _acceptable(self, chat: Chat) -> Chat:
        """The same chat in a form that the template takes: neighbouring messages of the user are one."""
        fitted: Chat = []
        for message in chat:
            role = "user" if message["role"] == "system" and not self.takes_system else message["role"]
            if fitted and fitted[-1]["role"] == role == "user":
                fitted[-1] = _said("user", f"{fitted[-1]['content']}\n\n{message['content']}")
            else:
                fitted.append({**message, "role": role})
        first = next((place for place, message in enumerate(fitted) if message["role"] != "system"), len(fitted))
        if self.wants_user and (first == len(fitted) or fitted[first]["role"] != "user"):
            fitted.insert(first, _said("user", ""))
        return fitted

    def _takes(self, chat: Chat) -> bool:
        """Does the template render these messages as they are, and show what each says?"""
        try:
            text = str(self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=False))
        except TemplateError:
            return False
        return all(message["content"] in text for message in chat)

    def _find_end(self) -> str:
        """The first special token behind a reply, or the end-of-sequence token where it stands there as text."""
        chat = [_said("user", "(a)"), _said("assistant", _MARK)]
        ending = self.render(chat, prompt=False).rpartition(_MARK)[2]
        eos = self._tokenizer.eos_token
        special = self._special.search(ending)
        if special or (eos and eos in ending):
            return special[0] if special else str(eos)
        raise ConfigError(
            f"the chat template ends a reply with {ending!r}, but the tokenizer's eos_token is {eos!r}; "
            "set tokenizer.eos_token to the token that ends a turn, and let the template write it behind each reply"
        )

    def _find_style(self) -> Style:
        user, reply = _said("user", "(a)"), _said("assistant", _THOUGHT)
        try:
            parts = [self.render([message], prompt=False) for message in (user, reply, user)]
            whole = self.render([user, reply, user], prompt=False)
            if whole == "".join(parts) and parts[1].endswith(_THOUGHT + self.end):
                return "concatenative"
        except ConfigError:
            pass
        chat = [_said("system", "(s)"), user, reply, user, reply, user]
        steps = [self.render(chat[:n], prompt=chat[n - 1] is user) for n in range(2, 7)]
        if all(longer.startswith(shorter) for shorter, longer in pairwise(steps)):
            return "prefix"
        self.style = "anchored"
        self.between(chat[:3], [user], ended=True)
        return "anchored"


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
