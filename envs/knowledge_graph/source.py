"""Where an environment's tasks come from: the generator over its graph, or a finite list such as a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from cmat_env.envs.knowledge_graph.generate import SPLITS, Split, families, generate
from cmat_env.envs.knowledge_graph.generate.facts import Facts
from cmat_env.envs.knowledge_graph.tasks import KGTask, load_tasks
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

    def pick(self, seed: int) -> KGTask:
        """The task of a seed."""
        ...

    def named(self, task: object) -> KGTask:
        """The task that a caller names by number or id."""
        ...


class Generated:
    """A split of the generator: every seed has a task, which is also the task's number."""

    ids: tuple[str, ...] | None = None

    def __init__(self, facts: Facts, split: Split, *, only: Sequence[str] = ()) -> None:
        self._facts, self.split, self._only = facts, split, tuple(only)
        self.families = self._only or families()
        self.pick(0)

    def pick(self, seed: int) -> KGTask:
        """Generate the task of a seed."""
        return generate(self._facts, self.split, seed=seed, only=self._only)

    def named(self, task: object) -> KGTask:
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

    def __init__(self, tasks: Sequence[KGTask]) -> None:
        self._tasks = tuple(tasks)
        self._index = {task.id: index for index, task in enumerate(self._tasks)}
        if not self._tasks:
            raise ConfigError("tasks is empty; give at least one KGTask")
        if len(self._index) < len(self._tasks):
            raise ConfigError("two tasks have the same id; give each its own")
        self.families = tuple(sorted({task.family for task in self._tasks}))

    @property
    def ids(self) -> tuple[str, ...]:
        """Every task, in order."""
        return tuple(self._index)

    def pick(self, seed: int) -> KGTask:
        """The task whose turn it is."""
        return self._tasks[seed % len(self._tasks)]

    def named(self, task: object) -> KGTask:
        """The task of an index or an id."""
        if isinstance(task, str):
            if task not in self._index:
                raise UnknownNameError(f"task {task!r} is unknown; {did_you_mean(task, self._index)}")
            return self._tasks[self._index[task]]
        if isinstance(task, bool) or not isinstance(task, int) or not 0 <= task < len(self._tasks):
            raise UnknownNameError(f"task {task!r}: wanted an id, or an index from 0 to {len(self._tasks) - 1}")
        return self._tasks[task]


def open_source(
    tasks: str | Path | Sequence[KGTask],
    facts: Callable[[], Facts],
    *,
    only: Sequence[str] = (),
    graphs: str | Path | None = None,
) -> Source:
    """Find the tasks that a user asks for.

    Args:
        tasks: "generated:SPLIT", the path of an AgentBench file, or the tasks themselves.
        facts: gives the graph that the generator walks.
        only: families of generated tasks; by default all.
        graphs: the file of the graphs, beside which a status file may lie.

    Raises:
        UnknownNameError: there is no such split.
        TaskFileError: the file cannot be read.
        ConfigError: no usable list.
    """
    if isinstance(tasks, str) and tasks.startswith(_GENERATED):
        wanted = tasks.removeprefix(_GENERATED)
        for split in SPLITS:
            if split == wanted:
                return Generated(facts(), split, only=only)
        raise UnknownNameError(f"split {wanted!r} is unknown; {did_you_mean(wanted, SPLITS)}")
    if only:
        raise ConfigError("families chooses among generated tasks; leave it out, or pass the tasks you want")
    return Listed(load_tasks(tasks, graphs=graphs) if isinstance(tasks, str | Path) else tasks)
