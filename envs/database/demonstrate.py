"""The imperfect demonstrator: a teacher with systematic errors, for warm starts that reward can improve.

In a given share of the episodes its first statement carries an error of the task's family. The statement is really
executed and the answer copies what came out, so that only the choice of the statement is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from cmat_env.envs.database.backend import Result
from cmat_env.envs.database.tasks import DBTask

DONE = ("done",)


class Uniform(Protocol):
    """A source of random numbers, such as `random.Random` or `numpy.random.Generator`."""

    def random(self) -> float:
        """Draw from [0, 1)."""
        ...


def alternatives(task: DBTask, *, error: float) -> list[tuple[str, float]]:
    """Every statement that the demonstrator may write, with its probability; the reference comes first.

    Args:
        task: one with a reference.
        error: the share of wrong statements in families that have systematic errors.
    """
    wrong = [(slip.sql, error * slip.weight) for slip in task.slips]
    return [(task.reference or "", 1.0 - error if wrong else 1.0), *wrong]


def choose_sql(task: DBTask, rng: Uniform, *, error: float, refuse: Callable[[str], bool]) -> str | None:
    """Draw a statement among those not refused, by their renormalised probabilities; None if all are refused."""
    left = [(sql, share) for sql, share in alternatives(task, error=error) if not refuse(sql)]
    if not left:
        return None
    mark = rng.random() * sum(share for _, share in left)
    for sql, share in left:
        mark -= share
        if mark < 0:
            return sql
    return left[0][0]


def copied_answer(result: Result) -> Sequence[str]:
    """The answer that copies what a statement gave: every cell, or "done" where there is none."""
    return [str(cell) for row in result.rows for cell in row] or DONE


def next_action(
    task: DBTask,
    rng: Uniform,
    *,
    error: float,
    executed: Sequence[str],
    result: Result | None,
    rejected: Collection[str],
    query: Callable[[str], str],
    answer: Callable[[Sequence[str]], str],
) -> str:
    """What the demonstrator writes next.

    It writes a statement first and then copies its outcome as the answer. A refused statement is drawn again; after a
    refused answer to a question it tries another statement. Where nothing is left it insists.

    Args:
        task: the task.
        rng: all randomness.
        error: the share of wrong statements.
        executed: the statements of the episode so far.
        result: what the last of them gave.
        rejected: texts that were refused in this turn.
        query: writes a statement down.
        answer: writes an answer down.
    """
    if task.reference is None:
        return answer(task.answers)
    if result is not None:
        text = answer(DONE if task.write else copied_answer(result))
        if task.write or text not in rejected:
            return text
    sql = choose_sql(task, rng, error=error, refuse=lambda sql: sql in executed or query(sql) in rejected)
    if sql is not None:
        return query(sql)
    return query(task.reference) if result is None else answer(copied_answer(result))
