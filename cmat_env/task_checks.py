"""Does a task keep its contract? More strictly than Gymnasium's own check, which hardly looks at text."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium.utils.env_checker import check_env

from cmat_env.invariants import JUNK, broken, check_equal, global_random, nothing_left, short
from cmat_env.spaces import AnyText
from cmat_env.task_player import Lines, TaskPlayer, attempt
from cmat_env.types import Judgement

_SAMPLES = 3
_FORKS = 4


def check_task(make: Callable[[], Any], *, seeds: Sequence[int] = (0, 1, 2), max_turns: int = 200) -> None:
    """Play a task in many ways and raise at the first broken rule of `cmat_env.types.Task`.

    Checked: types and spaces of everything that goes in and out; any string as an action; an end within `max_turns`;
    the same episode from the same seed, in a fresh instance, after another episode, beside another instance, and
    whatever the global random state is; JSON; that `judge`, `solution` and `snapshot` change nothing; that a solution
    solves; that a fork goes on as the original; `close` twice, with nothing left behind; Gymnasium's own `check_env`.

    Args:
        make: makes a fresh task each time; the class itself will do.
        seeds: of the episodes.
        max_turns: actions within which every episode must end.

    Raises:
        ContractError: what came, what was wanted, and how to mend it.
    """
    if not callable(make):
        raise broken(
            came=f"check_task({short(make)})", wanted="a function that makes a task", mend="pass the class, or a lambda"
        )
    _check_spaces(make())
    runs = []
    for state in (1, 2):
        with global_random(state, what="the task"):
            runs.append([line for seed in seeds for line in _episodes(make, seed, max_turns)])
    check_equal(
        runs[0], runs[1], "under another global random state",
        "draw from self.np_random alone, and keep time, process ids and addresses out of observations and infos",
    )  # fmt: skip
    tasks = []
    with nothing_left(what="the task"):
        for seed in seeds:
            tasks.append(make())
            _Case(make, seed, [*(text for _, text in JUNK), *_samples(seed)], max_turns).play(tasks[-1])
            for _ in range(2):
                attempt(tasks[-1].close, "close(), which may be called twice,")
    _check_gymnasium(make)


@dataclass(frozen=True, slots=True)
class _Case:
    """One episode to be played again and again: whose, from which seed, with which actions."""

    make: Callable[[], Any]
    seed: int
    actions: Sequence[str]
    max_turns: int

    def action(self, turn: int) -> str:
        """What the agent says at a turn; at the end it repeats itself."""
        return self.actions[turn] if turn < len(self.actions) else self.actions[-1 - turn % self._tail]

    def play(self, task: Any, *, seed: int | None = None) -> TaskPlayer:
        """The whole episode, which must end."""
        player = TaskPlayer(task)
        player.reset(self.seed if seed is None else seed)
        for turn in range(self.max_turns):
            if player.over:
                return player
            player.step(self.action(turn))
        if not player.over:
            raise broken(
                came=f"an episode of {type(task).__name__} did not end within {self.max_turns} actions",
                wanted="an end, whatever the agent says",
                mend="count rounds and return truncated=True at a limit; or raise max_turns of this check",
            )
        return player

    @property
    def _tail(self) -> int:
        return min(_SAMPLES, len(self.actions))


def _episodes(make: Callable[[], Any], seed: int, max_turns: int) -> Lines:
    """Every kind of episode of one seed, each compared with its repetitions."""
    _check_each_junk(make, seed)
    samples = _samples(seed)
    played = _repeated(_Case(make, seed, [*(text for _, text in JUNK), *samples], max_turns))
    solution = _solution(make, seed)
    if solution:
        played += _repeated(_Case(make, seed, solution, max_turns))
        played += _repeated(_Case(make, seed, [*samples, *solution], max_turns))
    return played


def _samples(seed: int) -> list[str]:
    space = AnyText(1000, seed=seed)
    return [space.sample() for _ in range(_SAMPLES)]


def _repeated(case: _Case) -> Lines:
    player = case.play(case.make())
    _check_repetitions(case, player)
    _check_extras_change_nothing(case, player.lines)
    _check_forks(case, player.lines)
    return player.lines


def _check_each_junk(make: Callable[[], Any], seed: int) -> None:
    """Each piece of junk as the first action, and judged before it."""
    for _, text in JUNK:
        player = TaskPlayer(make())
        player.reset(seed)
        _judged(player.task, text)
        player.step(text)


def _check_repetitions(case: _Case, player: TaskPlayer) -> None:
    twins = [TaskPlayer(case.make()), TaskPlayer(case.make())]
    for twin in twins:
        twin.reset(case.seed)
    for turn in range(case.max_turns):
        for twin in twins:
            if not twin.over:
                twin.step(case.action(turn))
    for twin in twins:
        check_equal(
            player.lines, twin.lines, "of two instances side by side",
            "keep state in the instance, not in the class or module; no time, id or address in answers",
        )  # fmt: skip
    case.play(player.task, seed=case.seed + 1)
    left = TaskPlayer(player.task)
    left.reset(case.seed + 2)
    left.step(case.action(0))
    check_equal(
        player.lines, case.play(player.task).lines, "after another episode of the same instance",
        "let reset() begin everything anew",
    )  # fmt: skip


def _check_extras_change_nothing(case: _Case, lines: Lines) -> None:
    """`judge`, `solution` and `snapshot` may be called at any time, and the episode goes on as without."""
    for name in ("judge", "solution", "snapshot"):
        player = TaskPlayer(case.make())
        extra = getattr(player.task, name, None)
        if extra is None:
            continue
        player.reset(case.seed)
        for turn in range(len(lines) - 1):
            if name == "judge":
                _judged(player.task, case.action(turn))
            else:
                attempt(extra, f"{name}()")
            player.step(case.action(turn))
            if player.over:
                break
        check_equal(lines, player.lines, f"when {name}() is called before each action", f"let {name}() change nothing")


def _judged(task: Any, action: str) -> Judgement | None:
    """The task's opinion on an action, if it has a proper one."""
    judge = getattr(task, "judge", None)
    where = f"judge({short(action)})"
    judgement = attempt(lambda: judge(action), where) if judge else None
    if judgement is not None and not (isinstance(judgement, Judgement) and isinstance(judgement.good, bool)):
        raise broken(
            came=f"{where} gave {short(judgement)}", wanted="a Judgement or None", mend="return Judgement(good)"
        )
    return judgement


