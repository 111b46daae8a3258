"""What a composite task is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from cmat_env.envs.source import Generated, Listed, Make, Source, split_of
from cmat_env.errors import ConfigError

S = TypeVar("S", bound=str)
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Stage(Protocol[T_contra]):
    """The task that plays the parts; besides `step`, `judge`, `snapshot`, `restore` and `close` as usual."""

    def begin(self, task: T_contra, *, fresh: bool = True) -> tuple[str, dict[str, Any]]:
        """Begin an episode of this task, in a world of its own or in the world as it is."""
        ...

    def solution_of(self, task: T_contra) -> list[str]:
        """The actions that solve it."""
        ...


@dataclass(frozen=True, slots=True)
class Composite(Generic[T]):
    """Linked tasks in one world.

    Attributes:
        id: names it in its source.
        family: its type.
        parts: what is played, in order.
        families: of the parts.
        opening: what must be told of the world, such as the names of tables.
        goals: what each part wants, in words; a later one may speak of an earlier one.
        wordings: for each goal, all ways to say it.
        facts: what a goal leaves out and the user tells when asked.
        details: what the goals say already, a sentence each.

    Raises:
        ConfigError: there are not as many goals as parts.
    """

    id: str
    family: str
    parts: tuple[T, ...]
    families: tuple[str, ...]
    opening: str
    goals: tuple[str, ...]
    wordings: tuple[tuple[str, ...], ...] = ()
    facts: tuple[str, ...] = ()
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths: Sequence[int] = [len(self.parts), len(self.families), len(self.goals)]
        if len(set(lengths)) > 1 or not self.parts:
            raise ConfigError(
                f"task {self.id!r} has {lengths} parts, families, goals; give as many of each, one or more"
            )


def composite_source(
    tasks: str | Sequence[Composite[T]],
    splits: Sequence[S],
    generator: Callable[[S], Make[Composite[T]]],
    *,
    parts: Sequence[int],
) -> Source[Composite[T]]:
    """Where composite tasks come from.

    Args:
        tasks: "generated:SPLIT", or the tasks.
        splits: those of the generator.
        generator: of a split.
        parts: numbers of parts that it draws from.

    Raises:
        UnknownNameError: there is no such split.
        ConfigError: tasks are something else, or the generator refuses its settings.
    """
    split = split_of(tasks, splits)
    if split is None:
        if isinstance(tasks, str):
            raise ConfigError(f"tasks={tasks!r}: wanted generated:SPLIT, with one of {', '.join(splits)}, or a list")
        return Listed(tasks)
    make = generator(split)
    make(seed=0)  # a wrong number of parts, or a world without such tasks, is met here
    return Generated(f"composite-{split}", make, families=[f"{length} parts" for length in sorted(set(parts))])
