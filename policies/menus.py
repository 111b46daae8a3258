"""What a role that chooses may choose from: a short list of texts at every turn, or a call of another policy.

verdicts | offered | task | proposed:POLICY*N | router:POLICY | module:attribute
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean
from cmat_env.policies.extras import optional
from cmat_env.policies.offered import offered_by, wish_in
from cmat_env.policies.scripted import APPROVE, REVISE
from cmat_env.types import Dialogue, Generation, Oracle, Policy, Task, Usage

CALL = "(call the checker)"
_SAMPLES_APART = 0x9E3779B97F4A7C15
_CHARACTERS_A_TOKEN = 4
_KINDS = ("verdicts", "offered", "task", "proposed:POLICY*N", "router:POLICY", "module:attribute")


class ParsePolicy(Protocol):
    """Makes a policy of its specification, as `cmat_env.policies.spec.parse_spec` for one role."""

    def __call__(self, spec: str, *, greedy: bool = True) -> Policy:
        """The policy; `greedy`: a model takes the likeliest token instead of sampling."""
        ...


class Menu(Protocol):
    """The choices of a role, turn by turn.

    Attributes:
        spec: the words that make the same menu again.
    """

    spec: str

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Meet the task of an episode, for menus that ask it what can be done."""
        ...

    def choices(self, dialogue: Dialogue, *, seed: int) -> list[str]:
        """The texts to choose from now; never none."""
        ...

    def answer(self, dialogue: Dialogue, choice: str, *, seed: int) -> tuple[Generation, int]:
        """What is said for a choice, and how many tokens of another policy that took.

        Where another policy was asked, the reply's `usage` says what it counted; one with finish_reason="error" drops
        the episode.
        """
        ...


class FixedMenu:
    """The same texts at every turn.

    Raises:
        ConfigError: there are none.
    """

    def __init__(self, texts: Sequence[str], *, spec: str) -> None:
        if not texts:
            raise ConfigError("a menu needs a text at least")
        self.texts, self.spec = list(texts), spec

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Nothing depends on it."""

    def choices(self, dialogue: Dialogue, *, seed: int) -> list[str]:
        """All of them."""
        return list(self.texts)

    def answer(self, dialogue: Dialogue, choice: str, *, seed: int) -> tuple[Generation, int]:
        """The text."""
        return Generation(choice), 0


class OfferedMenu(FixedMenu):
    """What the latest observation lists as "Available Actions"; the text given where it lists nothing."""

    def __init__(self, otherwise: str = "Action: click[back to search]") -> None:
        super().__init__([otherwise], spec="offered")

    def choices(self, dialogue: Dialogue, *, seed: int) -> list[str]:
        """The clicks, in their order; a search for what is wanted where there is a search bar."""
        heard = [each.content for each in dialogue.messages if each.speaker != "system"] or [""]
        offered = offered_by(heard[-1])
        found = [f"Action: click[{label}]" for label in offered.get("clickables") or () if isinstance(label, str)]
        if offered.get("has_search_bar"):
            found.insert(0, f"Action: search[{wish_in(heard[0]) or ' '.join(heard[0].split()[:12])}]")
        return found or list(self.texts)


class TaskMenu(FixedMenu):
    """What the task itself says can be done: its optional method `candidates() -> list[str]`."""

    def __init__(self) -> None:
        super().__init__([""], spec="task")
        self._tasks: WeakKeyDictionary[Dialogue, Task] = WeakKeyDictionary()

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Meet the task.

        Raises:
            ConfigError: it has no `candidates`.
        """
        if not callable(optional(task, "candidates")):
            raise ConfigError(f"{type(task).__name__} has no candidates(); choose another menu of {', '.join(_KINDS)}")
        self._tasks[dialogue] = task

    def choices(self, dialogue: Dialogue, *, seed: int) -> list[str]:
        """The task's list; an empty text where it is empty."""
        return list(optional(self._tasks[dialogue], "candidates")()) or [""]


@dataclass(frozen=True, slots=True)
class _Proposals:
    """The replies of a turn by their texts, and what all of them took."""

    by_text: dict[str, Generation]
    usage: Usage
    tokens: int


