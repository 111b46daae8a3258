"""What a family of generated tasks makes, before it becomes a task."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from cmat_env.envs.operating_system.generate.words import Words


@dataclass(frozen=True, slots=True)
class Draft:
    """One task.

    Attributes:
        wordings: ways to ask for it.
        init: bash that prepares the machine.
        solution: bash that finds the answer or makes the change.
        slip: bash of somebody who has overlooked one thing, for the imperfect demonstrator.
        answer: the right answer, worked out in Python; None = a change is asked for.
        check: Python that exits with 0 if the change was made; it runs with untouched tools.
    """

    wordings: tuple[str, ...]
    init: str
    solution: str
    slip: str
    answer: str | None = None
    check: str = ""


Family = Callable[[random.Random, Words], Draft]


def lines(*parts: str) -> str:
    """Lines of a script."""
    return "\n".join(parts)


def distinct(rng: random.Random, words: Words, count: int) -> list[str]:
    """Different file names."""
    stems = rng.sample(words.files, min(count, len(words.files)))
    names = [f"{stem}{number}" for number in ("", 2, 3, 4) for stem in stems]
    return [f"{stem}.{rng.choice(words.endings)}" for stem in names[:count]]


def number_lines(numbers: list[int]) -> str:
    """A command's words that print one number a line."""
    return " ".join(map(str, numbers))
