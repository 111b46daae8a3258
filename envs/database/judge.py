"""The opinion on a proposed statement, from what it gave in a dry run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cmat_env.envs.database.backend import Result, Row
from cmat_env.envs.database.grade import grade_fc, same_rows
from cmat_env.envs.database.tasks import DBTask
from cmat_env.types import Judgement


def judge_result(
    task: DBTask, result: Result, *, gold: Sequence[Row], rows: Callable[[], Sequence[Row] | None]
) -> Judgement | None:
    """Should the statement that gave this result be executed?

    A statement that fails is bad. For a write, one that brings about the right table is good, any other change is bad,
    and looking around is neither. For a question whose reference is known only a query with the right rows is good;
    where it is not known, other queries are neither, but a change is bad.

    Args:
        task: the task.
        result: of the dry run.
        gold: the right final rows of a write.
        rows: reads the graded table after the dry run.
    """
    if result.error is not None:
        return Judgement(good=False, reason="error")
    query = bool(result.columns)
    if task.write:
        if query:
            return None
        final = rows()
        good = final is not None and same_rows(final, gold)
        return Judgement(good, "right rows" if good else "wrong rows")
    cells = [str(cell) for row in result.rows for cell in row]
    if query and len(cells) == len(task.answers) and grade_fc(cells, task.answers):
        return Judgement(good=True, reason="right rows")
    if task.reference is not None:
        return Judgement(good=False, reason="wrong rows" if query else "not a query")
    return Judgement(good=False, reason="changes the data of a question") if result.changed else None
