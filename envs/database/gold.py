"""The right final rows of writes, worked out by their references where they are not given."""

from __future__ import annotations

from cmat_env.envs.database.backend import Backend, Row
from cmat_env.envs.database.grade import table_md5
from cmat_env.envs.database.tasks import DBTask
from cmat_env.errors import ConfigError


def final_rows(backend: Backend, task: DBTask) -> list[Row] | None:
    """What the table of a task holds now; None: it, or a column of it, is gone."""
    return backend.table_rows(task.tables[0].name, task.tables[0].columns)


class Gold:
    """What tasks should end with; each reference runs once.

    Args:
        backend: where references run; what it holds is lost then.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._rows: dict[str, tuple[Row, ...]] = {}
        self._wrong: dict[str, bool] = {}

    def rows(self, task: DBTask) -> tuple[Row, ...]:
        """The right final rows of a write.

        Raises:
            ConfigError: they are given neither as rows nor as a hash, and the reference does not run.
        """
        if task.gold_rows is not None:
            return task.gold_rows
        if task.id not in self._rows:
            self._backend.load(task.tables)
            result = self._backend.execute(task.reference or "")
            if result.error is not None and task.answer_md5 is None:
                raise ConfigError(f"task {task.id!r}: its reference fails ({result.error}); give SQL that runs here")
            self._rows[task.id] = tuple(final_rows(self._backend, task) or ())
        return self._rows[task.id]

    def label_is_wrong(self, task: DBTask, rows: tuple[Row, ...]) -> bool:
        """Does the file state another hash than its own statement gives?"""
        if task.answer_md5 is None:
            return False
        if task.id not in self._wrong:
            self._wrong[task.id] = task.answer_md5 != table_md5(rows)
        return self._wrong[task.id]
