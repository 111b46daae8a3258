"""Do Stable-Baselines3's learners learn here, against random and first choice, and does a router save tokens?

Run:  pip install "cmat-env[sb3,web,kg]" && python benchmarks/sb3.py [--only PART] [--steps N] [--seeds ...]
      (about nine minutes of one core; with no options the tables are written to docs/sb3.md)

Training episodes are of the train split, evaluation episodes of the held-out one; actions are greedy. A table has the
return, which is what a learner is trained on, and the success of the team, which is what it is for; every learner is
beside a random choice and the first one. The router is asked at every proposal whether the checker, which knows the
answer and costs what it would read and write, is called.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmat_env.menu import MenuEnv
from cmat_env.policies.features import MenuFeatures
from cmat_env.policies.menus import CALL
from cmat_env.policies.sb3 import algorithm_of, chosen
from cmat_env.policies.scripted import DemonstratorPolicy
from cmat_env.registry import make
from cmat_env.views import RoleEnv

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report

DOCS = Path(__file__).resolve().parents[1] / "docs" / "sb3.md"
Choose = Callable[[MenuEnv, Any], int]
SETTINGS = {"n_steps": 256, "batch_size": 128, "learning_rate": 1e-3, "ent_coef": 0.01, "gamma": 0.95}
TOKEN_PRICE = 0.01


@dataclass(frozen=True, slots=True)
class Part:
    """A table.

    Attributes:
        make_env: makes the environment of a split.
        steps: of training.
        compared: what its return is, and what its rows show.
        algorithms: that learn.
    """

    make_env: Callable[[str], MenuEnv]
    steps: int
    compared: str
    algorithms: tuple[str, ...] = ("PPO", "MaskablePPO")


def proposals(env_id: str, split: str) -> MenuEnv:
    """Choose one of four proposals of an assistant that errs; the first one is that assistant alone."""
    env = make(env_id, roles=("assistant",), tasks=f"generated:{split}")
    return MenuEnv(RoleEnv(env), "proposed:demonstrator*4", features=MenuFeatures(context=64, choice=64, size=4))


def checker(split: str) -> MenuEnv:
    """Approve or refuse what an imperfect assistant proposes to do with a database, with a dry run to read."""
    return MenuEnv(_checker_view(split), "verdicts", features=MenuFeatures(context=256, size=2))


def router(split: str) -> MenuEnv:
    """Approve at once, or call a checker that knows: paid for right verdicts and the team's success, less tokens."""
    return MenuEnv(_checker_view(split), "router:oracle", features=MenuFeatures(size=2), token_price=TOKEN_PRICE)


def shopper(split: str) -> MenuEnv:
    """Buy in a web shop: the menu is what the page lets click, or a search for the words of the wish."""
    env = make("cmat/WebShop-v0", roles=("assistant",), tasks=f"generated:{split}")
    return MenuEnv(RoleEnv(env), "offered", features=MenuFeatures(context=32, choice=16, size=20))


def _checker_view(split: str) -> RoleEnv:
    env = make("cmat/DB-v0", roles=("assistant", "checker"), dry_run=True, tasks=f"generated:{split}")
    return RoleEnv(env, role="checker", partners={"assistant": DemonstratorPolicy()})


def played(env: MenuEnv, choose: Choose, episodes: int) -> dict[str, float]:
    """Means over the episodes of fixed seeds: return, success, calls of the checker, and its tokens."""
    totals = dict.fromkeys(("return", "success", "calls", "tokens"), 0.0)
    for seed in range(episodes):
        vector, info = env.reset(seed=seed)
        over = False
        while not over:
            index = choose(env, vector)
            called = env.choices[index % len(env.choices)] == CALL
            vector, reward, terminated, truncated, info = env.step(index)
            totals["return"] += reward
            totals["calls"] += called
            totals["tokens"] += info["tokens"]
            over = terminated or truncated
        totals["success"] += info["success"]
    env.close()
    return {name: total / episodes for name, total in totals.items()}


