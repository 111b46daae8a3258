"""A team's experience: what long-term memory tells a role before an episode, and what it keeps of one.

Reading happens when an episode starts, writing only in `learn`, which the caller does when a block of episodes is over:
episodes of one block never hear of each other, whatever runs beside what.
"""

from __future__ import annotations

from collections.abc import Sequence

from cmat_env.agents.memory_rules import clipped
from cmat_env.agents.memory_store import LongTermMemory, NewMemory
from cmat_env.agents.reflection import parse_reflection
from cmat_env.trials import task_return
from cmat_env.types import Recalled, Step, Trajectory

_SOLVED = "Solved: {task} By: {actions}"
_TASK_LENGTH = 160


class Experience:
    """Recalls memories for a team, and keeps what it went through.

    Args:
        memory: where from, and where to.
        writes: may `learn` write? Where it may not, nothing that happens in one episode reaches another.
    """

    def __init__(self, memory: LongTermMemory, *, writes: bool) -> None:
        self.memory = memory
        self.writes = writes

    def recall(self, role: str, family: str, about: str) -> tuple[Recalled, ...]:
        """What a role is told before an episode of this family of tasks."""
        return tuple(Recalled(entry.text, entry.id) for entry in self.memory.recall(role, family, about))

    def learn(self, trials: Sequence[Trajectory], *, roles: Sequence[str]) -> None:
        """Keep what a block of episodes has shown, all of it or nothing; does nothing where writing is not allowed.

        Memories that were recalled are fresh again, and stronger where the trial was a success. Reflections are kept
        after failures, and after a success what the assistant did. Then the memory forgets what has faded.

        Args:
            trials: in order, the trials of an episode one after the other.
            roles: whose words are kept; an oracle's never should be.
        """
        if not self.writes or not trials:
            return
        with self.memory.transaction():
            for trial, following in zip(trials, (*trials[1:], None), strict=True):
                again = following if following is not None and following.trial == trial.trial + 1 else None
                self.memory.tick()
                numbers = [
                    item.memory for items in trial.recalled.values() for item in items if item.memory is not None
                ]
                self.memory.reinforce(numbers, helped=trial.success)
                self.memory.add(new for new in _new(trial, again) if new.role in roles)
            self.memory.consolidate()


def _new(trial: Trajectory, following: Trajectory | None) -> list[NewMemory]:
    """What is worth keeping of a trial."""
    cue = trial.steps[0].observation["message"] if trial.steps else ""
    found = [
        NewMemory(
            step.role,
            trial.env_id,
            parse_reflection(step.generation.text),
            cue=cue,
            outcome=trial.outcome,
            task=trial.task_id,
            uses=int(following is not None),
            helped=int(following is not None and task_return(following) > task_return(trial)),
        )
        for step in trial.steps
        if step.kind == "reflect"
    ]
    acted = _executed(trial.steps)
    if trial.success and acted:
        text = _SOLVED.format(task=clipped(cue, _TASK_LENGTH), actions=_actions(acted))
        found.append(NewMemory("assistant", trial.env_id, text, cue, trial.outcome, trial.task_id, kind="experience"))
    return found


def _executed(steps: Sequence[Step]) -> list[Step]:
    """What the assistant did; what it proposed and the checker refused is no part of that."""
    return [
        step
        for step, following in zip(steps, (*steps[1:], None), strict=True)
        if step.role == "assistant"
        and step.kind == "act"
        and not (following is not None and following.verdict is not None and not following.verdict.approve)
    ]


def _actions(steps: Sequence[Step]) -> str:
    return " Then: ".join(" ".join(step.generation.text.split()) for step in steps)
