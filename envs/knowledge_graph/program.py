"""Lazy programs: what a variable of an episode stands for, as a small tree that is written as an s-expression.

Every name in a program is a full IRI that was looked up: an entity of the task, or a relation that a menu offered.
No text of an agent gets in here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_FORBIDDEN = re.compile(r"[\x00-\x20<>\"{}|^`\\]")


def check_iri(iri: str) -> str:
    """The same IRI, if SPARQL can write it between angle brackets.

    Raises:
        ValueError: it holds a character that must not stand there.
    """
    if not iri or _FORBIDDEN.search(iri):
        raise ValueError(f"{iri[:80]!r} is no IRI")
    return iri


@dataclass(frozen=True)
class Entity:
    """One entity."""

    iri: str
    size = 1
    depth = 1

    def __post_init__(self) -> None:
        check_iri(self.iri)


@dataclass(frozen=True)
class Join:
    """What `relation` leads to from the members of `source`."""

    relation: str
    source: Program

    def __post_init__(self) -> None:
        check_iri(self.relation)

    @cached_property
    def size(self) -> int:
        """Nodes of the tree."""
        return self.source.size + 1

    @cached_property
    def depth(self) -> int:
        """Nodes on the longest way to an entity."""
        return self.source.depth + 1


@dataclass(frozen=True)
class And:
    """The members of both sides."""

    left: Program
    right: Program

    @cached_property
    def size(self) -> int:
        """Nodes of the tree."""
        return self.left.size + self.right.size + 1

    @cached_property
    def depth(self) -> int:
        """Nodes on the longest way to an entity."""
        return max(self.left.depth, self.right.depth) + 1


@dataclass(frozen=True)
class Extreme:
    """The members of `source` whose `attribute` is the largest or the smallest; ties are all of them."""

    source: Program
    attribute: str
    largest: bool

    def __post_init__(self) -> None:
        check_iri(self.attribute)

    @cached_property
    def size(self) -> int:
        """Nodes of the tree; the source counts twice, as a query needs it twice."""
        return 2 * self.source.size + 1

    @cached_property
    def depth(self) -> int:
        """Nodes on the longest way to an entity."""
        return self.source.depth + 1


@dataclass(frozen=True)
class Count:
    """How many members `source` has; nothing can be asked of it."""

    source: Program

    @cached_property
    def size(self) -> int:
        """Nodes of the tree."""
        return self.source.size + 1

    @cached_property
    def depth(self) -> int:
        """Nodes on the longest way to an entity."""
        return self.source.depth + 1


Program = Entity | Join | And | Extreme | Count


def parts(program: Program) -> tuple[Program, ...]:
    """The programs that a program is made of."""
    if isinstance(program, Entity):
        return ()
    return (program.left, program.right) if isinstance(program, And) else (program.source,)


def nodes(program: Program) -> list[Program]:
    """A program and all that it is made of, each as often as it stands there."""
    found, waiting = [], [program]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(parts(found[-1]))
    return found


def entities(program: Program) -> tuple[str, ...]:
    """The IRIs of the entities that a program names, sorted."""
    return tuple(sorted({node.iri for node in nodes(program) if isinstance(node, Entity)}))


def text(program: Program) -> str:
    """The s-expression, as AgentBench writes it but with full IRIs."""
    if isinstance(program, Entity):
        return program.iri
    if isinstance(program, Join):
        return f"(JOIN {program.relation}_inv {text(program.source)})"
    if isinstance(program, And):
        return f"(AND {text(program.left)} {text(program.right)})"
    if isinstance(program, Count):
        return f"(COUNT {text(program.source)})"
    return f"({'ARGMAX' if program.largest else 'ARGMIN'} {text(program.source)} {program.attribute})"
