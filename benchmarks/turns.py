"""How many turns of a team does the environment take in a second? Nothing generates here: words are ready-made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium

import cmat_env
from benchmarks.report import Rate, measure, table
from cmat_env.collab import CollabEnv
from cmat_env.policies.scripted import ApprovePolicy, EchoPolicy, GoldPolicy
from cmat_env.rollout import Episode, Rollout
from cmat_env.spaces import AnyText

ROUNDS_OF_WORK = 8
EPISODES = 64
WORDS = {"user_0": "say something", "assistant_0": "hello", "checker_0": "Verdict: approve"}


class Nothing(gymnasium.Env[str, str]):
    """A task that does nothing: what remains is the team."""

    observation_space = AnyText(200)
    action_space = AnyText(200)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin."""
        self.left = ROUNDS_OF_WORK
        return "say something", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Count."""
        self.left -= 1
        return "ok", 0.0, not self.left, False, {}


def bare() -> Callable[[], int]:
    """Episodes of the team environment in PettingZoo's own loop."""
    env = CollabEnv(Nothing())

    def job() -> int:
        env.reset(seed=0)
        turns = 0
        for agent in env.agent_iter():
            _, _, terminated, truncated, _ = env.last()
            if terminated or truncated:
                env.step(None)
            else:
                env.step(WORDS[agent])
                turns += 1
        return turns

    return job


def database(*, dialect: str, new: bool) -> Callable[[], int]:
    """Episodes on the database, played by `Rollout` with gold SQL; `new` = no task is met twice."""
    rollout = Rollout(
        lambda: cmat_env.make("cmat/DB-v0", tasks="generated:train", dialect=dialect),
        {"user": EchoPolicy(), "assistant": GoldPolicy(), "checker": ApprovePolicy()},
        width=EPISODES,
    )
    first = 0

    def job() -> int:
        nonlocal first
        done = rollout.run([Episode(first + index) for index in range(EPISODES)])
        first += EPISODES * new
        return sum(len(trajectory.steps) for trajectory in done.finished)

    return job


def rows(*, seconds: float, rounds: int) -> list[tuple[str, Rate, str]]:
    """What was measured, how often a second, and what was wanted."""
    plan = [
        ("three roles on a task that does nothing, PettingZoo's loop", bare(), "40,000"),
        ("`cmat/DB-v0` on SQLite, gold SQL, known tasks", database(dialect="sqlite", new=False), "5,000"),
        ("`cmat/DB-v0` on SQLite, gold SQL, each task generated", database(dialect="sqlite", new=True), "-"),
        ("`cmat/DB-v0` on SQLite as MySQL, gold SQL, known tasks", database(dialect="mysql", new=False), "-"),
    ]
    found = measure([job for _, job, _ in plan], seconds=seconds, rounds=rounds)
    return [(name, rate, wanted) for (name, _, wanted), rate in zip(plan, found, strict=True)]


def report(*, quick: bool = False) -> str:
    """The table."""
    found = rows(seconds=0.05 if quick else 1.0, rounds=1 if quick else 5)
    head = ("team turns a second, by the clock (by CPU time)", "measured", "wanted, at least")
    return table(head, [(name, str(rate), wanted) for name, rate, wanted in found])
