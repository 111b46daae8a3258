"""Who speaks next, and in which words each role is told what happened: the two replaceable tables of a CollabEnv."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, Protocol

from cmat_env.errors import ConfigError, did_you_mean

ROLES = ("user", "assistant", "checker")
SPEAKERS = ("environment", "system", *ROLES)
TASK = "task"

Event = Literal["start", "proposal", "revise", "outcome", "milestone"]
Feedback = Literal["words", "verdict"]

ANSWERS: Mapping[str, tuple[str, ...]] = {
    "start": ("user", "assistant"),
    "proposal": ("checker", TASK),
    "revise": ("assistant", TASK),
    "outcome": ("user", "assistant"),
    "milestone": ("user", "assistant"),
}


class Moment(NamedTuple):
    """What an order knows when it is asked who comes next.

    Attributes:
        event: "start" = the task is stated, "proposal" = the assistant proposed an action, "revise" = the checker asked
            for a revision, "outcome" = the task executed an action and goes on, "milestone" = the same, and a part of
            what the user wants is dealt with.
        roles: those that are present.
        executed: how many actions the task has executed.
        revisions: how many revisions the checker asked for since then.
        max_revisions: how many it may ask for.
    """

    event: Event
    roles: tuple[str, ...]
    executed: int
    revisions: int
    max_revisions: int


class Order(Protocol):
    """Anything that says who comes next. It must be a pure function of the moment."""

    def next(self, moment: Moment) -> str:
        """A present role, or "task" to execute the proposal; `ANSWERS` lists what each event allows."""
        ...


@dataclass(frozen=True, slots=True)
class TurnOrder:
    """A table from what happened to who may come next: the first one that is present and has a say does.

    The checker has a say while revisions are left. A user speaks with the assistant only, so after a user it is always
    the assistant; an approved proposal is always executed.

    Attributes:
        start: after the task is stated.
        proposal: after the assistant proposed an action.
        revise: after the checker asked for a revision; ("task",) makes it an adviser that stops nothing.
        outcome: after the task executed an action; ("user", "assistant") lets the user comment on every outcome.
        milestone: after an action that the task calls a milestone.
    """

    start: tuple[str, ...] = ("user", "assistant")
    proposal: tuple[str, ...] = ("checker", TASK)
    revise: tuple[str, ...] = ("assistant",)
    outcome: tuple[str, ...] = ("assistant",)
    milestone: tuple[str, ...] = ("user", "assistant")

    def __post_init__(self) -> None:
        for field in fields(self):
            row: tuple[str, ...] = getattr(self, field.name)
            known = ANSWERS[field.name]
            for speaker in row:
                if speaker not in known:
                    raise ConfigError(f"TurnOrder.{field.name} names {speaker!r}; {did_you_mean(str(speaker), known)}")
            if not row or row[-1] not in ("assistant", TASK):
                wanted = " or ".join(repr(name) for name in known if name in ("assistant", TASK))
                raise ConfigError(f"TurnOrder.{field.name}={row!r} can leave nobody to go on; let it end in {wanted}")

    def next(self, moment: Moment) -> str:
        """The first of the event's row that is present and has a say."""
        for speaker in getattr(self, moment.event):
            if speaker == TASK or (
                speaker in moment.roles and (speaker != "checker" or moment.revisions < moment.max_revisions)
            ):
                return str(speaker)
        raise ConfigError(f"nobody of {moment.roles} comes next at {moment.event!r}; the assistant must be present")


@dataclass(frozen=True, slots=True)
class Wording:
    """The templates of what roles are told; each names exactly its own fields in braces.

    Attributes:
        outcome: how the checker is told what the task answered since its last turn.
        proposal: how the checker is shown the action to judge.
        dry_run: how the checker is told what the action would give.
        dry_end: told in place of that where the action would end the episode, so that no grade leaks.
        dry_graded: told in place of that where the action is an answer that is graded at once.
        brief: how the user is told what it knows, where it knows more than the task's statement.
        question, answer: how the checker is told what assistant and user said to each other.
        no_answer: told to the assistant where the user says nothing to its question.
        refusal: what the assistant is told of a refusal where it does not get the checker's own words.
        comment: how the assistant is shown an outcome together with what the user says about it.
        cut: put at the end of a message that was too long.
    """

    outcome: str = "Outcome: {observation}"
    proposal: str = "Proposal:\n{action}"
    dry_run: str = "Dry run: {observation}"
    dry_end: str = "the episode would end"
    dry_graded: str = "the answer would be graded"
    brief: str = "{statement}\nYou know, and tell when you are asked: {facts}"
    question: str = "Question: {question}"
    answer: str = "Answer: {answer}"
    no_answer: str = "I do not know."
    refusal: str = "Verdict: revise. Try again."
    comment: str = "{observation}\n{message}"
    cut: str = " [cut]"

    def __post_init__(self) -> None:
        wanted = {
            "outcome": {"observation"}, "proposal": {"action"}, "dry_run": {"observation"},
            "comment": {"observation", "message"}, "brief": {"statement", "facts"}, "question": {"question"},
            "answer": {"answer"},
        }  # fmt: skip
        for name, names in wanted.items():
            template: str = getattr(self, name)
            try:
                found = {part[1] for part in string.Formatter().parse(template) if part[1] is not None}
            except ValueError as error:
                raise ConfigError(
                    f"Wording.{name}={template!r} is no template ({error}); write a literal brace as {{{{"
                ) from None
            if found != names:
                listed = ", ".join(f"{{{each}}}" for each in sorted(names))
                raise ConfigError(f"Wording.{name}={template!r} names {sorted(found)}; it must name exactly {listed}")
