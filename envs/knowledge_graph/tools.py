"""The seven tools, with AgentBench's semantics: lazy programs, typed variables, menus that bound what may be asked.

Source: AgentBench, src/server/tasks/knowledgegraph/api.py (meaning and wordings; written anew).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cmat_env.envs.knowledge_graph.compiler import ImpossibleError
from cmat_env.envs.knowledge_graph.knowledge import Knowledge, MenuKind, Names
from cmat_env.envs.knowledge_graph.program import And, Count, Entity, Extreme, Join, Program, text
from cmat_env.envs.knowledge_graph.store import QueryTimeoutError
from cmat_env.envs.knowledge_graph.tasks import TOOLS, Call

NUMBER = "type.int"
IDS = {"upstream": re.compile(r"[mf]\.[0-9A-Za-z_]+"), "fixed": re.compile(r"[mfg]\.[0-9A-Za-z_]+")}
_VARIABLE = re.compile(r"#([0-9]{1,6})")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff]")


@dataclass(frozen=True, slots=True)
class Variable:
    """What "#k" stands for: a lazy program, and the type of its members."""

    type: str
    program: Program


@dataclass(frozen=True)
class Session:
    """What the calls of an episode have led to.

    Attributes:
        variables: by their number.
        ways: the predicates that lead out of a program, by its text, as far as they were asked for.
    """

    variables: tuple[Variable, ...] = ()
    ways: Mapping[str, Names] = field(default_factory=lambda: MappingProxyType({}))

    def __reduce__(self) -> tuple[object, ...]:  # a mapping proxy cannot be pickled or copied
        return _session, (self.variables, dict(self.ways))


def _session(variables: tuple[Variable, ...], ways: dict[str, Names]) -> Session:
    return Session(variables, MappingProxyType(ways))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave.

    Attributes:
        session: as it is afterwards.
        observation: what the agent sees.
        error: why it could not be executed, in a word; "" = it was.
        truncated: a menu was cut.
    """

    session: Session
    observation: str
    error: str = ""
    truncated: bool = False


class ToolError(Exception):
    """A call that cannot be executed; the agent's mistake.

    Args:
        kind: in a word, for the log.
        reason: in words.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def perform(call: Call, session: Session, *, knowledge: Knowledge, names: Mapping[str, str]) -> Outcome:
    """Execute one call; a mistake in it is part of the outcome.

    Args:
        call: as the agent wrote it.
        session: of the episode so far.
        knowledge: the graph.
        names: of the task's entities, with their ids.

    Raises:
        StoreError: the store failed, which is not the agent's mistake.
    """
    try:
        return _Performance(session, knowledge, names).run(call)
    except ToolError as error:
        return Outcome(session, _refusal(call, error, knowledge), error.kind)
    except ImpossibleError as error:
        return Outcome(session, _refusal(call, ToolError("impossible", str(error)), knowledge), "impossible")
    except QueryTimeoutError as error:
        return Outcome(session, f"{call} was stopped after {error}: the query takes too long.", "timeout")


def _refusal(call: Call, error: ToolError, knowledge: Knowledge) -> str:
    """Upstream's words; the fixed rules add the reason."""
    if knowledge.fidelity == "fixed":
        return f"{call} cannot be executed. {error}."
    if call.tool == "intersection" and error.kind == "types":
        return (
            f"{call} cannot be executed. The two variables are not of the same type. You may further explore them by "
            "call get_relations"
        )
    return f"{call} cannot be executed. You may make a mistake and need to fix it."


