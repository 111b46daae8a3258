"""Where an environment's tasks come from: a generator with a task for every seed, or a finite list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, Union

import numpy as np

from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

_GENERATED = "generated:"


class Named(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str:
        """Its name."""
        ...


class OfFamily(Named, Protocol):
    """What belongs to a family, too."""

    @property
    def family(self) -> str:
        """The kind of task that it is."""
        ...


S = TypeVar("S", bound=str)
T = TypeVar("T", bound=Named)
T_co = TypeVar("T_co", bound=Named, covariant=True)
F = TypeVar("F", bound=OfFamily)


class Make(Protocol[T_co]):
    """A generator, but for the seed."""

    def __call__(self, *, seed: int) -> T_co:
        """The task of a seed."""
        ...


class Generated(Generic[T]):
    """Every seed has a task of its own, which is also the task's number; ids are "PREFIX-SEED".

    Args:
        prefix: the first part of ids, such as the split.
        make: the task of a seed.
        families: that tasks may have.
    """

    ids: tuple[str, ...] | None = None

    def __init__(self, prefix: str, make: Make[T], *, families: Sequence[str] = ()) -> None:
        self.prefix = prefix
        self.make = make
        self.families = tuple(families)
        self.skipped: dict[str, str] = {}

    def pick(self, seed: int) -> T:
        """Generate the task of a seed."""
        return self.make(seed=seed)

    def named(self, task: object) -> T:
        """Generate the task of a number or of an id such as "train-17"."""
        if isinstance(task, str):
            match = re.fullmatch(rf"{self.prefix}-(-?\d{{1,40}})", task)
            if match is None:
                raise UnknownNameError(f"task {task!r}: wanted '{self.prefix}-SEED' or a whole number")
            return self.pick(int(match[1]))
        if isinstance(task, bool) or not isinstance(task, int):
            raise UnknownNameError(f"task {task!r}: wanted an id or a whole number")
        return self.pick(task)


class Listed(Generic[T]):
    """A finite list of tasks; seeds go round it, so that as many seeds in a row as tasks meet each once.

    Args:
        tasks: to pick from.
        skipped: by id, why a task is left out.

    Raises:
        ConfigError: there is no task, or two have the same id.
    """

    def __init__(self, tasks: Sequence[T], *, skipped: Mapping[str, str] | None = None) -> None:
        self.tasks = tuple(tasks)
        self.skipped = dict(skipped or {})
        self._index = {task.id: index for index, task in enumerate(self.tasks)}
        if not self.tasks:
            raise ConfigError("tasks is empty; give at least one")
        if len(self._index) < len(self.tasks):
            raise ConfigError("two tasks have the same id; give each its own")

    @property
    def ids(self) -> tuple[str, ...]:
        """Every task, in order."""
        return tuple(self._index)

    @property
    def families(self: Listed[F]) -> tuple[str, ...]:
        """The families of its tasks."""
        return tuple(sorted({task.family for task in self.tasks}))

    def pick(self, seed: int) -> T:
        """The task whose turn it is."""
        return self.tasks[seed % len(self.tasks)]

    def named(self, task: object) -> T:
        """The task of an index or an id."""
        if isinstance(task, str):
            if task in self.skipped:
                raise UnknownNameError(f"task {task!r} is skipped: {self.skipped[task]}")
            if task not in self._index:
                raise UnknownNameError(f"task {task!r} is unknown; {did_you_mean(task, self._index)}")
            return self.tasks[self._index[task]]
        if isinstance(task, bool) or not isinstance(task, int) or not 0 <= task < len(self.tasks):
            raise UnknownNameError(f"task {task!r}: wanted an id, or an index from 0 to {len(self.tasks) - 1}")
        return self.tasks[task]


Source = Union[Generated[T], Listed[T]]  # noqa: UP007 - an alias that takes a parameter


def split_of(tasks: object, splits: Sequence[S], *, families: Sequence[str] = ()) -> S | None:
    """The split that "generated:SPLIT" names; None: tasks are something else.

    Args:
        tasks: what a user gave.
        splits: those of the generator.
        families: what the user chose among generated tasks.

    Raises:
        UnknownNameError: there is no such split.
        ConfigError: families are chosen, but tasks are not generated.
    """
    if isinstance(tasks, str) and tasks.startswith(_GENERATED):
        wanted = tasks.removeprefix(_GENERATED)
        for split in splits:
            if split == wanted:
                return split
        raise UnknownNameError(f"split {wanted!r} is unknown; {did_you_mean(wanted, splits)}")
    if families:
        raise ConfigError("families chooses among generated tasks; leave it out, or pass the tasks you want")
    return None


def number_of(options: Mapping[str, Any] | None, seed: int | None, rng: np.random.Generator, *, below: int) -> int:
    """The number of a task that is made from one: `options["task"]`, else the seed of the reset, else a random one.

    Args:
        options: of the reset.
        seed: of the reset.
        rng: draws where there is neither.
        below: numbers that are drawn are below this.

    Raises:
        UnknownNameError: the option is no whole number.
    """
    number = (options or {}).get("task")
    if number is None:
        return int(rng.integers(below)) if seed is None else seed
    if isinstance(number, bool) or not isinstance(number, int):
        raise UnknownNameError(f"task {number!r}: wanted a whole number")
    return number
