"""A whole tuning step on a multi-turn two-role workload: rollout and update, beside TRL's GRPO and PPO.

Same model, prompts, lengths, rows, epochs and torch; every contestant in a process of its own, on one thread, in turn.
Ours trains two sets of weights, one a role, against a frozen base; TRL trains one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch

from benchmarks import workers, workload
from benchmarks.peers.environment import python_with
from benchmarks.report import matmul_rate, table
from benchmarks.workload import Lengths
from cmat_env.collab import CollabEnv
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.rollout import Episode, Rollout
from cmat_env.spaces import AnyText
from cmat_env.tuning.settings import TunerSettings
from cmat_env.tuning.tuner import Tuner

TRL = {"grpo": "trl==1.16.0", "ppo": "trl==1.12.0"}
DATASETS = "datasets==5.2.0"
EPOCHS = {"grpo": 1, "ppo": 2}
ROLES = ("assistant", "checker")
WANTED = {"grpo": 1.3, "ppo": 2.0}
PARTS = 4
"""TRL's optimiser step is made of so many batches: the fastest of 1, 4 and 16 for its PPO, see docs/performance.md."""


class Letters(gymnasium.Env[str, str]):
    """Write many an "a"; texts of set lengths, and as many turns as there should be."""

    observation_space = AnyText(100_000)
    action_space = AnyText(100_000)

    def __init__(self, tokenizer: Any, lengths: Lengths) -> None:
        self._tokenizer, self._lengths = tokenizer, lengths

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """A new prompt."""
        self._rng, self._left, self._said = np.random.default_rng(seed), self._lengths.turns, ""
        return workload.text(self._rng, self._tokenizer, self._lengths.prompt), {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Hear something; paid at the end."""
        self._left -= 1
        self._said += action
        heard = workload.text(self._rng, self._tokenizer, self._lengths.observation)
        reward = 0.0 if self._left else self._said.count("a") / max(1, len(self._said))
        return heard, reward, not self._left, False, {}


def prepare(spec: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Our team, ready to go; a worker's measurement."""
    torch.set_num_threads(spec["threads"])
    lengths, episodes, samples = Lengths(**spec["lengths"]), spec["episodes"], spec["samples"]
    model, tokenizer = workload.make(spec["size"])
    policy = HFPolicy(
        model, tokenizer, roles=ROLES, adapter=AdapterSettings("full"), sampling=Sampling(max_new_tokens=lengths.reply)
    )
    rollout = Rollout(
        lambda: CollabEnv(Letters(tokenizer, lengths), roles=ROLES), dict.fromkeys(ROLES, policy), width=episodes
    )
    settings = TunerSettings(algorithm=spec["algorithm"], epochs=spec["epochs"], minibatch=0, value_warmup=0)
    tuner = Tuner(policy, ROLES, settings)

    def step() -> tuple[float, ...]:
        """Seconds by the clock, of the processor, and of the rollout; tokens sampled; a row's length, and its own."""
        first = tuner.iteration * episodes
        clock, cpu = time.perf_counter(), time.process_time()
        result = rollout.run(
            [Episode(first + task, sample=sample) for task in range(episodes // samples) for sample in range(samples)]
        )
        played = time.perf_counter() - clock
        tuner.update(result.finished)
        tokens = sum(len(each.generation.token_ids or ()) for done in result.finished for each in done.steps)
        seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
        rows = [done.dialogues[role][0].turns[-1][1] for done in result.finished for role in ROLES]
        return seconds, cpu, played, tokens, statistics.mean(rows), tokens / len(rows)

    def run() -> dict[str, Any]:
        steps = [step() for _ in range(spec["warm_up"] + spec["rounds"])][spec["warm_up"] :]
        names = ("seconds", "cpu_seconds", "rollout_seconds", "tokens", "row", "sampled")
        figures: dict[str, Any] = dict(zip(names, map(list, zip(*steps, strict=True)), strict=True))
        row, sampled = (statistics.mean(figures[name]) for name in ("row", "sampled"))
        passes = (
            2 + 3 * spec["epochs"]
        )  # to sample and for the reference; an epoch goes forward and, twice as long, back
        one = workload.operations(model, fed=round(row), sampled=round(sampled), seen=round(row * (row + 1) / 2))
        return {**figures, "work": passes * len(ROLES) * episodes * one}

    return run


def compare(algorithm: str, spec: dict[str, Any], *, times: int) -> list[list[str]]:
    """The rows of one algorithm: ours and TRL's, in turn."""
    rate = matmul_rate("float32", threads=1)
    spec = {**spec, "algorithm": algorithm, "epochs": EPOCHS[algorithm], "threads": 1, "parts": PARTS}
    python = python_with(TRL[algorithm], DATASETS)
    names = f"ours, {algorithm.upper()}", f"TRL {TRL[algorithm].partition('==')[2]}, {algorithm.upper()}"
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(times):
        seen[names[0]] += workers.run("benchmarks.step", [spec])
        lengths = {kind: statistics.mean(seen[names[0]][-1][kind]) for kind in ("row", "sampled")}
        seen[names[1]] += workers.run(f"benchmarks.peers.trl_{algorithm}", [{**spec, **lengths}], python=python)
        for name in names:
            print(f"  step: {name}: {statistics.median(seen[name][-1]['seconds']):.2f} s", flush=True)
    rows, clocks, cpus = [], [], []
    for name, figures in seen.items():
        clock, cpu, tokens = (
            statistics.median(x for each in figures for x in each[kind])
            for kind in ("seconds", "cpu_seconds", "tokens")
        )
        peak = max(each["peak_mib"] for each in figures)
        share = seen[names[0]][0]["work"] / cpu / rate
        cells = f"{clock:.2f} ({cpu:.2f})", f"{tokens:,.0f}", f"{tokens / clock:,.0f}", f"{share:.0%}", f"{peak:,.0f}"
        rows.append([name, *cells, "1"])
        clocks.append(clock)
        cpus.append(cpu)
    rows[0][-1] = f"**{clocks[1] / clocks[0]:.2f}** ({cpus[1] / cpus[0]:.2f}), at least {WANTED[algorithm]:g}"
    return rows


def report(*, quick: bool = False, peers: bool = True) -> str:
    """The table; quick = ours alone, in this process, in miniature."""
    lengths = {"prompt": 64, "reply": 24, "observation": 16, "turns": 2}
    spec = {"size": "1M", "lengths": lengths, "episodes": 64, "samples": 8, "warm_up": 1, "rounds": 2}
    if quick or not peers:
        small = {"size": "tiny", "episodes": 4, "samples": 2, "warm_up": 0, "rounds": 1, "threads": 1}
        small["lengths"] = {"prompt": 8, "reply": 4, "observation": 4, "turns": 2}
        lines = [prepare({**small, "algorithm": name, "epochs": 1})() for name in TRL]
        return table(
            ("in miniature", "seconds", "tokens"),
            [(n, f"{f['seconds'][0]:.2f}", str(f["tokens"][0])) for n, f in zip(TRL, lines, strict=True)],
        )
    rows = [row for algorithm in TRL for row in compare(algorithm, spec, times=2)]
    head = (
        "a step: 64 episodes, 128 rows", "seconds (CPU-seconds)", "tokens sampled", "a second",
        "share of matmul rate", "peak MiB", "times as fast (by CPU time)",
    )  # fmt: skip
    return table(head, rows)


if __name__ == "__main__":
    workers.serve(prepare)
