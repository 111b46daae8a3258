"""What is said in an episode, and the token ids that stand for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a dialogue.

    Attributes:
        speaker: who said it: "system", "environment", or the name of a role.
        content: what was said.
    """

    speaker: str
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a reply took, as the endpoint that gave it counts; of a menu, what the policies behind it took together.

    Attributes:
        prompt_tokens: that was read.
        reply_tokens: that was written.
        cost: at the prices given; None where none is.
        cached: True = the answer was there already, and nothing was paid for it now.
        calls: replies of policies behind the menu that this one was chosen from; None = it is of no such menu.
    """

    prompt_tokens: int
    reply_tokens: int
    cost: float | None = None
    cached: bool = False
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What a policy said in answer to one dialogue.

    Attributes:
        text: the decoded reply, special tokens removed.
        token_ids: (T,) ids as sampled, end of turn included; None if the policy hides them.
        logprobs: (T,) natural logarithm of each id's probability under the sampling distribution, in nats.
        finish_reason: "stop" = it ended its turn, "length" = it was cut, "error" = the policy failed; text says how.
        tokens: (T,) pieces of the text that logprobs belong to, where a policy shows them and hides the ids.
        usage: what the reply took, where an endpoint or a menu says so.
        values: (T,) what its value head said before each token; None if it has none. Never logged.

    Raises:
        ValueError: logprobs or values are not one a token.
    """

    text: str
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    finish_reason: FinishReason = "stop"
    tokens: tuple[str, ...] | None = None
    usage: Usage | None = None
    values: tuple[float, ...] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        name = "token_ids" if self.tokens is None else "tokens"
        count = len((self.tokens if self.token_ids is None else self.token_ids) or ())
        if self.logprobs is not None and len(self.logprobs) != count:
            raise ValueError(f"{count} {name} but {len(self.logprobs)} logprobs; one each")
        if self.values is not None and len(self.values) != len(self.token_ids or ()):
            raise ValueError(f"{len(self.token_ids or ())} token_ids but {len(self.values)} values; one each")


class Dialogue:
    """What one role has seen and said in one episode: append-only, and the owner of its token ids.

    Others speak with `say`, the role itself with `reply`. A token policy encodes what is `pending` with `encode`; ids
    are written once and never re-tokenised, so what was sampled is what is trained on.

    Attributes:
        role: whose dialogue it is; it selects the adapter.
        seed: the episode's seed for this role; sampling depends on it and on nothing beside it.
        messages: everything said, in order.
        token_ids: (T,) ids of all that has been encoded or sampled so far.
        action_mask: (T,) True = the role itself wrote this token.
        logprobs: (T,) in nats as sampled; 0.0 where action_mask is False.
        turns: [start, end) spans of the role's own replies in token_ids.
    """

    __slots__ = ("__weakref__", "_encoded", "action_mask", "logprobs", "messages", "role", "seed", "token_ids", "turns")

    def __init__(self, role: str, *, seed: int = 0, messages: Sequence[Message] = ()) -> None:
        self.role = role
        self.seed = seed
        self.messages: list[Message] = list(messages)
        self.token_ids: list[int] = []
        self.action_mask: list[bool] = []
        self.logprobs: list[float] = []
        self.turns: list[tuple[int, int]] = []
        self._encoded = 0

    @property
    def pending(self) -> Sequence[Message]:
        """Messages that no token ids stand for yet."""
        return self.messages[self._encoded :]

    @property
    def replies(self) -> int:
        """How often the role itself has spoken."""
        return sum(message.speaker == self.role for message in self.messages)

    def say(self, message: Message) -> None:
        """Append what somebody else said."""
        self.messages.append(message)

    def encode(self, token_ids: Sequence[int]) -> None:
        """Append the ids of all pending messages and of the prompt for the role's reply."""
        self.token_ids.extend(token_ids)
        self.action_mask.extend([False] * len(token_ids))
        self.logprobs.extend([0.0] * len(token_ids))
        self._encoded = len(self.messages)

    def reply(self, generation: Generation) -> None:
        """Append what the role itself said, with its token ids where the policy shows them."""
        self.messages.append(Message(self.role, generation.text))
        if generation.token_ids is None:
            return
        start = len(self.token_ids)
        self.token_ids.extend(generation.token_ids)
        self.action_mask.extend([True] * len(generation.token_ids))
        self.logprobs.extend(generation.logprobs or [0.0] * len(generation.token_ids))
        self.turns.append((start, len(self.token_ids)))
        self._encoded = len(self.messages)

    def __repr__(self) -> str:
        return f"Dialogue(role={self.role!r}, messages={len(self.messages)}, tokens={len(self.token_ids)})"
