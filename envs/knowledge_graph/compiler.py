"""Programs to SPARQL 1.1, with full IRIs.

Every step is a sub-select of distinct members, so that a query's work grows with the size of the program times the
number of triples, and never with the number of paths.

`upstream` keeps the meaning of AgentBench's compiler: entities that the program names are no answers; a superlative is
flattened into the whole pattern, so that a step after it counts before the best value is chosen; a second superlative
or a count of one is a broken query there. `fixed` evaluates what the s-expression says.

Source: AgentBench, src/server/tasks/knowledgegraph/utils/logic_form_util.py (meaning only; written anew).
"""

from __future__ import annotations

from itertools import count
from typing import Literal, get_args

from cmat_env.envs.knowledge_graph.program import And, Count, Entity, Extreme, Join, Program, entities, nodes

Fidelity = Literal["upstream", "fixed"]
FIDELITIES: tuple[Fidelity, ...] = get_args(Fidelity)
Dialect = Literal["1.1", "virtuoso"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

_LANGUAGE = 'FILTER (!isLiteral(?x) || lang(?x) = "" || langMatches(lang(?x), "en"))'


class ImpossibleError(ValueError):
    """This program cannot be asked, by the rules of the fidelity; the message says why."""


def members(program: Program, *, fidelity: Fidelity, limit: int) -> str:
    """The query for a program's members, or for its number if it is a count.

    Args:
        program: what to ask for.
        fidelity: whose meaning.
        limit: rows at most.

    Raises:
        ImpossibleError: the program has no query.
    """
    if isinstance(program, Count):
        return f"SELECT (COUNT(DISTINCT ?x) AS ?n) WHERE {{ {_set(program.source, fidelity, inside_count=True)} }}"
    return f"SELECT DISTINCT ?x WHERE {{ {_set(program, fidelity)} }} LIMIT {limit}"


def predicates(program: Program, *, fidelity: Fidelity, limit: int) -> str:
    """The query for the predicates that lead out of a program's members.

    Raises:
        ImpossibleError: the program has no query, or is a number.
    """
    if isinstance(program, Entity):
        return f"SELECT DISTINCT ?p WHERE {{ <{program.iri}> ?p ?o }} LIMIT {limit}"
    if isinstance(program, Count):
        raise ImpossibleError("a number has no relations")
    inner = _set(program, fidelity, literals=False)
    if not (isinstance(program, Join) and isinstance(program.source, Entity)):
        inner = f"{{ SELECT DISTINCT ?x WHERE {{ {inner} }} }}"
    return f"SELECT DISTINCT ?p WHERE {{ {inner} ?x ?p ?o }} LIMIT {limit}"


def _set(program: Program, fidelity: Fidelity, *, inside_count: bool = False, literals: bool = True) -> str:
    """The pattern that binds ?x to the members, filters included; without `literals` those may come unfiltered."""
    inner = nodes(program)
    if any(isinstance(node, Count) for node in inner):
        raise ImpossibleError("a number has no members; count comes last")
    write = _Patterns()
    language = _LANGUAGE if literals else ""
    if fidelity == "fixed":
        return f"{write.exact(program, '?x')} {language}"
    named = " ".join(f"FILTER (?x != <{iri}>)" for iri in entities(program))
    superlatives = [node for node in inner if isinstance(node, Extreme)]
    if not superlatives:
        return f"{write.flat(program, '?x')} {language} {named}"
    if len(superlatives) > 1 or inside_count:
        raise ImpossibleError("AgentBench's compiler writes a broken query here")
    order = "DESC(?k)" if superlatives[0].largest else "ASC(?k)"
    best = f"{{ SELECT ?k WHERE {{ {write.flat(program, '?x')} {_LANGUAGE} {named} }} ORDER BY {order} LIMIT 1 }}"
    return f"{best} {write.flat(program, '?x')}"


class _Patterns:
    """Writes graph patterns; every inner variable has a name of its own."""

    def __init__(self) -> None:
        self._numbers = count()

    def _fresh(self) -> str:
        return f"?v{next(self._numbers)}"

    def exact(self, program: Program, var: str) -> str:
        """Binds `var` to the members of a program, each as the s-expression says."""
        if isinstance(program, Extreme):
            return self._best(program, var)
        return self._plain(program, var, flat=False)

    def flat(self, program: Program, var: str) -> str:
        """Binds `var`, and ?k to the value of the one superlative, whose best is not chosen yet."""
        if isinstance(program, Extreme):
            return f"{self.flat(program.source, var)} {var} <{program.attribute}> ?k ."
        return self._plain(program, var, flat=True)

    def _plain(self, program: Program, var: str, *, flat: bool) -> str:
        if isinstance(program, Entity):
            return f"VALUES {var} {{ <{program.iri}> }}"
        if isinstance(program, And):
            if program.left == program.right:
                return self._operand(program.left, var, flat=flat)
            return f"{self._operand(program.left, var, flat=flat)} {self._operand(program.right, var, flat=flat)}"
        assert isinstance(program, Join)
        if isinstance(program.source, Entity):
            return f"<{program.source.iri}> <{program.relation}> {var} ."
        inner = self._fresh()
        return f"{self._operand(program.source, inner, flat=flat)} {inner} <{program.relation}> {var} ."

    def _operand(self, program: Program, var: str, *, flat: bool) -> str:
        """A part of a larger pattern: its members once each."""
        pattern = self.flat(program, var) if flat else self.exact(program, var)
        if isinstance(program, Join) and isinstance(program.source, Entity):
            return pattern
        if isinstance(program, Entity):
            return pattern
        value = " ?k" if flat and any(isinstance(node, Extreme) for node in nodes(program)) else ""
        return f"{{ SELECT DISTINCT {var}{value} WHERE {{ {pattern} }} }}"

    def _best(self, program: Extreme, var: str) -> str:
        """Numbers are compared as numbers and come before everything else, which is compared as text; NaN is none."""
        other, best, value = self._fresh(), self._fresh(), self._fresh()
        order = "DESC" if program.largest else "ASC"
        chosen = (
            f"{{ SELECT {best} WHERE {{ {self._operand(program.source, other, flat=False)} "
            f"{other} <{program.attribute}> {best} . FILTER (isLiteral({best}) && {best} = {best}) }} "
            f"ORDER BY DESC(isNumeric({best})) {order}(IF(isNumeric({best}), {best}, STR({best}))) LIMIT 1 }}"
        )
        same = (
            f"FILTER (IF(isNumeric({best}), isNumeric({value}) && {value} = {best}, "
            f"isLiteral({value}) && !isNumeric({value}) && STR({value}) = STR({best})))"
        )
        holders = f"{self._operand(program.source, var, flat=False)} {var} <{program.attribute}> {value} ."
        return f"{chosen} {holders} {same}"
