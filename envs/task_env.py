"""What the tasks of this package have in common: a source of tasks, one episode at a time, snapshots of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import gymnasium
from gymnasium.error import ResetNeeded

from cmat_env.envs.source import Named, Source
from cmat_env.types import Brief


class EpisodeState(Protocol):
    """The state of an episode: a value that is replaced, never changed."""

    @property
    def task(self) -> Any:
        """What is played."""
        ...

    @property
    def over(self) -> bool:
        """Has it ended?"""
        ...


T = TypeVar("T", bound=Named)
E = TypeVar("E", bound=EpisodeState)


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[E]):
    """An episode to come back to.

    Attributes:
        episode: its state.
        generator: state of the random numbers that pick tasks; None = not seeded yet.
        world: what the task acts on, where it can change.
    """

    episode: E
    generator: Any
    world: Any = None


class TaskEnv(gymnasium.Env[str, str], Generic[T, E]):
    """An environment that plays tasks of a source.

    Who derives from it sets `source` and `task_types`, and `_episode` at reset.

    Attributes:
        source: of the tasks.
        task_types: the families that they may have.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - the base class declares it so
    source: Source[T]
    task_types: tuple[str, ...]
    _episode: E | None = None

    @property
    def task_ids(self) -> tuple[str, ...] | None:
        """All tasks by id, or None if they are generated without end."""
        return self.source.ids

    @property
    def task(self) -> T:
        """The task of this episode.

        Raises:
            ResetNeeded: none has begun.
        """
        task: T = self._state.task
        return task

    @property
    def _state(self) -> E:
        """The episode, which may be over."""
        if self._episode is None:
            raise ResetNeeded("call reset() first; there is no episode yet")
        return self._episode

    def _running(self) -> E:
        """The episode, which is not over.

        Raises:
            ResetNeeded: it is, or none has begun.
        """
        state = self._state
        if state.over:
            raise ResetNeeded("the episode is over; call reset()")
        return state

    @property
    def brief(self) -> Brief | None:
        """What the user of this episode wants and knows, where the task says it.

        Raises:
            ResetNeeded: no episode has begun.
        """
        brief: Brief | None = getattr(self.task, "brief", None)
        return brief

    def _pick(self, seed: int | None, options: Mapping[str, Any] | None) -> T:
        """Seed the random numbers, and take the task that options name, else that of the seed, else any.

        Raises:
            UnknownNameError: options["task"] names no task.
        """
        super().reset(seed=seed)
        named = (options or {}).get("task")
        if named is not None:
            return self.source.named(named)
        return self.source.pick(int(self.np_random.integers(1 << 31)) if seed is None else seed)


class RestorableEnv(TaskEnv[T, E]):
    """One whose episodes can be come back to; where the task acts on a world, who derives from it adds that."""

    def snapshot(self) -> Snapshot[E]:
        """The episode, untouched by what comes after."""
        generator = None if self._np_random is None else self._np_random.bit_generator.state
        return Snapshot(self._state, generator)

    def restore(self, snapshot: Snapshot[E]) -> None:
        """Go on from a snapshot, which may be used again."""
        self._episode = snapshot.episode
        if snapshot.generator is not None:
            self.np_random.bit_generator.state = snapshot.generator
