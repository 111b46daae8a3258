"""A graph in Python's own structures, and what a program means on it: for generating tasks with exact answers.

The evaluator here is written for plainness and shares nothing with the compiler to SPARQL, so that each proves the
other right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cmat_env.envs.knowledge_graph.compiler import Fidelity
from cmat_env.envs.knowledge_graph.program import And, Count, Entity, Extreme, Join, Program, entities, nodes
from cmat_env.envs.knowledge_graph.schema import NAME_LOCALS, Schema, is_type, local
from cmat_env.envs.knowledge_graph.store import Term

Value = tuple[str, str]
"""Its kind, "iri", "literal", "number", "foreign" or "blank", and its text."""


@dataclass(frozen=True)
class Facts:
    """All triples of a graph.

    Attributes:
        schema: its vocabulary.
        out: subject -> predicate -> objects, both sorted.
        names: of the entities that have one to themselves, from the predicate that names most of them.
        labels: of predicates, where the graph has them.
        named: by relation of the schema, the subjects that have a name, sorted.
        into: by entity, the relations and named subjects that lead to it.
    """

    schema: Schema
    out: Mapping[str, Mapping[str, tuple[Value, ...]]]
    names: Mapping[str, str]
    labels: Mapping[str, str]
    named: Mapping[str, tuple[str, ...]]
    into: Mapping[str, tuple[tuple[str, str], ...]]

    @classmethod
    def of(cls, triples: Iterable[tuple[Term, str, Term]], schema: Schema) -> Facts:
        """Index the triples."""
        out: dict[str, dict[str, set[Value]]] = {}
        for start, predicate, end in triples:
            out.setdefault(start.value, {}).setdefault(predicate, set()).add((end.kind, end.value))
        ordered = {
            subject: {predicate: tuple(sorted(values)) for predicate, values in sorted(edges.items())}
            for subject, edges in sorted(out.items())
        }
        subjects: dict[str, list[str]] = {}
        for subject, edges in ordered.items():
            for predicate in edges:
                subjects.setdefault(predicate, []).append(subject)
        texts = _names(ordered, subjects)
        often = Counter(texts.values())
        names = {iri: name for iri, name in texts.items() if iri not in subjects and often[name] == 1}
        labels = {iri: name for iri, name in texts.items() if iri in subjects}
        named = {
            relation: tuple(iri for iri in subjects[relation] if iri in names)
            for relation in sorted(schema.relation_names)
            if relation in subjects
        }
        into: dict[str, list[tuple[str, str]]] = {}
        for relation, found in named.items():
            for subject in found:
                for kind, text in ordered[subject][relation]:
                    if kind == "iri":
                        into.setdefault(text, []).append((relation, subject))
        return cls(
            schema,
            ordered,
            names,
            labels,
            {relation: found for relation, found in named.items() if found},
            {iri: tuple(edges) for iri, edges in into.items()},
        )

    def objects(self, subject: str, predicate: str) -> tuple[Value, ...]:
        """What a predicate leads to."""
        return self.out.get(subject, {}).get(predicate, ())

    def members(self, program: Program, *, fidelity: Fidelity) -> frozenset[Value]:
        """The members of a program, or the one number that a count is.

        Raises:
            ValueError: the program has no meaning by these rules.
        """
        if isinstance(program, Count):
            inner = [node for node in nodes(program.source) if isinstance(node, Extreme)]
            if fidelity == "upstream" and inner:
                raise ValueError("upstream cannot count a superlative")
            return frozenset({("number", str(len(self.members(program.source, fidelity=fidelity))))})
        if fidelity == "fixed":
            return frozenset(member for member in self._exact(program) if member[0] != "foreign")
        return self._upstream(program)

    def _exact(self, program: Program) -> frozenset[Value]:
        if isinstance(program, Entity):
            return frozenset({("iri", program.iri)})
        if isinstance(program, And):
            return self._exact(program.left) & self._exact(program.right)
        if isinstance(program, Join):
            return self._step(self._exact(program.source), program.relation)
        if isinstance(program, Count):
            raise ValueError("a number has no members")
        source = [text for kind, text in self._exact(program.source) if kind == "iri"]
        keyed = [
            (key, ("iri", text))
            for text in source
            for value in self.objects(text, program.attribute)
            if (key := _key(value))
        ]
        return frozenset(member for _, member in _best(keyed, largest=program.largest))

    def _upstream(self, program: Program) -> frozenset[Value]:
        named = {("iri", iri) for iri in entities(program)}
        superlatives = [node for node in nodes(program) if isinstance(node, Extreme)]
        if len(superlatives) > 1:
            raise ValueError("upstream cannot nest superlatives")
        pairs = self._flat(program)
        if not superlatives:
            return frozenset(member for member, _ in pairs if member not in named and member[0] != "foreign")
        rated = [(key, member) for member, value in pairs if value and (key := _key(value))]
        allowed = [(key, member) for key, member in rated if member not in named and member[0] != "foreign"]
        best = {key for key, _ in _best(allowed, largest=superlatives[0].largest)}
        return frozenset(member for key, member in rated if key in best)

    def _flat(self, program: Program) -> frozenset[tuple[Value, Value | None]]:
        """Members with the value of the one superlative on the way to them."""
        if isinstance(program, Entity):
            return frozenset({(("iri", program.iri), None)})
        if isinstance(program, Join):
            source = self._flat(program.source)
            return frozenset((end, value) for member, value in source for end in self._step({member}, program.relation))
        if isinstance(program, And):
            values: dict[Value, list[Value | None]] = {}
            for member, value in self._flat(program.right):
                values.setdefault(member, []).append(value)
            return frozenset(
                (member, value or other)
                for member, value in self._flat(program.left)
                for other in values.get(member, ())
            )
        if isinstance(program, Count):
            raise ValueError("a number has no members")
        return frozenset(
            (member, value)
            for member, _ in self._flat(program.source)
            for value in self.objects(member[1], program.attribute)
        )

    def _step(self, members: Iterable[Value], relation: str) -> frozenset[Value]:
        return frozenset(end for kind, text in members if kind == "iri" for end in self.objects(text, relation))


Key = tuple[int, float, str]


def _key(value: Value) -> Key | None:
    """How a value compares: numbers among themselves, everything else as text; None = not at all."""
    kind, text = value
    if kind in ("iri", "blank"):
        return None
    if kind != "number":
        return 0, 0.0, text
    number = float(text)
    return None if math.isnan(number) else (1, number, "")


def _best(keyed: list[tuple[Key, Value]], *, largest: bool) -> list[tuple[Key, Value]]:
    """Those with the best key; numbers come before everything else."""
    if not keyed:
        return []
    numeric = max(key[0] for key, _ in keyed)
    keys = [key for key, _ in keyed if key[0] == numeric]
    best = max(keys) if largest else min(keys)
    return [(key, item) for key, item in keyed if key == best]


def _names(out: Mapping[str, Mapping[str, tuple[Value, ...]]], subjects: Mapping[str, list[str]]) -> dict[str, str]:
    """The names by the naming predicate with the most subjects; the first name of several."""
    naming = [iri for iri in subjects if local(iri) in NAME_LOCALS and not is_type(iri)]
    names: dict[str, str] = {}
    for predicate in sorted(naming, key=lambda iri: (len(subjects[iri]), iri)):
        for subject in subjects[predicate]:
            texts = [text for kind, text in out[subject][predicate] if kind == "literal" and text.strip()]
            if texts:
                names[subject] = " ".join(texts[0].split())
    return names