class ProposedMenu(FixedMenu):
    """Several proposals of a policy, equal ones once; a reply that failed is none.

    Args:
        policy: asked `samples` times a turn, each time as in an episode of another seed.
        samples: how often.
        spec: the words that make it again.
    """

    def __init__(self, policy: Policy, samples: int, *, spec: str) -> None:
        super().__init__([""], spec=spec)
        if samples < 1:
            raise ConfigError(f"{spec!r} asks for {samples} proposals; ask for one or more")
        self.policy, self.samples = policy, samples
        self._tasks: WeakKeyDictionary[Dialogue, Task] = WeakKeyDictionary()
        self._proposals: WeakKeyDictionary[Dialogue, _Proposals] = WeakKeyDictionary()

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Keep the task for a policy that must meet it."""
        self._tasks[dialogue] = task

    def choices(self, dialogue: Dialogue, *, seed: int) -> list[str]:
        """What it says, in the order in which it was asked; the failure alone where it failed every time."""
        twins = [
            Dialogue(dialogue.role, seed=dialogue.seed + number * _SAMPLES_APART, messages=dialogue.messages)
            for number in range(self.samples)
        ]
        if isinstance(self.policy, Oracle):
            for twin in twins:
                self.policy.begin(twin, self._tasks[dialogue])
        said = self.policy.generate(twins, seed=seed)
        usable = [generation for generation in said if generation.finish_reason != "error"] or said[:1]
        by_text: dict[str, Generation] = {}
        for generation in usable:
            by_text.setdefault(generation.text, generation)
        tokens = sum(tokens_of(twin, each) for twin, each in zip(twins, said, strict=True) if each in usable)
        self._proposals[dialogue] = _Proposals(by_text, usage_of(twins, said), tokens)
        release = getattr(self.policy, "release", None)
        if release:
            release(twins)
        return list(by_text)

    def answer(self, dialogue: Dialogue, choice: str, *, seed: int) -> tuple[Generation, int]:
        """The proposal, with the tokens that all proposals of this turn took."""
        known = self._proposals[dialogue]
        reason = known.by_text[choice].finish_reason
        return Generation(choice, finish_reason=reason, usage=known.usage), known.tokens


class RouterMenu(FixedMenu):
    """Approve at once, or call a checker that costs tokens: what a learned router chooses between.

    Args:
        checker: the policy that is called.
        spec: the words that make it again.
    """

    def __init__(self, checker: Policy, *, spec: str) -> None:
        super().__init__([APPROVE, CALL], spec=spec)
        self.checker = checker

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Let the checker meet the task, if it is one that does."""
        if isinstance(self.checker, Oracle):
            self.checker.begin(dialogue, task)

    def answer(self, dialogue: Dialogue, choice: str, *, seed: int) -> tuple[Generation, int]:
        """The checker's verdict, with the tokens that it read and wrote; an approval costs nothing."""
        if choice != CALL:
            return Generation(choice, usage=Usage(0, 0, calls=0)), 0
        said = self.checker.generate([dialogue], seed=seed)[0]
        usage = usage_of([dialogue], [said])
        return Generation(said.text, finish_reason=said.finish_reason, usage=usage), tokens_of(dialogue, said)


def usage_of(dialogues: Sequence[Dialogue], replies: Sequence[Generation]) -> Usage:
    """What the policy behind a menu counted for these replies together; 0 tokens where it hides them."""
    usages = [
        said.usage or Usage(*((0, 0) if said.token_ids is None else (len(dialogue.token_ids), len(said.token_ids))))
        for dialogue, said in zip(dialogues, replies, strict=True)
    ]
    costs = [usage.cost for usage in usages if usage.cost is not None]
    return Usage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.reply_tokens for usage in usages),
        sum(costs) if costs else None,
        cached=all(usage.cached for usage in usages),
        calls=len(usages),
    )


def tokens_of(dialogue: Dialogue, said: Generation) -> int:
    """Tokens that a reply takes: those that it read and its own. A policy that hides them: a token for 4 characters."""
    counted = 0 if said.usage is None else said.usage.prompt_tokens + said.usage.reply_tokens
    if counted:
        return counted
    if said.token_ids is not None:
        return len(dialogue.token_ids) + len(said.token_ids)
    characters = sum(len(each.content) for each in dialogue.messages) + len(said.text)
    return math.ceil(characters / _CHARACTERS_A_TOKEN)


def menu_of(spec: str, parse_policy: ParsePolicy) -> Menu:
    """The menu that a specification names.

    Args:
        spec: such as "verdicts" or "proposed:hf:runs/a/final*4".
        parse_policy: makes a policy of its specification; one that proposes is to sample, so as to say several things.

    Raises:
        UnknownNameError: there is no such menu.
        ConfigError: its argument is wrong.
    """
    kind, _, argument = spec.partition(":")
    plain: dict[str, Callable[[], Menu]] = {
        "verdicts": lambda: FixedMenu((APPROVE, f"{REVISE}. Try again."), spec="verdicts"),
        "offered": OfferedMenu,
        "task": TaskMenu,
    }
    if spec in plain:
        return plain[spec]()
    if kind == "router" and argument:
        return RouterMenu(parse_policy(argument), spec=spec)
    if kind == "proposed" and argument:
        policy, star, samples = argument.rpartition("*")
        if not star or not samples.isdecimal():
            raise ConfigError(f"menu {spec!r} does not say how many proposals; write proposed:{argument}*4")
        return ProposedMenu(parse_policy(policy, greedy=False), int(samples), spec=spec)
    if kind not in plain and argument:
        try:
            made: Menu = getattr(importlib.import_module(kind), argument)()
        except (ImportError, AttributeError) as error:
            raise UnknownNameError(f"menu {spec!r} names nothing that can be imported: {error}") from error
        made.spec = spec
        return made
    raise UnknownNameError(f"no menu is called {spec!r}; {did_you_mean(spec, _KINDS)}")
