"""What can be asked of a graph in one episode: the ways out of a program, and its members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cmat_env.envs.knowledge_graph.compiler import Fidelity, members, predicates
from cmat_env.envs.knowledge_graph.program import Count, Program
from cmat_env.envs.knowledge_graph.schema import Schema
from cmat_env.envs.knowledge_graph.store import Limits, Store

_UPSTREAM_STRIPS = "-08:00"


@dataclass(frozen=True, slots=True)
class Names:
    """A menu or an answer, sorted.

    Attributes:
        values: names of relations or attributes, ids of members, or lexical forms of literals.
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

    def relations(self, program: Program) -> Names:
        """The relations that lead out of a program's members.

        Raises:
            Impossible, QueryTimeout, StoreError: it cannot be asked, took too long, or the store failed.
        """
        return self._menu(program, self.schema.relation_names)

    def attributes(self, program: Program) -> Names:
        """The attributes of a program's members.

        Raises:
            Impossible, QueryTimeout, StoreError: as `relations`.
        """
        return self._menu(program, self.schema.attribute_names)

    def answer(self, program: Program) -> Names:
        """The members of a program, or its number.

        Raises:
            Impossible, QueryTimeout, StoreError: as `relations`.
        """
        query = members(program, fidelity=self.fidelity, limit=self.limits.rows + 1)
        terms = self._column(query, program)
        if isinstance(program, Count):
            return Names(tuple(value for _, value in terms))
        values = {self.schema.short(value) if iri else value.replace(_UPSTREAM_STRIPS, "") for iri, value in terms}
        return Names(tuple(sorted(values)[: self.limits.rows]), len(terms) > self.limits.rows)

    def _menu(self, program: Program, names: Mapping[str, str]) -> Names:
        query = predicates(program, fidelity=self.fidelity, limit=self.limits.rows + 1)
        found = self._column(query, program)
        offered = sorted({names[iri] for _, iri in found if iri in names})
        cut = len(offered) > self.limits.menu or len(found) > self.limits.rows
        return Names(tuple(offered[: self.limits.menu]), cut)

    def _column(self, query: str, program: Program) -> list[tuple[bool, str]]:
        weight = 2 * program.size
        rows = self.store.select(query, graph=self.graph, weight=weight, seconds=self.limits.seconds)
        return [(row[0].kind == "iri", row[0].value) for row in rows if row[0] is not None]
