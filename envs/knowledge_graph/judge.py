"""The opinion on a proposed action, from the known calls of a right episode."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from cmat_env.envs.knowledge_graph.codec import Malformed, Move
from cmat_env.envs.knowledge_graph.compiler import Fidelity, ImpossibleError
from cmat_env.envs.knowledge_graph.grade import grade
from cmat_env.envs.knowledge_graph.knowledge import Knowledge, Names
from cmat_env.envs.knowledge_graph.program import Program
from cmat_env.envs.knowledge_graph.store import QueryTimeoutError
from cmat_env.envs.knowledge_graph.tasks import Call, KGTask
from cmat_env.envs.knowledge_graph.tools import IDS, Outcome, Session, perform
from cmat_env.types import Judgement

_MENUS = ("get_relations", "get_attributes")


def id_refusal(task: KGTask, *, freebase: bool, fidelity: Fidelity) -> str:
    """Why an entity of the task cannot be asked about by these rules; "" if all of them can."""
    used = {argument for call in task.actions for argument in call.arguments}
    for id in task.entities.values():
        if freebase and id in used and not IDS[fidelity].fullmatch(id):
            return f"entity id (AgentBench's tools refuse {id.partition('.')[0]}. ids)"
    return ""


class Judge:
    """Judges moves of one task by what a right episode does.

    A call that cannot be executed is bad. One that makes a variable is good if its members are those of a step of the
    right episode, else bad. One that only looks around is good where the right episode goes, and otherwise there is no
    opinion. An answer is good if it is exactly right.
    """

    def __init__(self, task: KGTask, knowledge: Knowledge) -> None:
        self._task, self._knowledge = task, knowledge
        self._known: dict[Program, Names | None] = {}

    def opinion(self, moves: Sequence[Move], session: Session) -> Judgement | None:
        """The first bad move of several counts, else the last opinion."""
        opinion: Judgement | None = None
        for move in moves:
            if isinstance(move, Malformed):
                return Judgement(good=False, reason="format")
            if isinstance(move, Call):
                outcome = self._perform(move, session)
                found = self._of_call(move, session, outcome)
                session = outcome.session
            else:
                return self._of_answer(int(move.number), session)
            opinion = found or opinion
            if opinion is not None and not opinion.good:
                break
        return opinion

    def _perform(self, call: Call, session: Session) -> Outcome:
        return perform(call, session, knowledge=self._knowledge, names=self._task.entities)

    def _of_call(self, call: Call, session: Session, outcome: Outcome) -> Judgement | None:
        if outcome.error:
            return Judgement(good=False, reason=outcome.error)
        if call.tool in _MENUS:
            asked = _asked(call, session, self._task)
            return Judgement(good=True, reason="on the way") if asked in self._starts else None
        if not self._task.actions:
            return None
        made = self._members(outcome.session.variables[-1].program)
        right = made is not None and made in self._steps
        return Judgement(right, "on the way" if right else "off the way")

    def _of_answer(self, number: int, session: Session) -> Judgement:
        if number >= len(session.variables):
            return Judgement(good=False, reason="no such variable")
        given = self._members(session.variables[number].program)
        right = given is not None and grade(given.values, self._task.answers, fidelity=self._knowledge.fidelity).exact
        return Judgement(right, "right answer" if right else "wrong answer")

    @cached_property
    def _gold(self) -> tuple[tuple[Program, ...], frozenset[str]]:
        """The programs that a right episode makes, and the arguments that it looks around from."""
        session = Session()
        starts: set[str] = set()
        for call in self._task.actions:
            if call.tool in _MENUS:
                starts.add(_asked(call, session, self._task))
            session = self._perform(call, session).session
        return tuple(variable.program for variable in session.variables), frozenset(starts)

    @property
    def _starts(self) -> frozenset[str]:
        return self._gold[1]

    @cached_property
    def _steps(self) -> list[Names]:
        found = [self._members(program) for program in self._gold[0]]
        return [names for names in found if names is not None]

    def _members(self, program: Program) -> Names | None:
        """The members of a program; None where they cannot be asked for."""
        if program not in self._known:
            try:
                self._known[program] = self._knowledge.answer(program)
            except (ImpossibleError, QueryTimeoutError):
                self._known[program] = None
        return self._known[program]


def _asked(call: Call, session: Session, task: KGTask) -> str:
    """What a call looks around from, in a form that is the same for a name and its id."""
    first = call.arguments[0]
    number = first.removeprefix("#")
    if first.startswith("#") and number.isdigit() and int(number) < len(session.variables):
        return str(session.variables[int(number)].program)
    return task.entities.get(first, first)
