"""The imperfect demonstrator: a teacher with systematic errors, for warm starts that reward can improve.

At a given share of the steps where it could be mistaken it follows another relation that leads to things of the same
type (people instead of natives), or takes the smallest instead of the largest. Then it goes on as if nothing had
happened, so that only the choice is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cmat_env.envs.knowledge_graph.tasks import Call
from cmat_env.lessons import Lessons

NOTHING = Lessons()
_OTHER = {"argmax": "argmin", "argmin": "argmax"}


class Uniform(Protocol):
    """A source of random numbers, such as `random.Random` or `numpy.random.Generator`."""

    def random(self) -> float:
        """Draw from [0, 1)."""
        ...


def slip(call: Call, menu: Sequence[str], ranges: Mapping[str, str]) -> Call | None:
    """What the call is mistaken for; None = nothing.

    Args:
        call: the right one.
        menu: the relations that may be followed here.
        ranges: relation -> type that it leads to.
    """
    if call.tool in _OTHER:
        return Call(_OTHER[call.tool], call.arguments)
    if call.tool != "get_neighbors":
        return None
    place, right = call.arguments
    alike = [name for name in menu if name != right and ranges.get(name) == ranges.get(right)]
    return Call(call.tool, (place, min(alike))) if alike else None


def next_call(
    right: Call,
    wrong: Call | None,
    rng: Uniform,
    *,
    error: float,
    rejected: Callable[[Call], bool],
    lessons: Lessons = NOTHING,
) -> Call:
    """What the demonstrator does at one step.

    What was planned after an earlier trial is done. Of earlier tasks, one that was solved by the same relation tells
    which one is meant.

    Args:
        right: the step of a right episode.
        wrong: what it is mistaken for.
        rng: all randomness.
        error: share of mistakes where one is possible.
        rejected: was this call refused in this turn?
        lessons: what it was told of earlier trials and tasks.
    """
    if wrong is None:
        return right
    shares = {right: 1.0 - error, wrong: error}
    for call in (right, wrong):
        if str(call) in lessons.plan:
            return call
    word = right.arguments[-1] if right.tool == "get_neighbors" else right.tool
    if any(word in note for note in lessons.solved):
        shares = {right: 1.0}
    left = {call: share for call, share in shares.items() if not rejected(call)} or {right: 1.0}
    mark = rng.random() * sum(left.values())
    for call, share in left.items():
        mark -= share
        if mark < 0:
            return call
    return right
