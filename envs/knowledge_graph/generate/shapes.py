"""The shapes of generated questions: each walks a graph at random and says what it asks for."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cmat_env.envs.knowledge_graph.generate.facts import Facts, Value
from cmat_env.envs.knowledge_graph.program import And, Count, Entity, Extreme, Join, Program
from cmat_env.envs.knowledge_graph.schema import local
from cmat_env.envs.knowledge_graph.tasks import Call

_MOST_ON_THE_WAY = 3_000
_OPEN_ENDED = frozenset({"of", "in", "by", "from", "to", "at", "on", "for", "with"})


class DeadEndError(Exception):
    """The walk led nowhere; try another."""


def settled(facts: Facts, program: Program) -> frozenset[Value]:
    """The members of a program, if AgentBench's rules and ours agree on them.

    Raises:
        DeadEndError: they do not.
    """
    if isinstance(program, Entity):
        return frozenset({("iri", program.iri)})
    try:
        found = facts.members(program, fidelity="fixed")
        same = found == facts.members(program, fidelity="upstream")
    except ValueError:
        same = False
    if not same:
        raise DeadEndError
    return found


@dataclass
class Walk:
    """A set that is being described: how it is asked for, in calls, in a program and in words.

    Attributes:
        program: what it is.
        number: of its variable; None = an entity.
        type: of its members.
        phrase: in words.
    """

    program: Program
    number: int | None
    type: str
    phrase: str


@dataclass
class Draft:
    """A question in the making.

    Attributes:
        facts: the graph.
        rng: all randomness.
        calls: of the right episode so far.
        entities: name -> IRI of those it mentions.
        made: variables so far.
    """

    facts: Facts
    rng: random.Random
    calls: list[Call] = field(default_factory=list)
    entities: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def start(self) -> Walk:
        """An entity with a name, from which the walk may go on."""
        if not self.facts.named:
            raise DeadEndError
        return self._at(self.rng.choice(self.facts.named[self.rng.choice(tuple(self.facts.named))]))

    def hop(self, walk: Walk, relation: str | None = None) -> Walk:
        """Follow a relation of some member."""
        members = self._members(walk)
        if relation is None:
            member = self.rng.choice(members)
            leading = [iri for iri in self.facts.out.get(member, {}) if iri in self.facts.schema.relation_names]
            if not leading:
                raise DeadEndError
            relation = self.rng.choice(leading)
        name, place = self.facts.schema.relation_names[relation], self._place(walk)
        self.calls += [Call("get_relations", (place,)), Call("get_neighbors", (place, name))]
        words = self.words(relation)
        if words.split()[-1] in _OPEN_ENDED:
            phrase = f"what {walk.phrase} is {words}"
        else:
            phrase = f"the {words} of {walk.phrase}"
        return self._new(Join(relation, walk.program), self.facts.schema.ranges[relation], phrase)

    def meet(self, one: Walk, other: Walk) -> Walk:
        """What both have."""
        if one.type != other.type or one.program == other.program:
            raise DeadEndError
        self.calls.append(Call("intersection", (self._place(one), self._place(other))))
        first = one.phrase if isinstance(one.program, And) else f"what is among {one.phrase}"
        phrase = f"{first} and also among {other.phrase}"
        return self._new(And(one.program, other.program), one.type, phrase)

    def partner(self, walk: Walk) -> Walk:
        """Another entity with a relation that leads into the walk's members as well."""
        member = self.rng.choice(self._members(walk))
        taken = set(self.entities.values())
        into = [
            (subject, relation)
            for relation, subject in self.facts.into.get(member, ())
            if self.facts.schema.ranges[relation] == walk.type and subject not in taken
        ]
        if not into:
            raise DeadEndError
        subject, relation = self.rng.choice(into)
        return self.hop(self._at(subject), relation)

    def best(self, walk: Walk, *, largest: bool) -> Walk:
        """The member with the largest or smallest value of an attribute."""
        members = self._members(walk)
        if len(members) < 2:
            raise DeadEndError
        shared = set.intersection(*(set(self.facts.out.get(member, {})) for member in members))
        attributes = sorted(shared & set(self.facts.schema.attribute_names))
        if not attributes:
            raise DeadEndError
        attribute = self.rng.choice(attributes)
        name, place = self.facts.schema.attribute_names[attribute], self._place(walk)
        self.calls += [
            Call("get_attributes", (place,)),
            Call("argmax" if largest else "argmin", (place, name)),
        ]
        degree = "largest" if largest else "smallest"
        phrase = f"the one with the {degree} {self.words(attribute)} among {walk.phrase}"
        return self._new(Extreme(walk.program, attribute, largest), walk.type, phrase)

    def count(self, walk: Walk) -> Walk:
        """How many there are."""
        self.calls.append(Call("count", (self._place(walk),)))
        return self._new(Count(walk.program), "type.int", walk.phrase)

    def words(self, iri: str) -> str:
        """A predicate in words."""
        known = self.facts.labels.get(iri)
        return known or local(iri).split(".")[-1].replace("_", " ").strip() or "relation"

    def _at(self, iri: str) -> Walk:
        name = self.facts.names[iri]
        if self.entities.get(name, iri) != iri:
            raise DeadEndError  # two entities of one name: nobody could tell them apart
        self.entities[name] = iri
        return Walk(Entity(iri), None, "", name)

    def _members(self, walk: Walk) -> list[str]:
        members = [text for kind, text in sorted(settled(self.facts, walk.program)) if kind == "iri"]
        if not members or len(members) > _MOST_ON_THE_WAY:
            raise DeadEndError
        return members

    def _place(self, walk: Walk) -> str:
        if walk.number is not None:
            return f"#{walk.number}"
        assert isinstance(walk.program, Entity)
        return self.facts.schema.short(walk.program.iri)

    def _new(self, program: Program, type_: str, phrase: str) -> Walk:
        self.made += 1
        return Walk(program, self.made - 1, type_, phrase)


def _hops(draft: Draft, number: int) -> Walk:
    walk = draft.start()
    for _ in range(number):
        walk = draft.hop(walk)
    return walk


def _met(draft: Draft, hops: int) -> Walk:
    walk = _hops(draft, hops)
    return draft.meet(walk, draft.partner(walk))


def _meet_three(draft: Draft) -> Walk:
    walk = _met(draft, 1)
    return draft.meet(walk, draft.partner(walk))


Shape = Callable[[Draft], Walk]

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "hop_1": lambda draft: _hops(draft, 1),
        "hop_2": lambda draft: _hops(draft, 2),
        "hop_3": lambda draft: _hops(draft, 3),
        "hop_4": lambda draft: _hops(draft, 4),
        "meet": lambda draft: _met(draft, 1),
        "hop_meet": lambda draft: _met(draft, 2),
        "meet_hop": lambda draft: draft.hop(_met(draft, 1)),
        "meet_three": _meet_three,
        "count_1": lambda draft: draft.count(_hops(draft, 1)),
        "count_2": lambda draft: draft.count(_hops(draft, 2)),
        "count_meet": lambda draft: draft.count(_met(draft, 1)),
        "most": lambda draft: draft.best(_hops(draft, 1), largest=True),
        "least": lambda draft: draft.best(_hops(draft, 1), largest=False),
        "most_2": lambda draft: draft.best(_hops(draft, 2), largest=True),
        "least_meet": lambda draft: draft.best(_met(draft, 1), largest=False),
        "most_hop": lambda draft: draft.hop(draft.best(_hops(draft, 1), largest=True)),
    }
)
