"""What a store is: it answers SELECT queries over one graph, within limits.

What may go wrong is of three kinds: the query takes too long (the agent is told), the store fails (the episode cannot
be scored), or the user asked for a store that is not there (a ConfigError when it is opened).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from cmat_env.errors import ConfigError


class QueryTimeoutError(Exception):
    """A query was stopped at its time limit; the message says after how long."""


class StoreError(RuntimeError):
    """The store failed, not the agent: its episode cannot be scored."""


@dataclass(frozen=True, slots=True)
class Term:
    """One cell of an answer.

    Attributes:
        value: the IRI, the lexical form of a literal, or the label of a blank node.
        kind: "iri", "literal" or "blank"; where triples are read one by one, also "number" or "foreign", which is a
            literal in another language than English.
    """

    value: str
    kind: str = "iri"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use.

    Attributes:
        seconds: wall time of a query.
        rows: of an answer; more are cut, and the answer is marked as truncated.
        menu: relations or attributes offered at once.
        depth: nodes of a program from its end to an entity.
        size: nodes of a program in all.
    """

    seconds: float = 5.0
    rows: int = 10_000
    menu: int = 500
    depth: int = 24
    size: int = 128

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ConfigError(f"Limits({field.name}={value!r}): wanted a number above 0")


Row = tuple[Term | None, ...]


@runtime_checkable
class Store(Protocol):
    """Answers SPARQL; holds no state of an episode, so that many may share it."""

    @property
    def graphs_named(self) -> bool:
        """Does it hold named graphs only, one a task?"""
        ...

    def select(self, query: str, *, graph: str | None = None, weight: int = 1, seconds: float = 5.0) -> list[Row]:
        """The rows of a SELECT query.

        Args:
            query: SPARQL that this package wrote.
            graph: the named graph to ask; None = the default graph, or all of them if only named ones are there.
            weight: how often the query may walk over the whole graph, at most.
            seconds: wall time.

        Raises:
            QueryTimeoutError: it took too long, and is stopped.
            StoreError: the store failed.
        """
        ...

    def close(self) -> None:
        """Release what it holds; twice is fine."""
        ...
