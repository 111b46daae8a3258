"""Does a team learn from the environment's reward? Rows, seeds, held-out tasks, intervals, controls.

    make bench-learning          or    python benchmarks/learning.py --out runs/bench-learning

Settings were chosen on the tasks of `generated:dev`; the figures are of `generated:heldout`. Every seed has its own
warm starts. CPU seconds are those of one thread in one process, without evaluations. The table is written to
docs/learning.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import multiprocessing
import random
import statistics
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

ALONE = ['team.roles=["user", "assistant"]', 'team.learners=["assistant"]']
LONG = ["tuner.epochs=3"]
EPISODES = 400
MARKS = ("<!-- bench-learning -->", "<!-- /bench-learning -->")


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
        self._tune("PPO", base, [*ALONE, *LONG], iterations=74)
        self._tune("GRPO", base, [*ALONE, "samples=8", "tuner.algorithm=grpo"], iterations=30)
        self._tune("RLOO", base, [*ALONE, "samples=8", "tuner.algorithm=rloo"], iterations=30)
        self._tune("REINFORCE", base, [*ALONE, "tuner.epochs=1", "tuner.algorithm=reinforce"], iterations=30)
        self._tune("DPO", base, [*ALONE, "samples=8", "tuner.algorithm=dpo"], iterations=30)
        turns = ["tuner.credit=turn", "tuner.normalise=turn"]
        self._tune("PPO, turn-level", base, [*ALONE, *turns], iterations=30)
        self._tune("filtered behaviour cloning", base, [*ALONE, "tuner.algorithm=filtered_bc"], iterations=30)
        lora = [*ALONE, "model.adapter=lora", "tuner.learning_rate=1e-3"]
        self._tune("PPO, LoRA rank 16", base, lora, iterations=30)
        virtual = [*ALONE, "model.adapter=ptuning", "tuner.learning_rate=1e-3"]
        self._tune("PPO, P-tuning, 8 virtual tokens", base, virtual, iterations=30)
        self._tune("control: PPO, shuffled rewards", base, ALONE, iterations=20, shuffle=True)
        self._tune("control: PPO, learning rate 0", base, [*ALONE, "tuner.learning_rate=0.0"], iterations=4)
        if not self.rows:
            self._team()

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
        self._write(row, seconds, episodes, *reports, base_unchanged=frozen == _digest(policy))

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
        for name, report in (("greedy", greedy), ("sampled", sampled)):
            line[name] = {"success": report.success_rate, "ci95": report.to_json()["success_ci95"]}
            line[name]["checker"] = report.to_json().get("checker")
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"seed {self.seed}: {row}: greedy {greedy.success_rate:.3f}, sampled {sampled.success_rate:.3f}, "
              f"{seconds:.0f} CPU-s", flush=True)  # fmt: skip


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


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown: mean over seeds, and each seed with its 95 % Wilson interval."""
    rows = dict.fromkeys(line["row"] for line in lines)
    text = ["| row | episodes | CPU-s a seed | greedy: mean | each seed [95 %] | sampled: mean | each seed |"]
    text.append("|---|---|---|---|---|---|---|")
    for row in rows:
        group = sorted((line for line in lines if line["row"] == row), key=lambda line: line["seed"])
        cells = [row, str(group[0]["episodes"]), " / ".join(f"{line['cpu_seconds']:.0f}" for line in group)]
        for name in ("greedy", "sampled"):
            values = [line[name]["success"] for line in group]
            each = [
                f"{v:.3f} [{line[name]['ci95'][0]:.3f}, {line[name]['ci95'][1]:.3f}]"
                if name == "greedy"
                else f"{v:.3f}"
                for v, line in zip(values, group, strict=True)
            ]
            cells += [f"**{statistics.mean(values):.3f}**", ", ".join(each)]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def checker_table(lines: Sequence[dict[str, Any]]) -> str:
    """Precision, recall and false alarms of the checkers (greedy), by row and seed."""
    text = [
        "| row | seed | verdicts | precision | recall | false alarms | revision rate |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in sorted(lines, key=lambda line: (line["row"], line["seed"])):
        checker = line["greedy"]["checker"]
        if checker:
            names = ("precision", "recall", "false_alarm_rate", "revision_rate")
            cells = ["-" if checker[n] is None else f"{checker[n]:.3f}" for n in names]
            text.append(f"| {line['row']} | {line['seed']} | {checker['verdicts']} | " + " | ".join(cells) + " |")
    return "\n".join(text)


def _digest(policy: HFPolicy) -> str:
    """A fingerprint of the frozen base, to the bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(policy.weights.base.state_dict().items()):
        if "lora_" not in name:
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _work(seed: int, out: str, scale: float, rows: Sequence[str]) -> None:
    torch.set_num_threads(1)
    Seed(seed, Path(out), scale=scale, rows=rows).run_all()


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", default="runs/bench-learning")
    parser.add_argument("--jobs", type=int, default=3, help="seeds measured at once, one process and thread each")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the steps and iterations; to try it out")
    parser.add_argument("--rows", nargs="+", default=[], help="of the rows on single algorithms, these alone")
    parser.add_argument("--docs", default="docs/learning.md", help="not written by --scale or --rows")
    arguments = parser.parse_args()
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        work = [(seed, arguments.out, arguments.scale, arguments.rows) for seed in arguments.seeds]
        pool.starmap(_work, work, chunksize=1)
    lines = [
        json.loads(line)
        for path in sorted(Path(arguments.out).glob("seed-*/rows.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    spent = sum(seconds for _, seconds in {(line["seed"], line["cpu_seconds"]) for line in lines}) / 60
    report = (
        f"{table(lines)}\n\n{checker_table(lines)}\n\nWarm starts and tuning: {spent:.0f} CPU-minutes for all seeds."
    )
    print(report)
    print(f"This run: {(time.monotonic() - started) / 60:.0f} minutes with {arguments.jobs} jobs.")
    docs = Path(arguments.docs)
    if docs.exists() and arguments.scale == 1 and not arguments.rows:
        before, _, rest = docs.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        docs.write_text(f"{before}{MARKS[0]}\n{report}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
