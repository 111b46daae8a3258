"""Dialogues as token ids: what is new is rendered by the model's chat template, encoded once, and kept.

A reply is kept as it was sampled. What the template writes between two replies (the end of the reply's frame, the
messages of the others, the prompt for the next reply) is the *delta*; `cmat_env.policies.template` finds it.
"""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from cmat_env.errors import ContractError
from cmat_env.policies.messages import as_chat
from cmat_env.policies.template import ChatTemplate
from cmat_env.types import Dialogue, Generation


class ChatEncoder:
    """Turns messages into token ids by a tokenizer's chat template.

    What is said is text: where it spells a special token, a space is put into it, so that nobody can write another
    one's turn.

    Args:
        tokenizer: with a chat template that ends a reply with a token of its own.

    Attributes:
        end_id: the token that ends a reply.
        stop_ids: tokens after which a model has nothing more to say: that one, and the end of the sequence.

    Raises:
        ConfigError: there is no template, or no way to keep sampled tokens under it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.template = ChatTemplate(tokenizer)
        self.end_id = tokenizer.get_vocab()[self.template.end]
        eos = tokenizer.eos_token_id
        self.stop_ids = frozenset({self.end_id, self.end_id if eos is None else int(eos)})

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
            ids = (*self._ids([self.template.plain(message.content)])[0], self.end_id)
            copy.reply(Generation(message.content, ids))
        return copy

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids; half a surrogate pair, which no encoding of text knows, becomes a question mark."""
        known = [text.encode("utf-8", "replace").decode() for text in texts]
        ids: list[list[int]] = self.tokenizer(known, add_special_tokens=False)["input_ids"]
        return ids

    def _delta(self, dialogue: Dialogue) -> str:
        """The text between the end of the last sampled reply and the next one."""
        chat = as_chat(dialogue.messages, dialogue.role)
        done = len(dialogue.messages) - len(dialogue.pending)
        if done == 0:
            return self.template.render(chat or [{"role": "user", "content": ""}], prompt=True)
        if not dialogue.turns or dialogue.turns[-1][1] != len(dialogue.token_ids):
            raise ContractError(
                f"{dialogue!r} was encoded for a reply that has not come with its token ids; "
                "give it to Dialogue.reply before anybody says more"
            )
        history = as_chat(dialogue.messages[:done], dialogue.role)
        ended = dialogue.token_ids[-1:] == [self.end_id]
        return self.template.between(history, chat[len(history) :], ended=ended)
