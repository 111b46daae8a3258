"""What a run adapts to its measurements, beside the KL's weight: which tasks it plays, how much each role learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cmat_env.plan import Episode
from cmat_env.tuning.adaptive import RoleWeights, own_pay
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.evaluations import gains
from cmat_env.tuning.learnability import Kinds, Learnability
from cmat_env.tuning.team import make_env
from cmat_env.types import Trajectory


class Adaptation:
    """The adaptive parts of a run; its state is what they have measured so far.

    Args:
        settings: of the run.
    """

    def __init__(self, settings: RunSettings) -> None:
        own = settings.adaptive
        self._settings = settings
        self._roles = RoleWeights(own.role_gain, own.role_limit, own.role_memory)
        self._kinds = Kinds(lambda: make_env(settings, settings.task.train))
        self._tasks = Learnability(
            self._kinds, candidates=own.candidates, floor=own.floor, memory=own.success_memory, seed=settings.seed
        )

    def episodes(self, iteration: int) -> Iterator[Episode]:
        """The episodes of an iteration: fresh tasks, each played `samples` times."""
        settings = self._settings
        tasks = settings.episodes // settings.samples
        first = (settings.seed << 32) + iteration * tasks * settings.adaptive.candidates
        for seed in self._tasks.choose(first, tasks):
            for sample in range(settings.samples):
                yield Episode(seed, sample=sample)

    def factors(self) -> dict[str, float]:
        """What each learner's learning rate is multiplied by."""
        return self._roles.of(self._settings.team.learners)

    def saw(self, trajectories: Sequence[Trajectory], evaluation: Mapping[str, float | None] | None) -> None:
        """Take in an iteration: its episodes, and the team's success by title where it was evaluated."""
        self._tasks.saw(trajectories)
        if self._settings.adaptive.role_source == "ledger":
            self._roles.saw(own_pay(trajectories, self._settings.team.learners))
        elif evaluation is not None:
            self._roles.saw(gains(evaluation))

    def close(self) -> None:
        """Close what tasks are looked up in; twice is fine."""
        self._kinds.close()

    def state_dict(self) -> dict[str, Any]:
        """A copy of the measurements."""
        return {"roles": self._roles.state_dict(), "tasks": self._tasks.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._roles.load_state_dict(state["roles"])
        self._tasks.load_state_dict(state["tasks"])
