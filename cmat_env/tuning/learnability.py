"""Which tasks are played: kinds that succeed sometimes more often than kinds that always or never do.

An episode's task has a kind, its `task_type`. With p the running success of a kind, the kind weighs

    floor + (1 - floor) * 4 p (1 - p)

and a kind that has not been seen weighs 1. For every task that is wanted, some candidates are drawn as ever, and one of
them is chosen with a probability in proportion to its weight: what is played follows the weights as far as candidates
reach, and no generator of tasks needs to know of it.

Source: learnability p (1 - p), Rutherford et al. 2024, arXiv:2408.15099; by kinds, with a floor and candidates: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from cmat_env.collab import CollabEnv
from cmat_env.types import Trajectory


class Kinds:
    """Says the kind of the task that a seed stands for: it begins the task in an environment of its own.

    Args:
        make_env: makes it, when it is first asked.
    """

    def __init__(self, make_env: Callable[[], CollabEnv]) -> None:
        self._make_env = make_env
        self._env: CollabEnv | None = None

    def __call__(self, seed: int) -> str:
        """The `task_type`."""
        self._env = self._env or self._make_env()
        self._env.reset(seed=seed)
        return str(self._env.infos[self._env.agent_selection].get("task_type", ""))

    def close(self) -> None:
        """Close the environment; twice is fine."""
        if self._env:
            self._env.close()
            self._env = None


class Learnability:
    """Chooses tasks, and learns from what became of them.

    Args:
        kind_of: says the kind of the task that a seed stands for.
        candidates: how many are drawn for each that is played; 1 = the first is taken, and nothing is chosen.
        floor: weight of a kind that always or never succeeds, between 0 and 1.
        memory: share of a kind's old success that is kept when it has been played again.
        seed: of the choice.

    Attributes:
        success: running success, by kind.
    """

    def __init__(
        self,
        kind_of: Callable[[int], str],
        *,
        candidates: int = 1,
        floor: float = 0.1,
        memory: float = 0.7,
        seed: int = 0,
    ) -> None:
        self.success: dict[str, float] = {}
        self._kind_of = kind_of
        self._candidates = candidates
        self._floor = floor
        self._memory = memory
        self._seed = seed

    def choose(self, first: int, count: int) -> Iterator[int]:
        """Seeds of `count` tasks out of the `count * candidates` from `first` on."""
        each = self._candidates
        rng = np.random.default_rng((self._seed, first))
        for start in range(first, first + count * each, each):
            seeds = range(start, start + each)
            if each == 1:
                yield start
                continue
            weights = np.array([self.weight(self._kind_of(seed)) for seed in seeds])
            yield seeds[rng.choice(each, p=weights / weights.sum())]

    def weight(self, kind: str) -> float:
        """How often a kind is played, beside the others."""
        p = self.success.get(kind, 0.5)
        return self._floor + (1 - self._floor) * 4 * p * (1 - p)

    def saw(self, trajectories: Iterable[Trajectory]) -> None:
        """Take the episodes of an iteration into the running success of their kinds."""
        found: dict[str, list[bool]] = {}
        for trajectory in trajectories:
            found.setdefault(trajectory.task_type, []).append(trajectory.success)
        for kind, results in found.items():
            now = sum(results) / len(results)
            before = self.success.get(kind, now)
            self.success[kind] = self._memory * before + (1 - self._memory) * now

    def state_dict(self) -> dict[str, float]:
        """A copy of the running success."""
        return dict(self.success)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.success = {kind: float(value) for kind, value in state.items()}
