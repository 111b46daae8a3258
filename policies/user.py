"""A user without a model: states the task, tells what it knows when asked, and ends the dialogue.

Unlike the policies that play a task it sees no answers: only the task's `Brief`, which is the user's own knowledge. So
it cannot tell a right answer from a wrong one, unless the task reports it.
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
_ENDING = re.compile(r"(?:ies|y|s)$")
_PLACES = {"first": 1, "second": 2, "third": 3, "fourth": 4}
_PART = re.compile(rf"\bpart (\d)\b|\b({'|'.join(_PLACES)}) (?:part|step|task|goal|purchase)\b")


def _words(text: str) -> frozenset[str]:
    """The words of a text, without the endings of a plural."""
    return frozenset(_ENDING.sub("", word) for word in _WORD.findall(text.lower()))


_EMPTY = _words(
    "a an and any are at be by can could did do does for from have how i in is it me mean my no not of on or please "
    "should so tell that the there this to what when where which who why will with would you your"
)
_EVERYTHING = _words("all everything goal need part step task want")


class ScriptedUser:
    """The user role as a rule.

    Where a task has a `brief`, goals are said in the style; a question (`questions=N` of the environment) is answered
    by what it knows that shares most words with it; a goal that was dealt with wrongly, as the task reported, is asked
    for again; and the dialogue is ended once its questions are answered, rightly or not: it does not know. Of a task
    without a brief it knows the statement.

    Args:
        style: "verbatim" = everything at once, as the task says it; "paraphrase" = in other words, behind a polite
            sentence where the task has no others; "split" = goal by goal, each when the one before is dealt with.

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
        brief = getattr(self._tasks[dialogue], "brief", None) or Brief("", (_statement(dialogue),))
        heard = dialogue.messages[-1]
        if heard.speaker == "assistant":
            return _told(brief, heard.content)
        if not dialogue.replies:
            return self._first(brief, heard, random.Random(stream_of(dialogue, seed)))
        if brief.answered >= len(brief.goals):
            return FAREWELL
        goal = brief.goals[brief.answered]
        if _said(dialogue, again := f"That was wrong. Please try again: {goal}") < brief.tries:
            return again
        if self.style == "split" and _said(dialogue, "Next: ") < brief.answered:
            return f"Next: {goal}"
        return ""

    def _first(self, brief: Brief, heard: Message, rng: random.Random) -> str:
        if self.style == "paraphrase":
            return _paraphrased(brief, rng)
        if self.style == "split" and len(brief.goals) > 1:
            return "\n".join(filter(None, (brief.goals[0], brief.opening)))
        return brief.statement() if brief.facts else heard.content


def _statement(dialogue: Dialogue) -> str:
    """What the environment said at first."""
    return next((message.content for message in dialogue.messages if message.speaker == "environment"), "")


def _paraphrased(brief: Brief, rng: random.Random) -> str:
    """Every goal in other words than the task's own, where there are some, else behind a polite sentence."""
    others = [
        [words for words in ways if words != goal]
        for goal, ways in zip(brief.goals, brief.wordings or [()] * len(brief.goals), strict=True)
    ]
    goals = [rng.choice(ways) if ways else goal for ways, goal in zip(others, brief.goals, strict=True)]
    said = brief.statement(goals)
    return said if any(others) else rng.choice(_FRAMES).format(said)


def _said(dialogue: Dialogue, words: str) -> int:
    """How often the user has begun to speak so."""
    return sum(message.content.startswith(words) for message in dialogue.messages if message.speaker == dialogue.role)


def _told(brief: Brief, question: str) -> str:
    """What it knows that shares most words with the question; of a part that is named, what concerns that part.

    Where several things share as many words: what the goals leave out or say among others, before the goals, before the
    opening.
    """
    asked, goals = question.lower(), brief.parts
    named = _PART.search(asked)
    part = int(named[1] or _PLACES[named[2]]) if named else 0
    if part > len(goals):
        return UNKNOWN
    said = goals[part - 1] if part else UNKNOWN
    words = _words(_PART.sub("", asked)) - _EMPTY
    if words <= _EVERYTHING:
        return said if part or not words else brief.statement()
    words -= _EVERYTHING
    most = 0
    for texts in ((*brief.facts, *brief.details), goals, brief.opening.splitlines()):
        of_part = [
            text for text in texts if not part or text.startswith(f"Part {part}:") or not text.startswith("Part ")
        ]
        scores = [len(words & _words(text)) for text in of_part]
        if max(scores, default=0) > most:
            most = max(scores)
            said = " ".join(dict.fromkeys(text for text, score in zip(of_part, scores, strict=True) if score == most))
    return said
