"""Copies side by side: Gymnasium's rules, text as it was said, seeds that know no order, crashes that end nothing."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import cmat_env
from cmat_env.errors import ConfigError, ContractError, CrashError, UnknownNameError
from cmat_env.evaluate import plan_episodes
from cmat_env.spaces import AnyText
from cmat_env.vector import TextVectorEnv, make_vec


class Diary(gymnasium.Env[str, str]):
    """Says the seed of its episode and the round; three rounds. The action says what happens.

    "crash" raises, "die" ends the process, "hang" sleeps, "end" terminates.
    """

    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012 - as Gymnasium has it
    observation_space, action_space = AnyText(), AnyText()

    def __init__(self, *, doomed: int = -1) -> None:
        self.doomed = doomed

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        """Begin."""
        super().reset(seed=seed)
        if seed == self.doomed:
            raise OSError("no such disk")
        self.seed, self.round = seed, 0
        return f"seed {seed} naïve 東京", {"task_id": f"t{seed}"}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Go on, or do as told."""
        if action == "crash":
            raise ValueError("bad day")
        if action == "die":
            os._exit(7)
        if action == "hang":
            time.sleep(60)
        self.round += 1
        info = {"task_id": f"t{self.seed}", "round": self.round}
        return f"seed {self.seed} round {self.round} {action}", 0.5, action == "end", self.round == 3, info

    def render(self) -> str:
        """The round."""
        return f"round {self.round}"


Made = Any


@pytest.fixture
def made() -> Iterator[Made]:
    """`make_vec` that closes what it made."""
    opened: list[TextVectorEnv] = []

    def make(*arguments: Any, **settings: Any) -> TextVectorEnv:
        opened.append(make_vec(*arguments, **settings))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def plain(value: Any) -> Any:
    """Arrays as lists, for comparison."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("workers", [0, 2])
def test_it_steps_as_gymnasiums_own_does(mode: AutoresetMode, workers: int, made: Made) -> None:
    """But for the seeds of later episodes, which Gymnasium leaves to each copy: rewards, ends, infos and masks."""
    ours = made(Diary, 3, workers=workers, autoreset=mode)
    theirs = SyncVectorEnv([Diary] * 3, autoreset_mode=mode)
    seeds = [11, 12, 13]
    first, second = ours.reset(seed=seeds), theirs.reset(seed=seeds)  # type: ignore[arg-type]
    assert (first[0], plain(first[1])) == (second[0], plain(second[1]))
    for turn in range(3):
        actions = ("a", "end" if turn == 1 else "b", "c")
        one: Any = ours.step(actions)
        other: Any = theirs.step(actions)
        for which in (1, 2, 3):
            assert one[which].tolist() == other[which].tolist()
        assert set(one[4]) == set(other[4])
        if turn == 0:
            assert (one[0], plain(one[4])) == (other[0], plain(other[4]))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_text_is_never_stale(workers: int, made: Made) -> None:
    """Every observation is the one of its step, any Unicode: what AsyncVectorEnv's shared memory gets wrong."""
    env = made(Diary, 3, workers=workers)
    observations, infos = env.reset(seed=2)

    assert ("seed 2000000 naïve 東京", "seed 2000001 naïve 東京", "seed 2000002 naïve 東京") == observations
    assert ["t2000000", "t2000001", "t2000002"] == infos["task_id"].tolist()
    kept, *_ = env.step(("x", "y", "\ud800"))
    later, *_ = env.step(("x", "y", "z"))
    assert "seed 2000002 round 1 \ud800" == kept[2]
    assert "seed 2000002 round 2 z" == later[2]
    assert observations in env.observation_space


def test_the_seed_of_an_episode_knows_no_order(made: Made) -> None:
    """Whatever the number of copies and workers, and however long others take: episode k is episode k."""

    def first_words(num_envs: int, workers: int, ending: str) -> dict[int, str]:
        env = made(Diary, num_envs, workers=workers, autoreset="SameStep")
        observations, _ = env.reset(seed=5)
        told = {int(index): text for index, text in zip(env.episode_index, observations, strict=True)}
        for _ in range(8):
            observations, _, terminated, truncated, _ = env.step((ending, *["b"] * (num_envs - 1)))
            for slot in np.flatnonzero(terminated | truncated):
                told[int(env.episode_index[slot])] = observations[slot]
        return told

    runs = [first_words(2, 0, "end"), first_words(3, 2, "b"), first_words(4, 0, "end")]
    for told in runs:
        assert {index: f"seed {5_000_000 + index} naïve 東京" for index in told} == told
    assert [each.seed for each in plan_episodes(None, 3, seed=5)] == [5_000_000, 5_000_001, 5_000_002]


def test_a_reset_goes_on_with_the_run_unless_it_has_a_seed(made: Made) -> None:
    """With a seed it is the same run anew; without one it never repeats an episode."""
    env = made(Diary, 2)
    first, _ = env.reset(seed=1)
    second, _ = env.reset()
    again, _ = env.reset(seed=1)

    assert first == again
    assert ("seed 1000002 naïve 東京", "seed 1000003 naïve 東京") == second


def test_disabled_autoreset_resets_by_mask(made: Made) -> None:
    """Slots that go on are not touched; stepping an ended one is refused."""
    env = made(Diary, 2, autoreset="Disabled")
    env.reset(seed=0)
    _, _, terminated, *_ = env.step(("end", "a"))
    assert [True, False] == terminated.tolist()
    with pytest.raises(ContractError, match=r"the episodes of slots \[0\] are over"):
        env.step(("a", "a"))
    observations, _ = env.reset(options={"reset_mask": np.array([True, False])})

    assert ("seed 2 naïve 東京", "seed 1 round 1 a") == observations
    with pytest.raises(ConfigError, match="one of them True"):
        env.reset(options={"reset_mask": np.array([False, False])})


