"""A generated question before it becomes a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cmat_env.envs.database.backend import Row
from cmat_env.envs.database.tasks import Slip


@dataclass(frozen=True, slots=True)
class Draft:
    """What a family makes of its data.

    Attributes:
        wordings: ways to ask it.
        sql: the reference.
        answers: the right answer of a read, worked out in Python.
        rows: the right final rows of a write, worked out in Python, with cells in the order of the drawn data.
        slips: weight and wrong SQL of each systematic error.
    """

    wordings: Sequence[str]
    sql: str
    answers: Sequence[object] = ()
    rows: Sequence[Row] | None = None
    slips: Sequence[Slip] = ()


def slips(*statements: str, weights: Sequence[float] = ()) -> tuple[Slip, ...]:
    """Systematic errors, of equal weight unless it is told otherwise."""
    shares = weights or [1 / len(statements)] * len(statements)
    return tuple(Slip(share, sql) for share, sql in zip(shares, statements, strict=True))


def arrange(row: Row, places: Sequence[int]) -> Row:
    """A row with its cells in another order."""
    return tuple([row[place] for place in places])
