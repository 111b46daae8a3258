"""Does a team learn from the environment's reward? Rows, seeds, held-out tasks, intervals, controls.

    make bench-learning          or    python benchmarks/learning.py --out runs/bench-learning
    python benchmarks/learning.py --diverging --seeds 0      # five times the learning rate, on the same warm starts

Settings were chosen on the tasks of `generated:dev`; the figures are of `generated:heldout`. Every seed has its own
warm starts. CPU seconds are those of one thread in one process, without evaluations. The table is written to
docs/learning.md, and the figures of each algorithm to its page.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.scripted import ApprovePolicy, CoinPolicy
from cmat_env.report import EvalReport
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.presets import settings_of
from cmat_env.tuning.run import Run
from cmat_env.types import Payment, Trajectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.learning_tables import EPISODES, checker_table, diverging_table, here, short, table

ALONE = ['team.roles=["user", "assistant"]', 'team.learners=["assistant"]']
LONG = ["tuner.epochs=3"]
DOCS = Path(__file__).resolve().parents[1] / "docs"
ALGORITHMS = {
    "PPO": (LONG, 74),
    "GRPO": (["samples=8", "tuner.algorithm=grpo"], 30),
    "RLOO": (["samples=8", "tuner.algorithm=rloo"], 30),
    "REINFORCE": (["tuner.epochs=1", "tuner.algorithm=reinforce"], 30),
    "DPO": (["samples=8", "tuner.algorithm=dpo"], 30),
    "PPO, turn-level": (["tuner.credit=turn", "tuner.normalise=turn"], 30),
    "filtered behaviour cloning": (["tuner.algorithm=filtered_bc"], 30),
    "PPO, LoRA rank 16": (["model.adapter=lora", "tuner.learning_rate=1e-3"], 30),
    "PPO, P-tuning, 8 virtual tokens": (["model.adapter=ptuning", "tuner.learning_rate=1e-3"], 30),
}
"""Settings and iterations of each row that begins from the imperfect warm start."""
DIVERGING = 20  # iterations


class Seed:
    """The rows of one seed; each is written to a file as soon as it is measured, and not measured again."""

    def __init__(self, seed: int, out: Path, *, scale: float, rows: Sequence[str] = ()) -> None:
        self.seed, self.out, self.scale, self.rows = seed, out / f"seed-{seed}", scale, rows
        self.out.mkdir(parents=True, exist_ok=True)
        self.results = self.out / "rows.jsonl"
        lines = self.results.read_text(encoding="utf-8").splitlines() if self.results.exists() else []
        self.done = {json.loads(line)["row"] for line in lines}

    def run_all(self) -> None:
        """Measure every row, or the chosen ones and the warm start beneath them, that is not on disk yet."""
        clean = [*ALONE, "warm_start.settings.demonstrator_error=0.0", "warm_start.sft.steps=1000"]
        if not self.rows:
            self._start("clean", clean, "warm start, clean demonstrations")
        base = self._start("imperfect", ALONE, "warm start, imperfect demonstrations")
        for row, (settings, iterations) in ALGORITHMS.items():
            self._tune(row, base, [*ALONE, *settings], iterations=iterations)
        self._tune("control: PPO, shuffled rewards", base, ALONE, iterations=20, shuffle=True)
        self._tune("control: PPO, learning rate 0", base, [*ALONE, "tuner.learning_rate=0.0"], iterations=4)
        if not self.rows:
            self._team()

    def run_diverging(self) -> None:
        """Every algorithm with five times its learning rate, from the imperfect warm start."""
        base = self._start("imperfect", ALONE, None)
        for row, (chosen, _) in ALGORITHMS.items():
            rate = 5 * self._settings([*ALONE, *chosen]).tuner.learning_rate
            overrides = [*ALONE, *chosen, f"tuner.learning_rate={rate}"]
            self._tune(f"{row}, learning rate {rate:.0e}", base, overrides, iterations=DIVERGING)

    def _settings(self, overrides: Sequence[str], iterations: int = 1) -> RunSettings:
        rounds = max(1, round(iterations * self.scale))
        common = [f"seed={self.seed}", "threads=1", "evaluate_every=0", f"iterations={rounds}"]
        common += ["warm_start.sft.steps=1500"]
        settings = settings_of("tinyagent-nano-db", [*common, *overrides])
        if self.scale < 1:
            steps = max(20, round(settings.warm_start.sft.steps * self.scale))
            sft = dataclasses.replace(settings.warm_start.sft, steps=steps)
            settings = dataclasses.replace(settings, warm_start=dataclasses.replace(settings.warm_start, sft=sft))
        return settings

    def _start(self, name: str, overrides: Sequence[str], row: str | None) -> Path:
        """Make a warm start, or find the one made before."""
        folder = self.out / name
        run = Run(self._settings(overrides), folder)
        before = time.process_time()
        policy = run.warm_start(resume=(folder / "warm_start" / "config.json").exists())
        seconds = time.process_time() - before
        if row and row not in self.done:
            self._write(row, seconds, 0, *self._both(run, policy, run.settings.team.roles))
        return folder / "warm_start"

    def _tune(self, row: str, base: Path, overrides: Sequence[str], *, iterations: int, shuffle: bool = False) -> None:
        if row in self.done or (self.rows and row not in self.rows):
            return
        settings = self._settings([*overrides, f"model.path={base}"], iterations)
        rng = random.Random(self.seed)
        folder = self.out / "".join(c if c.isalnum() else "-" for c in row)
        folder.mkdir(exist_ok=True)
        run = Run(settings, folder, shown=(lambda t: shuffled(t, rng)) if shuffle else list)
        policy = run.policy(run.warm_start(resume=False))
        frozen = _digest(policy)
        before = time.process_time()
        run.train(policy)
        seconds = time.process_time() - before
        reports = self._both(run, policy, settings.team.roles)
        episodes = settings.iterations * settings.episodes
        self._write(row, seconds, episodes, *reports, base_unchanged=frozen == _digest(policy), **_drift(folder))

    def _team(self) -> None:
        """The checker: trained together with the assistant, beside one that always approves and one that guesses."""
        if "team: trained checker" in self.done:
            return
        base = self._start("team", ["warm_start.sft.steps=1300"], None)
        settings = self._settings([f"model.path={base}"], 24)
        folder = self.out / "team-tuned"
        folder.mkdir(exist_ok=True)
        run = Run(settings, folder)
        policy = run.policy(run.warm_start(resume=False))
        roles = settings.team.roles
        self._write("team: before tuning", 0.0, 0, *self._both(run, policy, roles))
        before = time.process_time()
        run.train(policy)
        seconds = time.process_time() - before
        episodes = settings.iterations * settings.episodes
        trained = self._both(run, policy, roles)
        rate = trained[0].to_json()["checker"]["revision_rate"]
        for row, checker in (
            ("team: checker approves everything", ApprovePolicy()),
            ("team: random checker, same rate", CoinPolicy(rate)),
        ):
            self._write(row, seconds, episodes, *self._both(run, policy, roles, checker=checker))
        without = tuple(role for role in roles if role != "checker")
        self._write("team: without checker", seconds, episodes, *self._both(run, policy, without))
        self._write("team: trained checker", seconds, episodes, *trained)

    def _both(self, run: Run, policy: HFPolicy, roles: Sequence[str], **others: Any) -> tuple[EvalReport, EvalReport]:
        greedy, sampled = (
            run.evaluations.measure(policy, roles=roles, episodes=EPISODES, greedy=greedy, others=others)
            for greedy in (True, False)
        )
        return greedy, sampled

    def _write(
        self, row: str, seconds: float, episodes: int, greedy: EvalReport, sampled: EvalReport, **extra: Any
    ) -> None:
        line = {"row": row, "seed": self.seed, "cpu_seconds": seconds, "episodes": episodes, **extra}
        for name, found in (("greedy", greedy), ("sampled", sampled)):
            line[name] = {"success": found.success_rate, "ci95": found.to_json()["success_ci95"]}
            line[name]["checker"] = found.to_json().get("checker")
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"seed {self.seed}: {row}: greedy {greedy.success_rate:.3f}, sampled {sampled.success_rate:.3f}, "
              f"{seconds:.0f} CPU-s", flush=True)  # fmt: skip


def _drift(folder: Path) -> dict[str, Any]:
    """How far the assistant was from its base in the last iteration, in nats a sequence, and how long episodes were."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    last, first = lines[-1]["roles"]["assistant"], lines[0]["roles"]["assistant"]
    return {
        "kl_per_sequence": last["kl_per_sequence"],
        "tokens": last["tokens_per_episode"],
        "tokens_at_first": first["tokens_per_episode"],
    }


