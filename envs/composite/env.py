"""Several tasks in one world: each part is answered before the next one begins, and what was changed stays changed.

observation: the parts and the world, then what the inner task shows; after an answer, which part is answered
action:      as the inner task wants it
reward:      1 at the end if every part is right ("whole"), or 1/k for each of k parts as it is answered ("parts")
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from cmat_env.checks import check_known, check_whole
from cmat_env.envs.composite.tasks import Composite
from cmat_env.envs.source import Source
from cmat_env.envs.task_env import RestorableEnv, Snapshot
from cmat_env.errors import ConfigError
from cmat_env.lessons import Lessons, reflection
from cmat_env.types import Brief, Judgement

Closing = Literal["answers", "user"]
Paying = Literal["whole", "parts"]
_ANSWERED = ("correct", "wrong", "partial")
_PATIENCE = 3


@dataclass(frozen=True, slots=True)
class State:
    """An episode beside its world.

    Attributes:
        task: what is played.
        right: of the parts that are answered, which are right.
        idle: actions since all parts were answered.
        over: has it ended?
        metrics: of the parts that are answered.
        tries: how often the part in front was answered wrongly.
        start: of the inner task, where the part in front began; None where no part is tried again.
        plans: what the demonstrator would do in each part that is answered, if it had to try again.
    """

    task: Composite[Any]
    right: tuple[bool, ...] = ()
    idle: int = 0
    over: bool = False
    metrics: tuple[Any, ...] = ()
    tries: int = 0
    start: Any = None
    plans: tuple[tuple[str, ...], ...] = ()

    @property
    def answered(self) -> bool:
        """Are all parts?"""
        return len(self.right) == len(self.task.parts)


class CompositeEnv(RestorableEnv[Composite[Any], State]):
    """Linked tasks, one after the other.

    Args:
        inner: plays the parts; see `Stage`.
        source: of the composite tasks.
        closing: "answers" = it ends when the last part is answered, "user" = when the user ends the dialogue then.
        reward: "whole" or "parts".
        report: say at the end which parts are right. Nobody is told the right answer.
        retries: how often a part may be answered again that was wrong, in the world as it was before; that it was
            wrong is said at once, so report must be true.

    At the end, infos hold success (every part is right), score (the share that is right), outcome and parts, a list of
    {"family", "right"} where an unanswered part is not right. A part that ends without an answer ends the whole.
    """

    def __init__(
        self,
        inner: Any,
        source: Source[Composite[Any]],
        *,
        closing: Closing = "answers",
        reward: Paying = "whole",
        report: bool = False,
        retries: int = 0,
    ) -> None:
        check_known("closing", closing, get_args(Closing))
        check_known("reward", reward, get_args(Paying))
        check_whole("retries", retries, least=0)
        if retries and not report:
            raise ConfigError(f"retries={retries} tells which parts were wrong, but report=False; set report=True")
        self.inner = inner
        self.source = source
        self.task_types = source.families
        self.closing = closing
        self.reward = reward
        self.report = report
        self.retries = retries
        self.observation_space = inner.observation_space
        self.action_space = inner.action_space

    @property
    def instructions(self) -> str:
        """The inner task's, and how to go through parts."""
        more = "A task may have several parts: answer one, then go on with the next. What you changed stays changed."
        return f"{self.inner.instructions}\n{more}"

    @property
    def brief(self) -> Brief:
        """What the user wants and knows, and how far the team is."""
        task, state = self.task, self._state
        return Brief(
            task.opening,
            task.goals,
            task.wordings,
            task.facts,
            task.details,
            answered=len(state.right),
            tries=state.tries,
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        Raises:
            UnknownNameError: options["task"] names no task.
        """
        task = self._pick(seed, options)
        seen, _ = self.inner.begin(task.parts[0])
        self._episode = State(task, start=self._start())
        world = "" if task.opening else seen
        return "\n".join(filter(None, (self.brief.statement(), world))), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one turn in the present part.

        Raises:
            ResetNeeded: the episode is over, or none has begun.
        """
        state = self._running()
        if state.answered:
            return self._wait(state)
        seen, _, terminated, truncated, info = self.inner.step(action)
        if not terminated and not truncated:
            return seen, 0.0, False, False, self._info()
        if truncated or info["outcome"] not in _ANSWERED:
            return self._end(seen, str(info["outcome"]), truncated=truncated)
        right = bool(info["success"])
        if right or state.tries >= self.retries:
            answer = self._answer(seen, right=right, metrics=info.get("metrics"))
        else:
            answer = self._again(seen)
        if self.retries:
            answer[-1]["graded"] = True
        return answer

    def _start(self) -> Any:
        """Where the inner task stands, if it may have to go back there."""
        return self.inner.snapshot() if self.retries else None

    def _again(self, seen: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """A part was answered wrongly: begin it once more."""
        state = self._episode = replace(self._state, tries=self._state.tries + 1)
        place = len(state.right)
        self.inner.restore(state.start)
        shown = self.inner.begin(state.task.parts[place], fresh=False)[0]
        said = f"Part {place + 1} was wrong; it may be answered again."
        world = "" if state.task.opening else shown
        return "\n".join(filter(None, (seen, said, world))), 0.0, False, False, self._info() | {"milestone": True}

    def _answer(self, seen: str, *, right: bool, metrics: Any) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """A part is answered: begin the next one, or end."""
        before = self._state
        state = self._episode = replace(
            before,
            right=(*before.right, right),
            metrics=(*before.metrics, metrics),
            plans=(*before.plans, self._plan(right=right)),
            tries=0,
        )
        count, done = len(state.task.parts), len(state.right)
        paid = float(right) / count if self.reward == "parts" else 0.0
        if state.answered and self.closing == "answers":
            return self._end(seen, "wrong", paid=paid)
        said = f"Part {done} of {count} is answered."
        shown = "" if state.answered else self.inner.begin(state.task.parts[done], fresh=False)[0]
        self._episode = replace(state, start=self._start())
        world = "" if state.task.opening else shown
        return "\n".join(filter(None, (seen, said, world))), paid, False, False, self._info() | {"milestone": True}

    def _wait(self, state: State) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Everything is answered and the user has not ended the dialogue."""
        state = self._episode = replace(state, idle=state.idle + 1)
        said = "All parts are answered."
        if state.idle >= _PATIENCE:
            return self._end(said, "nobody ended it", truncated=True)
        return said, 0.0, False, False, self._info() | {"milestone": True}

    def finish(self) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """The user ends the dialogue.

        Raises:
            ResetNeeded: the episode is over, or none has begun.
        """
        return self._end("", "wrong" if self._running().answered else "ended early")

    def _end(
        self, seen: str, otherwise: str, *, paid: float = 0.0, truncated: bool = False
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Grade the whole and close the episode; `otherwise` is the outcome where not every part is right."""
        state = self._episode = replace(self._state, over=True)
        count = len(state.task.parts)
        right = [*state.right, *[False] * (count - len(state.right))]
        success = all(right) and not truncated
        reward = paid if self.reward == "parts" else float(success)
        info = self._info() | {
            "success": success,
            "score": sum(right) / count,
            "outcome": "correct" if success else otherwise,
            "parts": [{"family": name, "right": each} for name, each in zip(state.task.families, right, strict=True)],
            "metrics": list(state.metrics),
        }
        if self.report:
            told = [f"Part {place} was {'right' if each else 'wrong'}." for place, each in enumerate(right, start=1)]
            seen = "\n".join(filter(None, (seen, " ".join(told))))
        return seen, reward, not truncated, truncated, info

    def _info(self) -> dict[str, Any]:
        state = self._state
        return {"task_id": state.task.id, "task_type": state.task.family, "part": len(state.right)}

    def solution(self) -> list[str]:
        """The actions of a right episode: those of every part."""
        return [action for part in self.task.parts for action in self.inner.solution_of(part)]

    def _plan(self, *, right: bool) -> tuple[str, ...]:
        """What the demonstrator would do in the part that was answered, if it had to try again."""
        rng = random.Random(f"{self._state.task.id}/{len(self._state.right)}/{self.report and right}")
        return tuple(self.inner.plan(rng, right=self.report and right)) if hasattr(self.inner, "plan") else ()

    def lesson(self, rng: Any) -> str:
        """The demonstrator's reflection on a failure: what it was told was right, then the first other part."""
        told = self._state.right if self.report else ()
        parts = next((place for place, right in enumerate(told) if not right), 0) + 1
        return reflection([move for plan in self._state.plans[:parts] for move in plan])

    def demonstrate(self, rng: Any, rejected: Any = (), lessons: Lessons | None = None) -> str:
        """The next action of the inner task's imperfect demonstrator.

        Raises:
            ConfigError: it has none.
        """
        if not hasattr(self.inner, "demonstrate"):
            raise ConfigError(f"{type(self.inner).__name__} has no demonstrator; choose another policy, such as gold")
        return str(self.inner.demonstrate(rng, rejected, *(() if lessons is None else (lessons,))))

    def judge(self, action: str) -> Judgement | None:
        """The inner task's opinion on an action in the present part; None where none is left."""
        state = self._episode
        if state is None or state.over or state.answered:
            return None
        opinion: Judgement | None = self.inner.judge(action)
        return opinion

    def snapshot(self) -> Snapshot[State]:
        """The episode and the inner task's, untouched by what comes after."""
        return replace(super().snapshot(), world=self.inner.snapshot())

    def restore(self, snapshot: Snapshot[State]) -> None:
        """Go on from a snapshot, which may be used again."""
        super().restore(snapshot)
        self.inner.restore(snapshot.world)

    def close(self) -> None:
        """Release the world; twice is fine."""
        self._episode = None
        self.inner.close()