@pytest.mark.parametrize(
    ("workers", "action", "said"),
    [
        (0, "crash", "ValueError: bad day"),
        (2, "crash", "ValueError: bad day"),
        (2, "die", r"its worker process died \(exit status 7\)"),
        (2, "hang", "its worker process gave no answer within 1 s"),
    ],
)
def test_a_crash_is_a_clear_error(workers: int, action: str, said: str, made: Made) -> None:
    """Which episode, and why; never a hang."""
    env = made(Diary, 2, workers=workers)
    env.reset(seed=0)
    env.timeout = 1 if action == "hang" else 100
    started = time.monotonic()

    with pytest.raises(CrashError, match=rf'episode 1 in slot 1: {said}; on_crash="drop" goes on without it'):
        env.step(("a", action))
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(("workers", "action"), [(0, "crash"), (2, "die"), (2, "hang")])
def test_a_crash_may_cost_its_own_episode_only(workers: int, action: str, made: Made) -> None:
    """It ends truncated and unpaid, is counted, and the slot goes on with its next one."""
    env = made(Diary, 2, workers=workers, on_crash="drop")
    env.reset(seed=0)
    env.timeout = 1 if action == "hang" else 100
    observations, rewards, terminated, truncated, infos = env.step(("a", action))

    assert ("seed 0 round 1 a", "seed 1 naïve 東京") == observations
    assert ([0.5, 0.0], [False, False], [False, True]) == (rewards.tolist(), terminated.tolist(), truncated.tolist())
    assert infos["dropped"][1]
    assert [(1, 1)] == [(each.index, each.slot) for each in env.dropped]
    env.timeout = 100
    observations, *_ = env.step(("b", "b"))
    assert ("seed 0 round 2 b", "seed 3 naïve 東京") == observations


def test_a_worker_that_dies_takes_the_episodes_that_it_held(made: Made) -> None:
    """Both of its slots are dropped, and counted."""
    env = made(Diary, 2, workers=1, on_crash="drop", autoreset="SameStep")
    env.reset(seed=0)
    observations, _, _, truncated, _ = env.step(("a", "die"))

    assert [True, True] == truncated.tolist()
    assert ("seed 2 naïve 東京", "seed 3 naïve 東京") == observations
    assert [0, 1] == [each.index for each in env.dropped]


def test_an_episode_that_cannot_begin_is_dropped_too(made: Made) -> None:
    """The slot goes on to the next; one that never begins is an error in the end."""
    env = made(functools.partial(Diary, doomed=1), 2, on_crash="drop")
    observations, _ = env.reset(seed=0)

    assert ("seed 0 naïve 東京", "seed 3 naïve 東京") == observations
    assert ["OSError: no such disk"] == [each.error for each in env.dropped]
    with pytest.raises(CrashError, match=r"cannot be made: .*ZeroDivisionError"):
        make_vec(lambda: 1 // 0, workers=1)  # type: ignore[arg-type,return-value]


def test_registered_tasks_and_role_views(made: Made) -> None:
    """An id with its settings, and one role of a team: dictionaries of text are batched, too."""
    env = made("cmat/DB-v0", 2, workers=1, tasks="generated:train")
    observations, infos = env.reset(seed=0)
    assert observations[0] == cmat_env.make_task("cmat/DB-v0", tasks="generated:train").reset(seed=0)[0]
    assert 2 == len(infos["task_id"])
    team = made(functools.partial(_assistant_view, "cmat/DB-v0"), 2)
    seen, _ = team.reset(seed=0)

    assert observations == seen["message"]
    assert (2,) == seen["speaker"].shape


def _assistant_view(name: str) -> cmat_env.RoleEnv:
    return cmat_env.RoleEnv(cmat_env.make(name, roles=("assistant",)))


def test_call_and_render_reach_every_copy(made: Made) -> None:
    """In workers as here."""
    env = made(Diary, 2, workers=2)
    env.reset(seed=0)
    env.step(("a", "b"))

    assert ("round 1", "round 1") == env.render() == env.call("render")
    assert (-1, -1) == env.call("doomed")


def test_mistakes_are_named_before_a_worker_starts() -> None:
    """As themselves."""
    with pytest.raises(UnknownNameError, match=r"did you mean 'cmat/DB-v0'\?"):
        make_vec("cmat/BD-v0", 2, workers=2)
    with pytest.raises(ConfigError, match="no setting 'levle'"):
        make_vec("cmat/DB-v0", 2, levle=2)
    with pytest.raises(ConfigError, match="num_envs=0"):
        make_vec(Diary, 0)
    with pytest.raises(ConfigError, match="on_crash='ignore' is unknown"):
        make_vec(Diary, on_crash="ignore")
    with pytest.raises(ConfigError, match="autoreset='Never' is unknown"):
        make_vec(Diary, autoreset="Never")
    with pytest.raises(ConfigError, match="came with a function"):
        make_vec(Diary, 2, level=3)
    with pytest.raises(ContractError, match=r"call reset\(\)"):
        make_vec(Diary).step(("a",))
    env = make_vec(Diary, 2)
    env.reset(seed=0)
    with pytest.raises(ContractError, match="1 actions came for num_envs=2"):
        env.step(("a",))


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    """Its workers import it, and would start workers of their own."""
    script = tmp_path / "mine.py"
    script.write_text("import cmat_env\ncmat_env.make_vec('cmat/DB-v0', 2, workers=2)\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100, check=False)

    assert 1 == done.returncode
    last = done.stderr.strip().splitlines()[-1]
    assert "CrashError: the environment cannot be made: its worker process died" in last
    assert 'below `if __name__ == "__main__":`' in last
