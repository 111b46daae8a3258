"""The tasks of `cmat/DB-v0`: generated ones, those of a dbbench file, or a caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cmat_env.envs.database.generate import SPLITS, families, generate
from cmat_env.envs.database.tasks import DBTask, load_tasks
from cmat_env.envs.source import Generated, Listed, Source, split_of


def open_source(tasks: str | Path | Sequence[DBTask], *, level: int, only: Sequence[str] = ()) -> Source[DBTask]:
    """Find the tasks that a user asks for.

    Args:
        tasks: "generated:SPLIT", the path of a dbbench file, or the tasks themselves.
        level: of generated tasks.
        only: families of generated tasks; by default all of the level.

    Raises:
        UnknownNameError: there is no such split or family.
        TaskFileError: the file cannot be read.
        ConfigError: no such level, or no usable list.
    """
    split = split_of(tasks, SPLITS, families=only)
    if split is None:
        return Listed(load_tasks(tasks) if isinstance(tasks, str | Path) else tasks)
    make = partial(generate, split, level=level, only=tuple(only))
    make(seed=0)  # a level or family that does not exist is met here
    return Generated(f"{split}-{level}", make, families=only or families(level))
