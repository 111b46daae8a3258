"""`cmat/Mix-v0`: several environments as one task; each episode is of one of them, which its seed picks.

Task ids and types begin with the member's name: "db/train-17", "kg/hop_3".
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from gymnasium.error import ResetNeeded

from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean
from cmat_env.registry import make_task
from cmat_env.spaces import AnyText
from cmat_env.team import Forkable

EXTRAS = frozenset({"solution", "solve", "demonstrate", "judge", "lesson", "candidates", "brief", "finish"})
"""What a task may offer beside the least; a mixture offers what the member at play does."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the environments.

    Attributes:
        env: id of a registered environment.
        share: how many of every `sum of all shares` seeds in a row are its own.
        dry_run: where the team shows dry runs, does it show this member's?
        settings: of the environment.
    """

    env: str
    share: int = 1
    dry_run: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not isinstance(self.share, int) or self.share < 1:
            raise ConfigError(f"share={self.share!r} of {self.env} must be a whole number of at least 1")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An episode to come back to: whose it is, that member's own snapshot, and the state of the random numbers."""

    name: str
    inner: Any
    generator: Any


MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "db": {"env": "cmat/DB-v0"},
    "os": {"env": "cmat/OS-v0"},
    "kg": {"env": "cmat/KG-v0"},
    "web": {"env": "cmat/WebShop-v0"},
}


class MixEnv(gymnasium.Env[str, str]):
    """One of several tasks at a time.

    Args:
        members: by name, `Member`s or their fields; by default CMAT's own four tasks. A member is made when its first
            episode begins.
        tasks: where each member's tasks come from, such as "generated:train"; a member's own `tasks` comes first.

    `reset(seed=, options={"task": ...})`: seeds in a row go round the members by their shares, and through the tasks of
    each in a row; options name a task with the member's name before it. All else is as the member has it, infos too.

    Raises:
        ConfigError, UnknownNameError: there is no member, or it is not what it should be.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - the base class declares it so

    def __init__(
        self,
        members: Mapping[str, Member | Mapping[str, Any]] = MEMBERS,
        *,
        tasks: Any = "generated:train",
    ) -> None:
        self.members = {name: _member(name, given) for name, given in members.items()}
        if not self.members:
            raise ConfigError('members is empty; give at least one, such as {"db": {"env": "cmat/DB-v0"}}')
        self.tasks = tasks
        self.observation_space = AnyText(1_000_000)
        self.action_space = AnyText(1_000_000)
        self._made: dict[str, Any] = {}
        self._name: str | None = None
        self._ends = list(itertools.accumulate(member.share for member in self.members.values()))

    @property
    def name(self) -> str:
        """Of the member at play.

        Raises:
            ResetNeeded: there is no episode yet.
        """
        if self._name is None:
            raise ResetNeeded("call reset() first; there is no episode yet")
        return self._name

    @property
    def dry_runs(self) -> bool:
        """Can the action of the episode at play be tried first, and shall it? Not every member can be forked."""
        return self.members[self.name].dry_run and isinstance(self._task, Forkable)

    @property
    def instructions(self) -> str:
        """Those of the member at play, or of the first before there is one."""
        task = self._of(self._name or next(iter(self.members)))
        return str(getattr(task, "instructions", "") or "")

    @property
    def task_types(self) -> tuple[str, ...]:
        """The families of all members, with their names before them."""
        return tuple(
            f"{name}/{kind}" for name in self.members for kind in getattr(self._of(name), "task_types", None) or ("",)
        )

    @property
    def _task(self) -> Any:
        """The member at play."""
        return self._made[self.name]

    def _of(self, name: str) -> Any:
        """A member, made if it was not wanted before."""
        if name not in self._made:
            member = self.members[name]
            self._made[name] = make_task(member.env, **{"tasks": self.tasks, **member.settings}).unwrapped
        return self._made[name]

    def __getattr__(self, name: str) -> Any:
        if name in EXTRAS and self.__dict__.get("_name") is not None:
            return getattr(self._task, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def turn_of(self, seed: int) -> tuple[str, int]:
        """The member whose turn it is, and the seed of its task."""
        turn, place = divmod(seed, self._ends[-1])
        index = bisect.bisect_right(self._ends, place)
        name, member = list(self.members.items())[index]
        return name, turn * member.share + place - (self._ends[index] - member.share)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode of one of the members.

        Raises:
            UnknownNameError: options["task"] names no task.
        """
        super().reset(seed=seed)
        named = (options or {}).get("task")
        given = dict(options or {})
        if isinstance(named, str):
            name, _, given["task"] = named.partition("/")
            if name not in self.members or not given["task"]:
                raise UnknownNameError(f"task {named!r}: wanted MEMBER/TASK; {did_you_mean(name, self.members)}")
            own = seed
        else:
            given.pop("task", None)
            number = int(self.np_random.integers(1 << 31)) if seed is None else seed
            name, own = self.turn_of(number if named is None else _number(named))
        task = self._of(name)
        self._name = name
        seen, info = task.reset(seed=own, options=given or None)
        return seen, self._renamed(info)

    def step(self, action: str) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        """Take one turn in the member at play.

        Raises:
            ResetNeeded: the episode is over, or none has begun.
        """
        seen, reward, terminated, truncated, info = self._task.step(action)
        return seen, reward, terminated, truncated, self._renamed(info)

    def _renamed(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """What a member says of its task, under the mixture's names."""
        return {**info, **{key: f"{self.name}/{info[key]}" for key in ("task_id", "task_type") if key in info}}

    def snapshot(self) -> Snapshot:
        """The episode, untouched by what comes after.

        Raises:
            ConfigError: the member at play cannot be forked.
        """
        if not isinstance(self._task, Forkable):
            raise ConfigError(f"{self.members[self.name].env} cannot be forked: it has no snapshot() and restore()")
        generator = None if self._np_random is None else self._np_random.bit_generator.state
        return Snapshot(self.name, self._task.snapshot(), generator)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, which may be used again."""
        self._of(snapshot.name).restore(snapshot.inner)
        self._name = snapshot.name
        if snapshot.generator is not None:
            self.np_random.bit_generator.state = snapshot.generator

    def close(self) -> None:
        """Close every member that was made; twice is fine."""
        self._name = None
        while self._made:
            self._made.popitem()[1].close()


def _member(name: str, given: Member | Mapping[str, Any]) -> Member:
    if isinstance(given, Member):
        return given
    if not name or "/" in name or not isinstance(given, Mapping):
        raise ConfigError(f'member {name!r}: {given!r}; wanted a name without "/" and {{"env": ..., "share": 1}}')
    known = tuple(Member.__dataclass_fields__)
    for key in given:
        if key not in known:
            raise ConfigError(f"member {name!r} has no field {key!r}; {did_you_mean(str(key), known)}")
    if "env" not in given:
        raise ConfigError(f'member {name!r} has no env; give one, such as {{"env": "cmat/DB-v0"}}')
    return Member(**given)


def _number(task: object) -> int:
    if isinstance(task, bool) or not isinstance(task, int):
        raise UnknownNameError(f"task {task!r}: wanted MEMBER/TASK or a whole number")
    return task
