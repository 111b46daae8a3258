"""What a prompt tells of earlier trials and tasks, and what a rule can read out of it.

A small model understands only what it was taught. Where demonstrations are to teach it to write reflections and to use
what is recalled, a task's scripted demonstrator does both by the words that stand here; it knows no more of the past
than its prompt says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

TRIALS = "From your earlier trials of this task:"
TASKS = "From your work on earlier tasks:"

_REQUEST = re.compile(r"(?:^|\n)(?:Not solved: .*\. Reflect\.|The task was not solved \(.*)$")
_SENTENCE = re.compile(r"(?:^|(?<=\.) )(.+?) was (right|wrong)\.")
_BETWEEN = "; "


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a prompt tells.

    Attributes:
        right, wrong: moves of earlier trials of this task.
        solved: of earlier tasks, whole notes of what solved them.
        failed: moves that were wrong in earlier tasks.
    """

    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    solved: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @classmethod
    def of(cls, prompt: str) -> Lessons:
        """Read a system prompt."""
        before, _, trials = prompt.partition(TRIALS)
        tasks = _items(before.partition(TASKS)[2])
        noted = [_sentences(item) for item in _items(trials)]
        return cls(
            right=tuple(move for right, _ in noted for move in right),
            wrong=tuple(move for _, wrong in noted for move in wrong),
            solved=tuple(item for item in tasks if item.startswith("Solved: ")),
            failed=tuple(move for item in tasks for move in _sentences(item)[1]),
        )


def reflection(*, wrong: Sequence[str], right: Sequence[str] = ()) -> str:
    """A reflection in one or two sentences: which moves were wrong, and which ones were right."""
    said = [f"{_BETWEEN.join(moves)} was {how}." for moves, how in ((wrong, "wrong"), (right, "right")) if moves]
    return " ".join(said)


def asked_to_reflect(message: str) -> bool:
    """Is this a request to reflect, as `cmat_env.agents.reflection` words it?"""
    return _REQUEST.search(message) is not None


def _items(text: str) -> list[str]:
    return [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]


def _sentences(item: str) -> tuple[list[str], list[str]]:
    """The moves that a note calls right, and those that it calls wrong."""
    found: dict[str, list[str]] = {"right": [], "wrong": []}
    for moves, how in _SENTENCE.findall(item):
        found[how] += moves.split(_BETWEEN)
    return found["right"], found["wrong"]
