"""The imperfect demonstrator: a teacher with systematic errors, for warm starts that reward can improve.

At a given share of the steps where it could be mistaken it follows another relation that leads to things of the same
type (people instead of natives), or takes the smallest instead of the largest. Then it goes on as if nothing had
happened, so that only the choice is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cmat_env.envs.knowledge_graph.knowledge import Knowledge
from cmat_env.envs.knowledge_graph.tasks import Call
from cmat_env.envs.knowledge_graph.tools import Session, perform
from cmat_env.lessons import NOTHING, Lessons
from cmat_env.protocols import Uniform

_OTHER = {"argmax": "argmin", "argmin": "argmax"}


@dataclass(frozen=True, slots=True)
class Demonstrator:
    """The demonstrator of one task.

    Attributes:
        knowledge: the graph.
        names: of the task's entities, with their ids.
    """

    knowledge: Knowledge
    names: Mapping[str, str]

    def other(self, call: Call, session: Session) -> Call | None:
        """What a call may be mistaken for, or stands for by mistake; None = nothing."""
        if call.tool in _OTHER:
            return Call(_OTHER[call.tool], call.arguments)
        if call.tool != "get_neighbors":
            return None
        place, right = call.arguments
        shown = perform(
            Call("get_relations", (place,)), session, knowledge=self.knowledge, names=self.names
        ).observation
        schema = self.knowledge.schema
        menu = {
            name: iri for name, iri in schema.relations.items() if re.search(rf"[\[ ]{re.escape(name)}[\],]", shown)
        }
        type_ = schema.ranges.get(schema.relations.get(right, ""))
        alike = [name for name, iri in menu.items() if name != right and schema.ranges.get(iri) == type_]
        return Call(call.tool, (place, min(alike))) if alike else None

    def act(
        self,
        right: Call,
        session: Session,
        rng: Uniform,
        *,
        error: float,
        rejected: Callable[[Call], bool],
        lessons: Lessons = NOTHING,
    ) -> Call:
        """What it does at one step.

        What was planned after an earlier trial is done. Of earlier tasks, one that was solved by the same relation
        tells which one is meant.

        Args:
            right: the step of a right episode.
            session: of the episode so far.
            rng: all randomness.
            error: share of mistakes where one is possible.
            rejected: was this call refused in this turn?
            lessons: what it was told of earlier trials and tasks.
        """
        wrong = self.other(right, session)
        if wrong is None:
            return right
        for call in (right, wrong):
            if str(call) in lessons.plan:
                return call
        word = right.arguments[-1] if right.tool == "get_neighbors" else right.tool
        errs = rng.random() < error and not any(word in note for note in lessons.solved)
        first, second = (wrong, right) if errs else (right, wrong)
        return second if rejected(first) and not rejected(second) else first

    def plan(self, made: Sequence[Call], session: Session, rng: Uniform) -> tuple[str, ...]:
        """What it would do if it had to try again: the same, but for one call that may have been mistaken.

        Args:
            made: the calls so far that made a variable.
            session: before them.
            rng: which call.
        """
        others: list[tuple[int, Call]] = []
        for place, call in enumerate(made):
            other = self.other(call, session)
            if other is not None:
                others.append((place, other))
            session = perform(call, session, knowledge=self.knowledge, names=self.names).session
        moves = [str(call) for call in made]
        if others:
            place, other = others[int(rng.random() * len(others))]
            moves[place] = str(other)
        return tuple(moves)