def _solution(make: Callable[[], Any], seed: int) -> list[str]:
    """The task's own solution, checked; empty if it offers none."""
    player = TaskPlayer(make())
    if getattr(player.task, "solution", None) is None:
        return []
    player.reset(seed)
    solution = attempt(player.task.solution, "solution()")
    if not isinstance(solution, list) or not solution or not all(isinstance(action, str) for action in solution):
        raise broken(came=f"solution() gave {short(solution)}", wanted="a list of actions", mend="return list[str]")
    for action in solution:
        if player.over:
            break
        judgement = _judged(player.task, action)
        if judgement is not None and not judgement.good:
            raise broken(
                came=f"judge() calls an action of the task's own solution bad: {short(action)}",
                wanted="good, or no opinion",
                mend="correct judge() or solution()",
            )
        player.step(action)
    if not player.over or not player.last_info["success"]:
        raise broken(
            came=f"the task's own solution {short(solution)} does not solve seed {seed}: {short(player.last_info)}",
            wanted="the end of the episode with info['success'] = True",
            mend="let solution() give every action of a correct episode, the answer too",
        )
    return solution


def _check_forks(case: _Case, lines: Lines) -> None:
    """A snapshot, a pickle and a deep copy taken at a turn go on as the original does."""
    player = TaskPlayer(case.make())
    if hasattr(player.task, "snapshot") != hasattr(player.task, "restore"):
        raise broken(came="the task has one of snapshot() and restore()", wanted="both or none", mend="add the other")
    player.reset(case.seed)
    for turn in range(min(_FORKS, len(lines) - 1)):
        for name, fork in _forks(case, player.task):
            mend = f"let {name} carry all that an episode depends on, the random generator too"
            twin = TaskPlayer(fork)
            for later in range(turn, len(lines) - 1):
                twin.step(case.action(later))
                if twin.over:
                    break
            check_equal(lines[turn + 1 :], twin.lines, f"when it goes on from {name} of turn {turn}", mend)
        player.step(case.action(turn))


def _forks(case: _Case, task: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(task, "snapshot"):
        state = attempt(task.snapshot, "snapshot()")
        for name in ("a snapshot", "a snapshot that was restored before"):
            other = case.make()
            other.reset(seed=case.seed + 1)
            attempt(lambda other=other: other.restore(state), "restore()")  # type: ignore[misc]
            yield name, other
        try:
            pickle.dumps(state)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise broken(
                came=f"what snapshot() gave cannot be pickled: {error}",
                wanted="plain data",
                mend="give bytes, tuples, strings and numbers",
            ) from error
    clones: dict[str, Callable[[Any], Any]] = {
        "a deep copy": copy.deepcopy,
        "a pickle": lambda each: pickle.loads(pickle.dumps(each)),
    }
    for name, clone in clones.items():
        try:
            twin = clone(task)
        except (TypeError, AttributeError, pickle.PicklingError):
            continue
        yield name, twin


def _check_spaces(task: Any) -> None:
    is_env = isinstance(task, gymnasium.Env)
    if not is_env:
        raise broken(
            came=f"make() gave a {type(task).__name__}", wanted="a gymnasium.Env[str, str]", mend="inherit from it"
        )
    for name in ("observation_space", "action_space"):
        space = getattr(task, name, None)
        for text in ("", "SELECT 1; -- naïve 東京\n"):
            if not isinstance(space, gymnasium.Space) or not space.contains(text):
                raise broken(
                    came=f"{name} is {short(space)}, and {text!r} is not in it",
                    wanted="a space that holds any text",
                    mend=f"set self.{name} = cmat_env.AnyText(max_length)",
                )
    if not isinstance(getattr(task, "instructions", ""), str):
        raise broken(came=f"instructions={short(task.instructions)}", wanted="a string", mend="make it one")


def _check_gymnasium(make: Callable[[], Any]) -> None:
    task = make()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            check_env(task, skip_render_check=True)
        except (AssertionError, gymnasium.error.Error) as error:
            raise broken(
                came=f"gymnasium's own check_env says: {error}",
                wanted="an environment that passes it",
                mend="begin reset() with super().reset(seed=seed)",
            ) from error
        finally:
            task.close()
