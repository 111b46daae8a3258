"""How a team works together: its roles, its rules and its words; what an episode is played by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args, runtime_checkable

from cmat_env.errors import ConfigError, ContractError, did_you_mean
from cmat_env.ledger import RewardRule
from cmat_env.order import ANSWERS, ROLES, TASK, Feedback, Moment, Order, TurnOrder, Wording

_MIN_MESSAGE = 64


@runtime_checkable
class Forkable(Protocol):
    """A task whose state can be taken and put back."""

    def snapshot(self) -> Any:
        """The state of the episode, untouched by what comes after."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Go on from `snapshot`, which may be used again."""
        ...


@dataclass(frozen=True, slots=True)
class Team:
    """How a team works together.

    Attributes:
        roles: those that are present, the assistant among them.
        max_revisions: how often the checker may ask for a revision before the next proposal executes unreviewed.
        rewards: who is paid for what.
        order: who speaks next.
        wording: the templates of composed messages.
        dry_run: show the checker what the proposal would give.
        share_dry_run: show that to the assistant too, when it is asked to revise.
        questions: how many the assistant may ask the user in an episode; a further one is an action like any other.
        feedback: what the assistant is told of a refusal: the checker's own "words", or its "verdict" alone, in
            words that are always the same.
        max_message: characters that a message has at most; longer ones are cut.
    """

    roles: tuple[str, ...] = ROLES
    max_revisions: int = 1
    rewards: RewardRule = field(default_factory=RewardRule)
    order: Order = field(default_factory=TurnOrder)
    wording: Wording = field(default_factory=Wording)
    dry_run: bool = False
    share_dry_run: bool = False
    questions: int = 0
    feedback: Feedback = "words"
    max_message: int = 100_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", _checked_roles(self.roles))
        for name, least in (("max_revisions", 0), ("questions", 0), ("max_message", _MIN_MESSAGE)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{name}={value!r} is not possible; give an int of at least {least}")
        if self.feedback not in get_args(Feedback):
            raise ConfigError(f"feedback={self.feedback!r}: {did_you_mean(self.feedback, get_args(Feedback))}")

    def next(self, moment: Moment) -> str:
        """Who comes next: a present role or the task.

        Raises:
            ContractError: the order names nobody who may speak then.
        """
        speaker = self.order.next(moment)
        if speaker not in ANSWERS[moment.event] or (speaker != TASK and speaker not in self.roles):
            wanted = [name for name in ANSWERS[moment.event] if name == TASK or name in self.roles]
            raise ContractError(f"{type(self.order).__name__} answered {speaker!r} to {moment}; wanted one of {wanted}")
        return speaker

    def cut(self, message: str) -> str:
        """The message, short enough."""
        if len(message) <= self.max_message:
            return message
        return message[: self.max_message - len(self.wording.cut)] + self.wording.cut


def _checked_roles(roles: Iterable[str]) -> tuple[str, ...]:
    if isinstance(roles, str):
        raise ConfigError(f"roles={roles!r} is one string; write a tuple, such as roles=({roles!r},)")
    given = tuple(roles)
    for role in given:
        if role not in ROLES:
            raise ConfigError(f"there is no role {role!r}; {did_you_mean(str(role), ROLES)}")
    if "assistant" not in given:
        raise ConfigError(f"roles={given!r} has no assistant, which is who acts on the task; add 'assistant'")
    if len(set(given)) != len(given):
        raise ConfigError(f"roles={given!r} names a role twice; name each once")
    return tuple(role for role in ROLES if role in given)