def learned(make_env: Callable[[str], MenuEnv], algorithm: str, *, steps: int, seed: int) -> Choose:
    """A learner after some steps on the train split."""
    env = make_env("train")
    model = algorithm_of(algorithm)("MlpPolicy", env, seed=seed, device="cpu", **SETTINGS)
    model.learn(steps)
    env.close()
    return lambda env, vector: chosen(model, vector, env.action_masks())


def random_choice(seed: int) -> Choose:
    """Any of the menu."""
    rng = np.random.default_rng(seed)
    return lambda env, vector: int(rng.integers(len(env.choices)))


def fixed(index: int) -> Choose:
    """Always this place of the menu."""
    return lambda env, vector: index


def row(name: str, means: Sequence[dict[str, float]], columns: Sequence[str], seconds: float) -> str:
    """A line of a Markdown table: the mean over seeds, and the seeds themselves where there are several."""
    cells = []
    for column in columns:
        values = [each[column] for each in means]
        alone = f" ({', '.join(f'{value:.3f}' for value in values)})" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.3f}{alone}")
    return f"| {name} | {' | '.join(cells)} | {seconds:.0f} s |"


def table(name: str, part: Part, players: dict[str, Any], columns: Sequence[str], n: int) -> str:
    """Play and print, a player a line; returns what was printed."""
    head = " | ".join(columns)
    lines = [
        f"{name.capitalize()}. {part.compared}\n",
        f"| player | {head} | time |",
        f"|---|{'---|' * (len(columns) + 1)}",
    ]
    print("", *lines, sep="\n", flush=True)
    for player, makers in players.items():
        started = time.perf_counter()
        means = [played(part.make_env("heldout"), maker(), n) for maker in makers]
        lines.append(row(player, means, columns, time.perf_counter() - started))
        print(lines[-1], flush=True)
    return "\n".join(lines)


PARTS = {
    "database": Part(
        partial(proposals, "cmat/DB-v0"), 20_480,
        "One of four proposals. Return and success are the same number: the task pays 1 for a right answer. The first "
        "choice is the assistant without a learner.",
    ),
    "graph": Part(
        partial(proposals, "cmat/KG-v0"), 10_240,
        "One of four proposals. Return: the task's, 1 for a right answer; the first choice is the assistant without a "
        "learner.",
    ),
    "checker": Part(
        checker, 10_240,
        "Return: the score of its verdicts, and a share of the result, which is what it learns; success: of the team, "
        "where random refusals help, too, for whatever is refused is drawn anew. Both verdicts are always "
        "on the menu, nothing is masked, and MaskablePPO is PPO to the digit: it has no row.",
        ("PPO",),
    ),
    "shopper": Part(
        shopper, 6144,
        "Return: WebShop's score from 0 to 1, which is what it learns; success: a score of 1.",
    ),
    "router": Part(
        router, 3072,
        f"Return: the checker's, less {TOKEN_PRICE} a token; success: of the team. To be had: nearly the success of "
        "always calling, for fewer tokens.",
        ("PPO",),
    ),
}  # fmt: skip


def main() -> None:
    """Print the tables, and write them into the page where all of it was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="which parts")
    parser.add_argument("--steps", type=int, help="of training; every part has its own")
    parser.add_argument("--episodes", type=int, default=200, help="of evaluation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of training")
    given = parser.parse_args()
    torch.set_num_threads(1)  # the networks are small: more threads wait for each other
    tables = []
    for name in given.only:
        part = PARTS[name]
        train = partial(learned, part.make_env, steps=given.steps or part.steps)
        always: dict[str, Any] = {
            "random": [partial(random_choice, seed) for seed in given.seeds],
            "first choice": [partial(fixed, 0)],
        }
        if name == "router":
            always = {"never call": [partial(fixed, 0)], "always call": [partial(fixed, 1)]}
        learners = {each: [partial(train, each, seed=seed) for seed in given.seeds] for each in part.algorithms}
        columns = ("return", "success", "calls", "tokens") if name == "router" else ("return", "success")
        tables.append(table(name, part, always | learners, columns, given.episodes))
    if vars(given) == vars(parser.parse_args([])):
        report.write("sb3", "\n\n".join(tables), DOCS)


if __name__ == "__main__":
    main()
