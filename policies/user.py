"""A user without a model: states the task, tells what it knows when asked, and ends the dialogue when all is done.

Unlike the policies that play a task it sees no answers: only the task's `Brief`, which is the user's own knowledge.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

from cmat_env.errors import ConfigError, ContractError, did_you_mean
from cmat_env.policies.scripted import stream_of
from cmat_env.types import Brief, Dialogue, Generation, Message, Task

Style = Literal["verbatim", "paraphrase", "split"]
STYLES: tuple[Style, ...] = get_args(Style)

FAREWELL = "End of dialogue."
UNKNOWN = "I do not know."
_FRAMES = ("Please help me with this: {}", "Here is what I need: {}", "I would like you to do the following. {}")
_WORD = re.compile(r"[^\W_]+")
_EMPTY = frozenset(_WORD.findall("a an and are be do i in is it of or should that the this to what which you"))


class ScriptedUser:
    """The user role as a rule.

    Where a task has a `brief`, goals are said in the style, questions (`questions=N` of the environment) are answered
    by the fact that shares most words with them, and the dialogue is ended once every goal is dealt with. A task
    without a brief is stated word for word, or framed by a polite sentence ("paraphrase").

    Args:
        style: "verbatim" = everything at once, as the task says it; "paraphrase" = in other words, where the task has
            some; "split" = goal by goal, each when the one before is dealt with.

    Raises:
        ConfigError: there is no such style.
    """

    def __init__(self, style: Style = "verbatim") -> None:
        if style not in STYLES:
            raise ConfigError(f"user style {style!r} is unknown; {did_you_mean(str(style), STYLES)}")
        self.style = style
        self._tasks: WeakKeyDictionary[Dialogue, Any] = WeakKeyDictionary()

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Meet the task of this episode, for its brief."""
        self._tasks[dialogue] = getattr(task, "unwrapped", task)

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Say the next thing in each dialogue; nothing where there is nothing to say."""
        return [Generation(self._say(dialogue, seed)) for dialogue in dialogues]

    def _say(self, dialogue: Dialogue, seed: int) -> str:
        if dialogue not in self._tasks:
            raise ContractError("the user was asked before begin(dialogue, task); call begin once an episode")
        brief: Brief | None = getattr(self._tasks[dialogue], "brief", None)
        heard = dialogue.messages[-1]
        if heard.speaker == "assistant":
            return _told(brief, heard.content)
        rng = random.Random(stream_of(dialogue, seed))
        if not dialogue.replies:
            return self._first(brief, heard, rng)
        if brief is None:
            return ""
        if brief.answered >= len(brief.goals):
            return FAREWELL
        if self.style == "split" and not _stated(dialogue, brief.answered):
            return f"Next: {brief.goals[brief.answered]}"
        return ""

    def _first(self, brief: Brief | None, heard: Message, rng: random.Random) -> str:
        if brief is None:
            return rng.choice(_FRAMES).format(heard.content) if self.style == "paraphrase" else heard.content
        if self.style == "split":
            return "\n".join(filter(None, (brief.goals[0], brief.opening)))
        if self.style == "paraphrase":
            return _paraphrased(brief, rng)
        return brief.statement()


def _paraphrased(brief: Brief, rng: random.Random) -> str:
    """Every goal in other words than the task's own, where there are some, else behind a polite sentence."""
    others = [
        [words for words in ways if words != goal]
        for goal, ways in zip(brief.goals, brief.wordings or [()] * len(brief.goals), strict=True)
    ]
    goals = [rng.choice(ways) if ways else goal for ways, goal in zip(others, brief.goals, strict=True)]
    said = brief.statement(goals)
    return said if any(others) else rng.choice(_FRAMES).format(said)


def _stated(dialogue: Dialogue, index: int) -> bool:
    """Has the user said this goal? It says one at first, and one with every "Next"."""
    own = [message.content for message in dialogue.messages if message.speaker == dialogue.role]
    return sum(text.startswith("Next: ") for text in own) >= index


def _told(brief: Brief | None, question: str) -> str:
    """The fact that has most words of the question; none where no word that means something is shared."""
    asked = set(_WORD.findall(question.lower())) - _EMPTY
    shared = [(len(asked & set(_WORD.findall(fact.lower()))), fact) for fact in (brief.facts if brief else ())]
    best = max(shared, key=lambda each: each[0], default=(0, UNKNOWN))
    return best[1] if best[0] else UNKNOWN
