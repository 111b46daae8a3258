"""Where an environment's tasks come from: a generator with a task for every seed, or a finite list."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean


class Named(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str:
        """Its name."""
        ...


T = TypeVar("T", bound=Named)
T_co = TypeVar("T_co", bound=Named, covariant=True)


class Source(Protocol[T_co]):
    """Picks tasks."""

    @property
    def ids(self) -> tuple[str, ...] | None:
        """All tasks, or None if there is no end of them."""
        ...

    def pick(self, seed: int) -> T_co:
        """The task of a seed."""
        ...

    def named(self, task: object) -> T_co:
        """The task that a caller names by number or id."""
        ...


class Generated(Generic[T]):
    """Every seed has a task of its own, which is also the task's number; ids are "SPLIT-SEED".

    Args:
        split: the first part of ids.
        make: the task of a seed.
    """

    ids: tuple[str, ...] | None = None

    def __init__(self, split: str, make: Callable[[int], T]) -> None:
        self.split = split
        self.pick = make

    def named(self, task: object) -> T:
        """Generate the task of a number or of an id such as "train-17"."""
        if isinstance(task, str):
            match = re.fullmatch(rf"{self.split}-(-?\d{{1,40}})", task)
            if match is None:
                raise UnknownNameError(f"task {task!r}: wanted '{self.split}-SEED' or a whole number")
            return self.pick(int(match[1]))
        if isinstance(task, bool) or not isinstance(task, int):
            raise UnknownNameError(f"task {task!r}: wanted an id or a whole number")
        return self.pick(task)


class Listed(Generic[T]):
    """A finite list of tasks; seeds go round it, so that as many seeds in a row as tasks meet each once.

    Raises:
        ConfigError: there is no task, or two have the same id.
    """

    def __init__(self, tasks: Sequence[T]) -> None:
        self._tasks = tuple(tasks)
        self._index = {task.id: index for index, task in enumerate(self._tasks)}
        if not self._tasks:
            raise ConfigError("there is not a single task; give at least one")
        if len(self._index) < len(self._tasks):
            raise ConfigError("two tasks have the same id; give each its own")

    @property
    def ids(self) -> tuple[str, ...]:
        """Every task, in order."""
        return tuple(self._index)

    def pick(self, seed: int) -> T:
        """The task whose turn it is."""
        return self._tasks[seed % len(self._tasks)]

    def named(self, task: object) -> T:
        """The task of an index or an id."""
        if isinstance(task, str):
            if task not in self._index:
                raise UnknownNameError(f"task {task!r} is unknown; {did_you_mean(task, self._index)}")
            return self._tasks[self._index[task]]
        if isinstance(task, bool) or not isinstance(task, int) or not 0 <= task < len(self._tasks):
            raise UnknownNameError(f"task {task!r}: wanted an id, or an index from 0 to {len(self._tasks) - 1}")
        return self._tasks[task]
