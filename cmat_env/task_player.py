"""Plays a task and checks every answer: types, spaces, JSON, what the info must say. For `cmat_env.testing`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cmat_env.errors import ContractError
from cmat_env.invariants import broken, plain, short

Lines = list[str]


class TaskPlayer:
    """Plays one task, checks every answer, and writes down what came.

    Attributes:
        lines: the canonical JSON of every answer, in order.
        over: has the episode ended?
    """

    def __init__(self, task: Any) -> None:
        self.task = task
        self.lines: Lines = []
        self.over = False
        self.last_info: dict[str, Any] = {}
        self._kept: list[tuple[str, dict[str, Any], str]] = []

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        result = attempt(lambda: self.task.reset(seed=seed, options={}), "reset(seed=..., options={})")
        if not isinstance(result, tuple) or len(result) != 2:
            raise broken(
                came=f"reset() gave {short(result)}", wanted="(observation, info)", mend='return "the statement", {...}'
            )
        observation, info = result
        self.lines, self.over, self._kept = [], False, []
        self._note("reset()", observation, info, {})
        for key in ("task_id", "task_type"):
            if not isinstance(info.get(key), str) or not info[key]:
                raise broken(
                    came=f"the info of reset() has {key}={short(info.get(key))}",
                    wanted=f"info[{key!r}], a string that is not empty",
                    mend="put it into the info; logs and reports name tasks by it",
                )
        types = getattr(self.task, "task_types", None)
        if types is not None and info["task_type"] not in types:
            raise broken(
                came=f"task_type={info['task_type']!r} is not among task_types={short(types)}",
                wanted="every task_type to be listed",
                mend="add it to task_types, or take task_types away",
            )

    def step(self, action: str) -> None:
        """Take one action."""
        where = f"step({short(action)})"
        result = attempt(lambda: self.task.step(action), where)
        if not isinstance(result, tuple) or len(result) != 5:
            raise broken(
                came=f"{where} gave {short(result)}",
                wanted="(observation, reward, terminated, truncated, info)",
                mend="return these five",
            )
        observation, reward, terminated, truncated, info = result
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, bool):
                raise broken(
                    came=f"{where} gave {name}={short(flag)}, a {type(flag).__name__}",
                    wanted="a Python bool",
                    mend=f"write bool({name})",
                )
        if terminated and truncated:
            raise broken(
                came=f"{where} is terminated and truncated at once",
                wanted="terminated = answered or failed for good, truncated = a limit, never both",
                mend="let terminated win",
            )
        check_number(reward, f"{where} gave reward")
        self._note(where, observation, info, {"reward": reward, "terminated": terminated, "truncated": truncated})
        self.over = terminated or truncated
        if self.over:
            self._check_end(info)

    def _check_end(self, info: dict[str, Any]) -> None:
        if not isinstance(info.get("success"), bool):
            raise broken(
                came=f"the last info has success={short(info.get('success'))}",
                wanted="info['success'], a bool, at the end of an episode",
                mend="say whether the task was solved",
            )
        check_number(info.get("score"), "the last info has score")
        for where, kept, text in self._kept:
            if plain(kept, where=f"the info of {where}") != text:
                raise broken(
                    came=f"the info of {where} changed after it was given",
                    wanted="a dictionary that is the receiver's own",
                    mend="return a new dictionary each time",
                )

    def _note(self, where: str, observation: Any, info: Any, rest: dict[str, Any]) -> None:
        if not isinstance(observation, str) or not self.task.observation_space.contains(observation):
            raise broken(
                came=f"{where} gave the observation {short(observation)}, not in {short(self.task.observation_space)}",
                wanted="a string in observation_space",
                mend="cut what is too long before you return it; cmat_env.AnyText(n) holds any text of n characters",
            )
        if not isinstance(info, dict):
            raise broken(came=f"{where} gave info={short(info)}", wanted="a dict", mend="return {} if there is nothing")
        text = plain(info, where=f"the info of {where}")
        self.last_info = info
        self._kept.append((where, info, text))
        self.lines.append(plain({"observation": observation, "info": info, **rest}, where=f"what {where} gave"))


def attempt(function: Callable[[], Any], where: str) -> Any:
    """The result of `function`; an exception of the task becomes a ContractError that says where."""
    try:
        return function()
    except ContractError:
        raise
    except Exception as error:  # whatever a task raises here is the finding
        raise broken(
            came=f"{where} raised {type(error).__name__}: {error!s:.200}",
            wanted="no exception: what a model writes is data, never an error",
            mend="put a model's mistake into the observation and the info; the cause is above",
        ) from error


def check_number(value: Any, came: str) -> None:
    """Raise unless `value` is a finite int or float."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise broken(came=f"{came}={short(value)}", wanted="a finite int or float", mend="write float(...)")
