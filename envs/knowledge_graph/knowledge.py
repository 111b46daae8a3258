"""What can be asked of a graph in one episode: the ways out of a program, and its members."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cmat_env.envs.knowledge_graph.compiler import Fidelity, members, predicates
from cmat_env.envs.knowledge_graph.program import Count, Program
from cmat_env.envs.knowledge_graph.schema import Schema
from cmat_env.envs.knowledge_graph.store import Limits, Store

MenuKind = Literal["relations", "attributes"]

_UPSTREAM_STRIPS = "-08:00"


@dataclass(frozen=True, slots=True)
class Names:
    """A menu or an answer; sorted where an agent sees it.

    Attributes:
        values: IRIs of predicates, names of relations or attributes, ids of members, or lexical forms of literals.
        truncated: there were more than the limit.
    """

    values: tuple[str, ...]
    truncated: bool = False


@dataclass(frozen=True)
class Knowledge:
    """A graph with its vocabulary and the rules by which it is asked.

    Attributes:
        store: answers the queries.
        schema: what relations and attributes there are.
        fidelity: whose rules.
        limits: of a query.
        graph: the named graph of the task; None = the default graph.
    """

    store: Store
    schema: Schema
    fidelity: Fidelity = "upstream"
    limits: Limits = field(default_factory=Limits)
    graph: str | None = None

    def ways(self, program: Program) -> Names:
        """The IRIs of the predicates that lead out of a program's members.

        Raises:
            ImpossibleError, QueryTimeoutError, StoreError: it cannot be asked, took too long, or the store failed.
        """
        query = predicates(program, fidelity=self.fidelity, limit=self.limits.rows + 1)
        found = self._column(query, program)
        return Names(tuple([iri for _, iri in found]), len(found) > self.limits.rows)

    def menu(self, ways: Names, kind: MenuKind) -> Names:
        """Which of these ways are relations or attributes, by name."""
        names = self.schema.relation_names if kind == "relations" else self.schema.attribute_names
        offered = sorted([names[iri] for iri in ways.values if iri in names])
        cut = ways.truncated or len(offered) > self.limits.menu
        return Names(tuple(offered[: self.limits.menu]), cut)

    def answer(self, program: Program) -> Names:
        """The members of a program, or its number.

        Raises:
            ImpossibleError, QueryTimeoutError, StoreError: as `ways`.
        """
        query = members(program, fidelity=self.fidelity, limit=self.limits.rows + 1)
        terms = self._column(query, program)
        if isinstance(program, Count):
            return Names(tuple(value for _, value in terms))
        values = {self.schema.short(value) if iri else value.replace(_UPSTREAM_STRIPS, "") for iri, value in terms}
        return Names(tuple(sorted(values)[: self.limits.rows]), len(terms) > self.limits.rows)

    def _column(self, query: str, program: Program) -> list[tuple[bool, str]]:
        weight = 2 * program.size
        rows = self.store.select(query, graph=self.graph, weight=weight, seconds=self.limits.seconds)
        return [(row[0].kind == "iri", row[0].value) for row in rows if row[0] is not None]