class _Performance:
    """One call at work."""

    def __init__(self, session: Session, knowledge: Knowledge, names: Mapping[str, str]) -> None:
        self.session, self.knowledge, self.names = session, knowledge, names

    def run(self, call: Call) -> Outcome:
        if call.tool not in TOOLS:
            raise ToolError("unknown tool", f"there is no tool {call.tool}; the tools are {', '.join(TOOLS)}")
        if len(call.arguments) != len(TOOLS[call.tool]):
            raise ToolError("arguments", f"{call.tool} takes {' and '.join(TOOLS[call.tool])}")
        first, second = call.arguments[0], call.arguments[-1]
        if call.tool == "get_relations":
            return self._show(self._menu("relations", self._operand(first).program))
        if call.tool == "get_attributes":
            return self._show(self._menu("attributes", self._variable(first).program))
        if call.tool == "get_neighbors":
            return self._new(self._neighbors(first, second))
        if call.tool == "intersection":
            return self._new(self._intersection(first, second))
        if call.tool == "count":
            source = self._variable(first).program
            if isinstance(source, Count):
                raise ToolError("types", "the variable is a number already")
            return self._new(Variable(NUMBER, Count(source)))
        return self._new(self._extreme(first, second, largest=call.tool == "argmax"))

    def _neighbors(self, first: str, name: str) -> Variable:
        source = self._operand(first)
        if name not in self._menu("relations", source.program).values:
            raise ToolError("relation", f"{name} is not among the relations of {first}; get_relations shows them")
        schema = self.knowledge.schema
        iri = schema.relations[name]
        if iri not in schema.ranges:
            raise ToolError("relation", f"the ontology does not say where {name} leads")
        return Variable(schema.ranges[iri], Join(iri, source.program))

    def _intersection(self, first: str, second: str) -> Variable:
        left, right = self._variable(first), self._variable(second)
        if isinstance(left.program, Count) or isinstance(right.program, Count):
            raise ToolError("types", "a number cannot be intersected")
        if self.knowledge.fidelity == "upstream" and left.type != right.type:
            raise ToolError("types", "the two variables are not of the same type")
        return Variable(left.type, And(left.program, right.program))

    def _extreme(self, first: str, name: str, *, largest: bool) -> Variable:
        source = self._variable(first)
        if name not in self._menu("attributes", source.program).values:
            raise ToolError("attribute", f"{name} is not among the attributes of {first}; get_attributes shows them")
        iri = self.knowledge.schema.attributes[name]
        return Variable(source.type, Extreme(source.program, iri, largest))

    def _new(self, variable: Variable) -> Outcome:
        program, limits = variable.program, self.knowledge.limits
        if program.depth > limits.depth or program.size > limits.size:
            raise ToolError(
                "too deep", f"the program would have {program.size} parts, {program.depth} deep; at most "
                f"{limits.size} and {limits.depth} are allowed"
            )  # fmt: skip
        number = len(self.session.variables)
        what = "is a number" if isinstance(program, Count) else f"are instances of {variable.type}"
        session = Session((*self.session.variables, variable), self.session.ways)
        return Outcome(session, f"Observation: variable #{number}, which {what}")

    def _show(self, menu: Names) -> Outcome:
        tail = ", ..." if menu.truncated else ""
        return Outcome(self.session, f"Observation: [{', '.join(menu.values)}{tail}]", truncated=menu.truncated)

    def _menu(self, kind: MenuKind, program: Program) -> Names:
        """What may be asked of a program; the store is asked once an episode."""
        if isinstance(program, Count):
            raise ToolError("types", "a number has no relations and no attributes")
        key = text(program)
        ways = self.session.ways.get(key)
        if ways is None:
            ways = self.knowledge.ways(program)
            self.session = Session(self.session.variables, MappingProxyType({**self.session.ways, key: ways}))
        return self.knowledge.menu(ways, kind)

    def _variable(self, written: str) -> Variable:
        """What "#k" stands for."""
        match = _VARIABLE.fullmatch(_without_word(written))
        if match is None:
            raise ToolError("variable", f"{written[:80]!r} is no variable, such as #0")
        if int(match[1]) >= len(self.session.variables):
            raise ToolError("variable", f"there is no variable #{match[1]} yet")
        return self.session.variables[int(match[1])]

    def _operand(self, written: str) -> Variable:
        """A variable, an entity of the task by name or id, or any entity by an id of Freebase's form."""
        if _without_word(written).startswith("#"):
            return self._variable(written)
        fixed, freebase = self.knowledge.fidelity == "fixed", self.knowledge.schema.freebase
        id = self._named(written, lenient=fixed)
        if freebase:
            id = written if id is None else id
            if not IDS[self.knowledge.fidelity].fullmatch(id):
                raise ToolError("entity", f"{written[:80]!r} is neither a variable nor an entity of the question")
        elif id is None:
            if written not in self.names.values():
                raise ToolError("entity", f"{written[:80]!r} is neither a variable nor an entity of the question")
            id = written
        try:
            return Variable("", Entity(self.knowledge.schema.iri(id)))
        except ValueError as error:
            raise ToolError("entity", str(error)) from None

    def _named(self, written: str, *, lenient: bool) -> str | None:
        if written in self.names or not lenient:
            return self.names.get(written)
        alike = {id for name, id in self.names.items() if _folded(name) == _folded(written)}
        return alike.pop() if len(alike) == 1 else None


def _without_word(written: str) -> str:
    """Upstream takes "variable #0" for "#0"."""
    return written.replace("variable ", "").replace("Variable ", "").strip()


def _folded(name: str) -> str:
    """A name without the differences that no reader sees."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).casefold().strip(" \"'")