def shuffled(trajectories: Sequence[Trajectory], rng: random.Random) -> list[Trajectory]:
    """The same episodes with their rewards dealt out anew: the distribution stays, the information goes."""
    order = rng.sample(range(len(trajectories)), len(trajectories))
    result = []
    for trajectory, other in zip(trajectories, order, strict=True):
        amount = trajectories[other].returns().get("assistant", 0.0)
        own = [p for p in trajectory.payments if p.role != "assistant"]
        last = max((step.turn for step in trajectory.steps if step.role == "assistant"), default=-1)
        paid = (*own, Payment("assistant", amount, "task", last))
        result.append(dataclasses.replace(trajectory, payments=paid, success=trajectories[other].success))
    return result


def _digest(policy: HFPolicy) -> str:
    """A fingerprint of the frozen base, to the bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(policy.weights.base.state_dict().items()):
        if "lora_" not in name:
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _work(seed: int, out: str, scale: float, rows: Sequence[str], *, diverging: bool) -> None:
    torch.set_num_threads(1)
    measured = Seed(seed, Path(out), scale=scale, rows=rows)
    if diverging:
        measured.run_diverging()
    else:
        measured.run_all()


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", default="runs/bench-learning")
    parser.add_argument("--jobs", type=int, default=3, help="seeds measured at once, one process and thread each")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the steps and iterations; to try it out")
    parser.add_argument("--rows", nargs="+", default=[], help="of the rows on single algorithms, these alone")
    parser.add_argument("--diverging", action="store_true", help="five times the learning rates, and nothing else")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder; not written by --scale or --rows")
    arguments = parser.parse_args()
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        work = functools.partial(_work, diverging=arguments.diverging)
        pool.starmap(work, [(seed, arguments.out, arguments.scale, arguments.rows) for seed in arguments.seeds], 1)
    lines = [
        json.loads(line)
        for path in sorted(Path(arguments.out).glob("seed-*/rows.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    usual = [line for line in lines if ", learning rate " not in line["row"] or line["row"].startswith("control")]
    spent = sum(seconds for _, seconds in {(line["seed"], line["cpu_seconds"]) for line in usual}) / 60
    tables = {
        "learning": f"{table(usual)}\n\n{checker_table(usual)}\n\n"
        f"Warm starts and tuning: {spent:.0f} CPU-minutes for all seeds.",
        "diverging": diverging_table([line for line in lines if line not in usual]),
    }
    print("\n\n".join(tables.values()))
    print(f"This run: {(time.monotonic() - started) / 60:.0f} minutes with {arguments.jobs} jobs.")
    if arguments.docs.exists() and arguments.scale == 1 and not arguments.rows:
        for name, text in tables.items():
            report.write(name, text, arguments.docs / "learning.md")
        report.write("learning", short(usual), arguments.docs.parent / "README.md")
        for page in sorted((arguments.docs / "algorithms").glob("*.md")):
            here(usual, page)


if __name__ == "__main__":
    main()
