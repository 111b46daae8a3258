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
_PLAN = re.compile(r"I will try (.+)\.$")
_BETWEEN = "; "


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a prompt tells.

    Attributes:
        plan: of the latest reflection on an earlier trial of this task: the moves to try now.
        solved: of earlier tasks, whole notes of what solved them.
        planned: moves that were to be tried in earlier tasks, after others had failed.
    """

    plan: tuple[str, ...] = ()
    solved: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()

    @classmethod
    def of(cls, prompt: str) -> Lessons:
        """Read a system prompt."""
        before, _, trials = prompt.partition(TRIALS)
        tasks = _items(before.partition(TASKS)[2])
        plans = [_moves(item) for item in _items(trials)]
        return cls(
            plan=plans[-1] if plans else (),
            solved=tuple(item for item in tasks if item.startswith("Solved: ")),
            planned=tuple(move for item in tasks for move in _moves(item)),
        )


NOTHING = Lessons()


def reflection(moves: Sequence[str]) -> str:
    """A reflection in one sentence: what will be done when the task is tried again."""
    return f"I will try {_BETWEEN.join(moves)}." if moves else ""


def asked_to_reflect(message: str) -> bool:
    """Is this a request to reflect, as `cmat_env.agents.reflection` words it?"""
    return _REQUEST.search(message) is not None


def _items(text: str) -> list[str]:
    return [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]


def _moves(item: str) -> tuple[str, ...]:
    """The moves that a note plans."""
    found = _PLAN.match(item)
    return tuple(found[1].split(_BETWEEN)) if found else ()
