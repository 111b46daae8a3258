"""Where an environment's tasks come from: the generator, or a finite list such as a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from cmat_env.envs.operating_system.checkers import Fidelity
from cmat_env.envs.operating_system.generate import FAMILIES, SPLITS, Split, generate
from cmat_env.envs.operating_system.load import load_tasks
from cmat_env.envs.operating_system.tasks import OSTask
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

_GENERATED = "generated:"


class Source(Protocol):
    """Picks tasks."""

    @property
    def families(self) -> tuple[str, ...]:
        """The families that its tasks may have."""
        ...

    @property
    def ids(self) -> tuple[str, ...] | None:
        """All tasks, or None if there is no end of them."""
        ...

    @property
    def skipped(self) -> Mapping[str, str]:
        """By id: why a task of the file is left out."""
        ...

    def pick(self, seed: int) -> OSTask:
        """The task of a seed."""
        ...

    def named(self, task: object) -> OSTask:
        """The task that a caller names by number or id."""
        ...


class Generated:
    """A split of the generator: every seed has a task of its own, which is also the task's number."""

    ids: tuple[str, ...] | None = None
    skipped: Mapping[str, str] = {}

    def __init__(self, split: Split, only: Sequence[str] = ()) -> None:
        self.split, self._only = split, tuple(only)
        self.families = self._only or FAMILIES
        self.pick(0)

    def pick(self, seed: int) -> OSTask:
        """Generate the task of a seed."""
        return generate(self.split, seed=seed, only=self._only)

    def named(self, task: object) -> OSTask:
        """Generate the task of a number or of an id such as "train-17"."""
        if isinstance(task, str):
            match = re.fullmatch(rf"{self.split}-(-?\d{{1,40}})", task)
            if match is None:
                raise UnknownNameError(f"task {task!r}: wanted '{self.split}-SEED' or a whole number")
            return self.pick(int(match[1]))
        if isinstance(task, bool) or not isinstance(task, int):
            raise UnknownNameError(f"task {task!r}: wanted an id or a whole number")
        return self.pick(task)


class Listed:
    """A finite list of tasks; seeds go round it, so that as many seeds in a row as tasks meet each once.

    Raises:
        ConfigError: there is no task, or two have the same id.
    """

    def __init__(self, tasks: Sequence[OSTask], skipped: Mapping[str, str] | None = None) -> None:
        self._tasks = tuple(tasks)
        self.skipped = dict(skipped or {})
        self._index = {task.id: index for index, task in enumerate(self._tasks)}
        if not self._tasks:
            raise ConfigError("tasks is empty; give at least one OSTask")
        if len(self._index) < len(self._tasks):
            raise ConfigError("two tasks have the same id; give each its own")
        self.families = tuple(sorted({task.family for task in self._tasks}))

    @property
    def ids(self) -> tuple[str, ...]:
        """Every task, in order."""
        return tuple(self._index)

    def without_users(self) -> Listed:
        """The tasks that do with root alone; the others are skipped."""
        reason = "needs other users than root, which the single-uid sandbox does not have"
        left_out = {task.id: reason for task in self._tasks if task.needs_users}
        return Listed([task for task in self._tasks if not task.needs_users], {**self.skipped, **left_out})

    def pick(self, seed: int) -> OSTask:
        """The task whose turn it is."""
        return self._tasks[seed % len(self._tasks)]

    def named(self, task: object) -> OSTask:
        """The task of an index or an id."""
        if isinstance(task, str):
            if task in self.skipped:
                raise UnknownNameError(f"task {task!r} is skipped: {self.skipped[task]}")
            if task not in self._index:
                raise UnknownNameError(f"task {task!r} is unknown; {did_you_mean(task, self._index)}")
            return self._tasks[self._index[task]]
        if isinstance(task, bool) or not isinstance(task, int) or not 0 <= task < len(self._tasks):
            raise UnknownNameError(f"task {task!r}: wanted an id, or an index from 0 to {len(self._tasks) - 1}")
        return self._tasks[task]


def open_source(
    tasks: str | Path | Sequence[OSTask],
    *,
    script_dir: str | Path | None = None,
    only: Sequence[str] = (),
    fidelity: Fidelity = "upstream",
) -> Generated | Listed:
    """Find the tasks that a user asks for.

    Args:
        tasks: "generated:SPLIT", the path of an AgentBench file or folder, or the tasks themselves.
        script_dir: where the script files of AgentBench tasks are.
        only: families of generated tasks; by default all.
        fidelity: with which defects AgentBench tasks are read.

    Raises:
        UnknownNameError: there is no such split or family.
        TaskFileError: a file cannot be read.
        ConfigError: no usable list.
    """
    if isinstance(tasks, str) and tasks.startswith(_GENERATED):
        wanted = tasks.removeprefix(_GENERATED)
        for split in SPLITS:
            if split == wanted:
                return Generated(split, only)
        raise UnknownNameError(f"split {wanted!r} is unknown; {did_you_mean(wanted, SPLITS)}")
    if only:
        raise ConfigError("families chooses among generated tasks; leave it out, or pass the tasks you want")
    if isinstance(tasks, str | Path):
        loaded = load_tasks(tasks, script_dir=script_dir, fidelity=fidelity)
        return Listed(loaded.tasks, loaded.skipped)
    return Listed(tasks)
