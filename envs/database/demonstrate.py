"""The imperfect demonstrator: a teacher with systematic errors, for warm starts that reward can improve.

In a given share of the episodes its first statement carries an error of the task's family. The statement is really
executed and the answer copies what came out, so that only the choice of the statement is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from cmat_env.envs.database.backend import Result
from cmat_env.envs.database.tasks import DBTask
from cmat_env.lessons import NOTHING, Lessons
from cmat_env.protocols import Uniform

DONE = ("done",)
Option = tuple[str, float]
_SQL = re.compile(r"```sql (.*?) ```")
_NAME = re.compile(r"[a-z_]\w*")
_CONSTANT = re.compile(r"'[^']*'|\b\d+\b")


def alternatives(task: DBTask, *, error: float) -> list[tuple[str, float]]:
    """Every statement that the demonstrator may write, with its probability; the reference comes first.

    Args:
        task: one with a reference.
        error: the share of wrong statements in families that have systematic errors.
    """
    wrong = [(slip.sql, error * slip.weight) for slip in task.slips]
    return [(task.reference or "", 1.0 - error if wrong else 1.0), *wrong]


def heeded(task: DBTask, options: Sequence[Option], lessons: Lessons) -> list[Option]:
    """The statements that are left, by what was learned before; all of them where nothing would be left.

    What was planned after an earlier trial of this task is done. Of earlier tasks, one that was solved by a statement
    of the right form tells the form. In a question with a house's word (`DBTask.jargon`), the column is the one that an
    earlier statement on the same table read, or was to read after another had failed.
    """
    planned = [option for option in options if option[0] in lessons.plan]
    if planned:
        return planned
    kept, solved = list(options), [sql for note in lessons.solved for sql in _SQL.findall(note)]
    if task.jargon:
        table, columns = task.tables[0].name, _told_apart(options)
        for sql in (*lessons.planned, *solved):
            if table in _names(sql):
                kept = [option for option in kept if _names(option[0]) & columns & _names(sql)] or kept
    elif any(_form(sql) == _form(task.reference or "") for sql in solved):
        kept = [option for option in kept if _form(option[0]) == _form(task.reference or "")]
    return kept


def _names(sql: str) -> frozenset[str]:
    """The tables and columns of a statement."""
    return frozenset(_NAME.findall(_CONSTANT.sub("", sql)))


def _told_apart(options: Sequence[Option]) -> frozenset[str]:
    """The names that stand in some of the statements only."""
    sets = [_names(sql) for sql, _ in options]
    return frozenset.union(*sets) - frozenset.intersection(*sets)


def _form(sql: str) -> str:
    """A statement without names and constants."""
    return _NAME.sub("?", _CONSTANT.sub("?", sql))


def spoken_of(task: DBTask, found: Mapping[str, str]) -> DBTask:
    """The task as somebody knows it who has found something else in the parts before: "it" is what was found."""
    wrong = {f"'{right}'": f"'{each}'" for right, each in found.items() if right != each}
    if not wrong:
        return task

    def told(sql: str) -> str:
        for right, each in wrong.items():
            sql = sql.replace(right, each)
        return sql

    slips = tuple(replace(slip, sql=told(slip.sql)) for slip in task.slips)
    return replace(task, reference=None if task.reference is None else told(task.reference), slips=slips)


def choose_sql(
    task: DBTask, rng: Uniform, *, error: float, refuse: Callable[[str], bool], lessons: Lessons = NOTHING
) -> str | None:
    """Draw a statement among those not refused, by their renormalised probabilities; None if all are refused."""
    known = heeded(task, alternatives(task, error=error), lessons)
    left = [(sql, share) for sql, share in known if not refuse(sql)]
    if not left:
        left = [(sql, share) for sql, share in alternatives(task, error=error) if not refuse(sql)]
    if not left:
        return None
    mark = rng.random() * sum(share for _, share in left)
    for sql, share in left:
        mark -= share
        if mark < 0:
            return sql
    return left[0][0]


def plan(task: DBTask, rng: Uniform, *, error: float, executed: Sequence[str]) -> tuple[str, ...]:
    """The statement that it would write if it had to try again: one that it has not executed."""
    if task.reference is None:
        return tuple(executed[-1:])
    sql = choose_sql(task, rng, error=error, refuse=lambda sql: sql in executed)
    return () if sql is None else (sql,)


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
    lessons: Lessons = NOTHING,
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
        lessons: what it was told of earlier trials and tasks.
        query: writes a statement down.
        answer: writes an answer down.
    """
    if task.reference is None:
        return answer(task.answers)
    if result is not None:
        text = answer(DONE if task.write else copied_answer(result))
        if task.write or text not in rejected:
            return text
    sql = choose_sql(
        task, rng, error=error, refuse=lambda sql: sql in executed or query(sql) in rejected, lessons=lessons
    )
    if sql is not None:
        return query(sql)
    return query(task.reference) if result is None else answer(copied_answer(result))
