"""Trajectories in the shop: recorded in process once, played again in process and in Chromium by the tests.

    python tests/envs/web/trajectories.py record          writes trajectories.jsonl beside this file
    python tests/envs/web/trajectories.py play 0 2        plays every second one, from 0, in Chromium; prints what came

Four kinds of customers: some play the solution, some click at random among the available actions, some wander through
twenty pages, and some type odd things.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

from cmat_env.envs.web.shop import WebShopEnv

FILE = Path(__file__).with_name("trajectories.jsonl")
NUMBER = 200
_ODD = (
    "search[]", "search[<r>]", 'search["red" OR (shoes', "search[ÄÖÜ crème ☕]", "search[%00&q=x#]", "search[a+b=c?]",
    "search[" + "word " * 100 + "]", "click[no such thing]", "click[]", "search[lamp] search[bed]", "nothing at all",
    "search[the and of]", "click[BACK TO SEARCH]", "click[< prev]", "click[next >]", "search[東京 shoes]",
)  # fmt: skip


def make(*, browser: bool = False, mode: Any = "text") -> WebShopEnv:
    """The shop that trajectories are of."""
    return WebShopEnv("generated:heldout", products=200, browser=browser, observation_mode=mode)


def recorded() -> list[dict[str, Any]]:
    """The recorded ones: seed, kind, actions, reward, and a digest of all observations."""
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def play(env: WebShopEnv, trajectory: dict[str, Any]) -> list[list[Any]]:
    """All that an environment says in the course of a trajectory."""
    said: list[list[Any]] = [list(env.reset(seed=trajectory["seed"]))]
    return said + [list(env.step(action)) for action in trajectory["actions"]]


def digest(said: list[list[Any]]) -> str:
    """A fingerprint of all observations and rewards."""
    return hashlib.sha256(json.dumps([each[:2] for each in said[1:]]).encode()).hexdigest()[:16]


def _record(number: int) -> dict[str, Any]:
    """Draw a trajectory."""
    rng = random.Random(f"trajectory/{number}")
    kind, most = (("gold", 20), ("random", 6), ("odd", 5), ("random", 6), ("wander", 20 if number % 20 == 4 else 4))[
        number % 5
    ]
    env = make()
    env.reset(seed=number)
    plan, over = env.solution(), False
    actions: list[str] = []
    while not over and len(actions) < most:
        actions.append(plan[len(actions)] if kind == "gold" else _draw(env, kind, rng))
        *_, terminated, truncated, _ = env.step(actions[-1])
        over = terminated or truncated
    said = play(env, {"seed": number, "actions": actions})
    return {"seed": number, "kind": kind, "actions": actions, "reward": said[-1][1], "digest": digest(said)}


def _draw(env: WebShopEnv, kind: str, rng: random.Random) -> str:
    page = env.surface.page
    if kind == "odd" and rng.random() < 0.6:
        return rng.choice(_ODD)
    if page.searchable:
        words = env.task.instruction.split()
        return f"search[{' '.join(rng.sample(words, min(len(words), rng.randint(1, 4))))}]"
    labels = [label for label in page.clickables if kind != "wander" or label != "buy now"]
    return f"click[{rng.choice(labels)}]"


def main(command: str, *arguments: str) -> None:
    """Record, or play in Chromium."""
    if command == "record":
        FILE.write_text("".join(json.dumps(_record(number), ensure_ascii=False) + "\n" for number in range(NUMBER)))
        return
    start, step = map(int, arguments)
    env = make(browser=True)
    try:
        for trajectory in recorded()[start::step]:
            print(json.dumps(play(env, trajectory)), flush=True)
    finally:
        env.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
