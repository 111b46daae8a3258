"""Many copies of a text environment at once, as a Gymnasium `VectorEnv`, in this process or in worker processes.

Gymnasium's own `AsyncVectorEnv` returns stale text with its default shared memory, seeds later episodes from whatever
a copy has drawn before, and ends with the first worker that dies. Here text travels by pipe, the seed of an episode
depends on the seed of the run and the episode's index alone, and a crash is a clear error or a dropped, counted
episode.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from cmat_env.checks import check_known, check_whole
from cmat_env.errors import ConfigError, ContractError, CrashError
from cmat_env.registry import make_task
from cmat_env.vector_seeds import Seeds
from cmat_env.workers import Answer, Here, Host, There

Observations = Any
_TRIES = 10
_SCRIPT = '; a script that starts workers is imported by them: put what it does below `if __name__ == "__main__":`'


@dataclass(frozen=True, slots=True)
class DroppedEpisode:
    """An episode that a crash ended.

    Attributes:
        index: of the episode in the run.
        slot: the copy that played it.
        error: what happened.
    """

    index: int
    slot: int
    error: str


def make_vec(
    env: str | Callable[[], gymnasium.Env[Any, Any]],
    num_envs: int = 1,
    *,
    workers: int = 0,
    autoreset: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    on_crash: str = "raise",
    timeout: float = 300.0,
    **settings: Any,
) -> TextVectorEnv:
    """Make `num_envs` copies of an environment that are stepped together.

    Args:
        env: the id of a registered task, or a function that makes a `gymnasium.Env`, such as a `RoleEnv`.
        num_envs: how many copies.
        workers: processes that the copies are spread over; 0 = this one. An `env` that is a function is sent to them.
        autoreset: when an ended episode is followed by the next one: "NextStep", "SameStep" or "Disabled".
        on_crash: "raise" a CrashError, or "drop" the episode, count it in `dropped`, and go on.
        timeout: seconds that a worker may take for one step of its copies; then it counts as crashed. One that starts
            has two minutes more.
        settings: of the task; with a function there are none.

    Raises:
        UnknownNameError: no environment has this name.
        ConfigError: a setting is unknown or out of range.
        CrashError: a copy cannot even be made.
    """
    if not isinstance(env, str) and settings:
        raise ConfigError(f"settings {sorted(settings)} came with a function; let the function use them")
    make = functools.partial(make_task, env, **settings) if isinstance(env, str) else env
    if isinstance(env, str):
        make().close()  # a user's mistake raises here as itself, and not in a worker
    return TextVectorEnv(make, num_envs, workers=workers, autoreset=autoreset, on_crash=on_crash, timeout=timeout)


class TextVectorEnv(VectorEnv[Observations, Any, Any]):
    """Copies of one environment, by Gymnasium's rules for `VectorEnv`; see `make_vec`.

    Slot i plays the episodes i, i + num_envs, i + 2 num_envs, ... Episode k of a run has the seed
    `seed * 1_000_000 + k`, which is that of `cmat_env.evaluate`, so a run is the same whatever the workers are, and the
    episodes that two runs of different `num_envs` have in common are the same. (Gymnasium's own classes seed slot i
    with `seed + i`, so that runs of neighbouring seeds share episodes.)

    Attributes:
        episode_index: (num_envs,) which episode each slot plays.
        dropped: the episodes that crashed, with `on_crash="drop"`.

    Raises:
        ConfigError: a setting is out of range.
        CrashError: a copy cannot be made.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any]],
        num_envs: int = 1,
        *,
        workers: int = 0,
        autoreset: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        on_crash: str = "raise",
        timeout: float = 300.0,
    ) -> None:
        check_whole("num_envs", num_envs)
        check_whole("workers", workers, least=0)
        check_known("on_crash", on_crash, ("raise", "drop"))
        if timeout <= 0:
            raise ConfigError(f"timeout={timeout} must be above 0")
        modes = {mode.value: mode for mode in AutoresetMode}
        if not isinstance(autoreset, AutoresetMode):
            check_known("autoreset", autoreset, modes)
        self.num_envs = num_envs
        self.autoreset_mode = autoreset if isinstance(autoreset, AutoresetMode) else modes[autoreset]
        self.on_crash, self.timeout = on_crash, timeout
        self.dropped: list[DroppedEpisode] = []
        count = min(workers, num_envs)
        shares = [range(first, num_envs, count) for first in range(count)] if count else [range(num_envs)]
        self._hosts: list[Host] = [There(make, share) if count else Here(make, share) for share in shares]
        self._host_of = {slot: host for host in self._hosts for slot in host.slots}
        facts = self._facts()
        self.metadata = {**facts["metadata"], "autoreset_mode": self.autoreset_mode}
        self.render_mode = facts["render_mode"]
        self.single_observation_space, self.single_action_space = facts["observation"], facts["action"]
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seeds = Seeds(num_envs)
        self.episode_index = np.arange(num_envs)
        self._begun = False
        self._ended = np.zeros(num_envs, dtype=np.bool_)
        self._seen: list[Any] = [None] * num_envs

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin the episodes 0 to num_envs - 1 of a run, or the next one of some slots.

        Args:
            seed: of the run; a list has the seed of each slot's own run; None = go on, or draw one if none was given.
            options: for the environments; `{"reset_mask": (num_envs,) bool}` resets the slots where it is True.
        """
        given = dict(options or {})
        mask = self._mask_of(given.pop("reset_mask", None))
        if seed is not None and not mask.all():
            raise ConfigError("a seed begins a new run; give it without reset_mask")
        self._seeds.take(seed)
        fresh = seed is not None or not self._begun
        for slot in np.flatnonzero(mask).tolist():
            self.episode_index[slot] = slot if fresh else self.episode_index[slot] + self.num_envs
        self._begun = True
        infos: dict[str, Any] = {}
        for slot, (observation, info) in self._reset_slots(np.flatnonzero(mask).tolist(), given or None).items():
            self._seen[slot] = observation
            infos = self._add_info(infos, info, slot)
        self._ended[mask] = False
        return self._batch(), infos

    def step(self, actions: Any) -> tuple[Observations, Any, Any, Any, dict[str, Any]]:
        """Take one action in every slot; one that waits for its reset begins its next episode in place of that."""
        if not self._begun:
            raise ContractError("no episode is under way; call reset() before step()")
        chosen = list(iterate(self.action_space, tuple(actions) if isinstance(actions, list) else actions))
        if len(chosen) != self.num_envs:
            raise ContractError(f"{len(chosen)} actions came for num_envs={self.num_envs}; give one for each")
        waiting = self._ended.copy()
        if waiting.any() and self.autoreset_mode == AutoresetMode.DISABLED:
            slots = np.flatnonzero(waiting).tolist()
            raise ContractError(f'the episodes of slots {slots} are over; reset(options={{"reset_mask": ...}}) them')
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        terminated, truncated = np.zeros(self.num_envs, dtype=np.bool_), np.zeros(self.num_envs, dtype=np.bool_)
        infos: dict[str, Any] = {}
        for slot, (observation, info) in self._next(np.flatnonzero(waiting).tolist()).items():
            self._seen[slot] = observation
            infos = self._add_info(infos, info, slot)
        steps = self._ask({slot: ("step", chosen[slot]) for slot in np.flatnonzero(~waiting).tolist()})
        ends: dict[int, dict[str, Any]] = {}
        for slot, answer in steps.items():
            observation, reward, terminated[slot], truncated[slot], info = self._stepped(slot, answer)
            self._seen[slot], rewards[slot] = observation, float(reward)
            if (terminated[slot] or truncated[slot]) and self.autoreset_mode == AutoresetMode.SAME_STEP:
                ends[slot] = info
            else:
                infos = self._add_info(infos, info, slot)
        finals = {slot: self._seen[slot] for slot in ends}
        for slot, (observation, info) in self._next(list(ends)).items():
            infos = self._add_info(infos, {"final_obs": finals[slot], "final_info": ends[slot]}, slot)
            self._seen[slot] = observation
            infos = self._add_info(infos, info, slot)
        same_step = self.autoreset_mode == AutoresetMode.SAME_STEP
        self._ended = np.zeros_like(terminated) if same_step else terminated | truncated
        return self._batch(), rewards, terminated, truncated, infos

    def call(self, name: str, *args: Any) -> tuple[Any, ...]:
        """An attribute of every copy, or what its method of this name gives."""
        answers = self._ask(dict.fromkeys(range(self.num_envs), ("call", (name, args))))
        values = []
        for slot in range(self.num_envs):
            if answers[slot].error:
                raise CrashError(f"{name} of slot {slot}: {answers[slot].error}")
            values.append(answers[slot].value)
        return tuple(values)

    def render(self) -> tuple[Any, ...] | None:
        """What every copy draws."""
        return self.call("render")

    def close_extras(self, **kwargs: Any) -> None:
        """Close the copies and end the workers."""
        for host in self._hosts:
            host.close(self.timeout)

    def _facts(self) -> Mapping[str, Any]:
        """Spaces and metadata, which are the same for all; every worker must be able to make its copies."""
        for host in self._hosts:
            host.send([(slot, "facts", None) for slot in host.slots])
        found = [answer for host in self._hosts for answer in host.receive(self.timeout).values()]
        broken = next((answer.error for answer in found if answer.error), None)
        if broken is not None:
            self.close()
            raise CrashError(f"the environment cannot be made: {broken}{_SCRIPT if 'worker process' in broken else ''}")
        facts: Mapping[str, Any] = found[0].value
        return facts

    def _mask_of(self, mask: Any) -> Any:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        array = np.asarray(mask)
        if array.shape != (self.num_envs,) or array.dtype != np.bool_ or not array.any():
            raise ConfigError(f"reset_mask={mask!r}: wanted {self.num_envs} bools, one of them True")
        return array

    def _next(self, slots: Sequence[int]) -> dict[int, tuple[Any, dict[str, Any]]]:
        for slot in slots:
            self.episode_index[slot] += self.num_envs
        return self._reset_slots(slots, None)

    def _reset_slots(
        self, slots: Sequence[int], options: dict[str, Any] | None
    ) -> dict[int, tuple[Any, dict[str, Any]]]:
        """Begin an episode in each; one that crashes at once is dropped, and the slot's next one is begun."""
        done: dict[int, tuple[Any, dict[str, Any]]] = {}
        left = list(slots)
        for _ in range(_TRIES):
            seeds = {slot: self._seeds.of(slot, int(self.episode_index[slot])) for slot in left}
            answers = self._ask({slot: ("reset", (seed, options)) for slot, seed in seeds.items()})
            left = []
            for slot, answer in answers.items():
                if answer.error:
                    self._drop(slot, answer.error)
                    self.episode_index[slot] += self.num_envs
                    left.append(slot)
                else:
                    done[slot] = answer.value
            if not left:
                return done
        raise CrashError(f"slots {left} crash at every reset, {_TRIES} in a row; last: {self.dropped[-1].error}")

    def _stepped(self, slot: int, answer: Answer) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """What a step gave; a dropped episode ends truncated, unpaid, with the last observation."""
        if answer.error:
            self._drop(slot, answer.error)
            return self._seen[slot], 0.0, False, True, {"dropped": True, "error": answer.error}
        result: tuple[Any, float, bool, bool, dict[str, Any]] = answer.value
        return result

    def _drop(self, slot: int, error: str) -> None:
        index = int(self.episode_index[slot])
        if self.on_crash == "raise":
            self.close()
            raise CrashError(f'episode {index} in slot {slot}: {error}; on_crash="drop" goes on without it')
        self.dropped.append(DroppedEpisode(index, slot, error))

    def _ask(self, commands: Mapping[int, tuple[str, Any]]) -> dict[int, Answer]:
        """Let every slot do what it is told, the workers side by side; answers in the order of the slots."""
        asked = []
        for host in self._hosts:
            mine = [(slot, *commands[slot]) for slot in host.slots if slot in commands]
            if mine:
                host.send(mine)
                asked.append(host)
        answers: dict[int, Answer] = {}
        for host in asked:
            answers |= host.receive(self.timeout)
        return {slot: answers[slot] for slot in sorted(answers)}

    def _batch(self) -> Observations:
        space = self.single_observation_space
        empty: Any = create_empty_array(space, n=self.num_envs, fn=np.zeros)
        return deepcopy(concatenate(space, self._seen, empty))
