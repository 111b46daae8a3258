"""The ablation: what each part of CMAT adds to a warm start, on several tasks; and memory on a stream of related tasks.

A column is a task with a warm start of its own for each seed. Its demonstrations teach all roles, and to reflect and to
heed what is recalled. Every way to play is measured on the same held-out episodes, sampled at temperature 1 and
greedily. The column of houses plays streams of forty tasks that share hidden conventions. On the operating system
nothing judges a command before it runs, so nothing tunes a checker there.
"""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.cmat_streams import together
from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.reflection import requests_of
from cmat_env.evaluate import evaluate
from cmat_env.plan import Episode, Trials
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.scores import Tokens
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.presets import settings_of
from cmat_env.tuning.run import Run
from cmat_env.tuning.team import make_env, play, prompts
from cmat_env.types import Policy, Trajectory
from cmat_env.vector_seeds import SEEDS_APART

PRESET = "tinyagent-nano-db"
EPISODES = 400
STREAM = 40
WAYS = ("sampled", "greedy")

OS, HOUSES = "OS", "DB of houses"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "DB": ("warm_start.sft.steps=1600",),
    "composite DB": (
        'task.env="cmat/DB-Composite-v0"',
        "task.settings={report=true, parts=[2], max_rounds=4, max_observation=48, max_rows_shown=4}",
        "warm_start.settings.demonstrator_error=0.5",
        "warm_start.sft.steps=1400",
        "model.max_new_tokens=80",
        "episodes=96",
    ),
    "KG": (
        'task.env="cmat/KG-v0"',
        'task.settings={families=["hop_1", "hop_2", "most", "least"], max_rounds=8, max_observation=120}',
        "warm_start.settings.demonstrator_error=0.5",
        "warm_start.sft.steps=1600",
        "model.max_new_tokens=64",
        "episodes=96",
    ),
    OS: (
        'task.env="cmat/OS-v0"',
        "task.settings={max_rounds=4, max_observation=100}",
        "warm_start.settings.demonstrator_error=0.5",
        "warm_start.episodes=2400",
        "warm_start.sft.steps=1600",
        "model.max_new_tokens=80",
        "model.context=1024",
        "team.dry_run=false",
        "episodes=96",
    ),
    HOUSES: (
        "task.settings.level=3",
        'task.settings.families=["max", "min", "sum", "max_where", "sum_where"]',
        "warm_start.settings.demonstrator_error=0.5",
        "warm_start.lessons=0.7",
        "warm_start.sft.steps=2400",
    ),
}
COMMON = (
    "threads=1",
    "evaluate_every=0",
    "record_every=0",
    "warm_start.lessons=0.6",
    "warm_start.checker_share=0.6",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A way to play.

    Attributes:
        tuned: whose weights the environment's reward has changed.
        checker: does the checker play?
        trials: attempts at a task.
        reflect: is the second told what the first has learned? Else it is a new sample.
        memory: do episodes recall what earlier ones of their stream have taught?
    """

    tuned: Literal["", "assistant", "checker", "both"] = ""
    checker: bool = False
    trials: int = 1
    reflect: bool = True
    memory: bool = False


TUNED: Mapping[str, tuple[str, ...]] = {
    "assistant": ('team.learners=["assistant"]', 'team.roles=["user", "assistant"]', "iterations=20"),
    "checker": ('team.learners=["checker"]', "team.balance=13", "iterations=16"),
    "both": ("team.balance=16", "iterations=20"),
}
ROWS: Mapping[str, Row] = {
    "warm start": Row(),
    "+ PPO assistant": Row("assistant"),
    "+ trained checker": Row("checker", checker=True),
    "+ trying again, a new sample": Row(trials=2, reflect=False),
    "+ reflection, 2 trials": Row(trials=2),
    "+ long-term memory, continual": Row(memory=True),
    "PPO and checker": Row("both", checker=True),
    "PPO and checker, trying again": Row("both", checker=True, trials=2, reflect=False),
    "all together": Row("both", checker=True, trials=2, memory=True),
}
FEWER: Mapping[str, tuple[str, ...]] = {
    OS: (
        "warm start",
        "+ PPO assistant",
        "+ trying again, a new sample",
        "+ reflection, 2 trials",
        "+ long-term memory, continual",
    ),
    HOUSES: ("warm start", "+ trying again, a new sample", "+ reflection, 2 trials", "+ long-term memory, continual"),
}
"""The rows of columns that do not have them all: no judgement of what a command does, so no checker, on the OS."""


FIRST_TRIALS: Mapping[str, str] = {
    "warm start": "+ trying again, a new sample",
    "PPO and checker": "PPO and checker, trying again",
}
"""Rows that are not played by themselves: their episodes are the first trials of another row, with the same samples."""


class Column:
    """All rows of one task and one seed; each is written to a file once it is measured, and not measured again."""

    def __init__(self, name: str, seed: int, out: Path, *, scale: float, tasks: str) -> None:
        self.name, self.seed, self.scale, self.tasks = name, seed, scale, tasks
        self.out = out / "parts" / _plain(name) / f"seed-{seed}"
        self.out.mkdir(parents=True, exist_ok=True)
        self.results = self.out / "rows.jsonl"
        lines = self.results.read_text(encoding="utf-8").splitlines() if self.results.exists() else []
        self.left = [row for row in self.rows if row not in {json.loads(line)["row"] for line in lines}]
        self._played: dict[str, tuple[HFPolicy, float]] = {}

    @property
    def rows(self) -> Sequence[str]:
        """Those of this column."""
        return FEWER.get(self.name, tuple(ROWS))

    @property
    def episodes(self) -> int:
        """How many are played in each way."""
        return max(STREAM, STREAM * round(EPISODES * self.scale / STREAM))

    def run_all(self) -> None:
        """Measure every row that is not on disk yet."""
        for row in self.left:
            if row not in FIRST_TRIALS:
                self._run(row)

    def _run(self, row: str) -> None:
        """Measure a row, and with it that of its first trials."""
        policy, seconds = self._policy(ROWS[row].tuned)
        before = time.process_time()
        found = {way: self._measure(ROWS[row], policy, greedy=way == "greedy") for way in WAYS}
        spent = time.process_time() - before
        told: dict[str, Any] = {"column": self.name, "row": row, "seed": self.seed, "cpu_seconds": seconds}
        lines = [told | {way: trials[-1] for way, trials in found.items()}]
        for first in [name for name, other in FIRST_TRIALS.items() if other == row]:
            lines.append(told | {"row": first} | {way: trials[0] for way, trials in found.items()})
        with self.results.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
        for line in lines:
            success = ", ".join(f"{way} {statistics.mean(line[way]['solved']):.3f}" for way in WAYS)
            print(
                f"{self.name}, seed {self.seed}: {line['row']}: {success}, {seconds:.0f} + {spent:.0f} CPU-s",
                flush=True,
            )

    def settings(self, *overrides: str) -> RunSettings:
        """Of a run of this column."""
        given = (f"seed={self.seed}", *COMMON, *COLUMNS[self.name], *overrides)
        found = settings_of(PRESET, given)
        if self.scale == 1:
            return found
        warm, rounds = found.warm_start, max(1, round(found.iterations * self.scale))
        steps, played = max(20, round(warm.sft.steps * self.scale)), max(STREAM, round(warm.episodes * self.scale))
        small = (f"iterations={rounds}", f"warm_start.sft.steps={steps}", f"warm_start.episodes={played}")
        return settings_of(PRESET, (*given, *small))

    def _policy(self, tuned: str) -> tuple[HFPolicy, float]:
        """The model of a row, and the CPU-seconds that its tuning took; what was begun before is finished."""
        if tuned not in self._played:
            start = Run(self.settings(), self.out / "start")
            base = start.folder.path / "warm_start"
            known = start.warm_start(resume=True)
            settings = self.settings(f'model.path="{base}"', *TUNED.get(tuned, ()))
            run = Run(settings, self.out / (tuned or "start"))
            run.folder.path.mkdir(exist_ok=True)
            policy = run.policy(HFPolicy.load(base, roles=settings.team.roles) if tuned else known)
            if tuned:
                run.train(policy, resume=True)
            self._played[tuned] = policy, _seconds(run.folder.path) if tuned else 0.0
        return self._played[tuned]

    def _measure(self, row: Row, policy: HFPolicy, *, greedy: bool) -> list[dict[str, Any]]:
        """Play one way. After one trial, after two: which episodes are solved, and the tokens of all so far."""
        settings = self.settings()
        sampling = Sampling(greedy=greedy, max_new_tokens=settings.model.max_new_tokens)
        roles = ("user", "assistant", "checker") if row.checker else ("user", "assistant")
        played: dict[int, list[Trajectory]] = {}
        streams = self._streams(row)

        def play_stream(number: int, model: Policy) -> None:
            def on_end(index: int, trial: Trajectory) -> None:
                played.setdefault(number * len(streams[0]) + index, []).append(trial)

            memory = self.out / f"memory-{number}.sqlite"
            for part in self.out.glob(f"{memory.name}*"):
                part.unlink()
            evaluate(
                functools.partial(make_env, settings, self.tasks, roles),
                play(model, roles, user=settings.team.user),
                episodes=streams[number],
                seed=self.seed,
                prompts=prompts(settings),
                width=128,
                trials=Trials(
                    row.trials,
                    reflect=row.reflect,
                    requests=requests_of(settings.team.prompts),
                    roles=("assistant",),
                ),
                memory=memory if row.memory else None,
                memory_settings=MemorySettings(recall=settings.warm_start.recall),
                continual=row.memory,
                on_end=on_end,
            )

        together(policy.with_sampling(sampling), len(streams), play_stream)
        episodes = [played[index] for index in sorted(played)]
        return [_told([trials[:number] for trials in episodes]) for number in range(1, row.trials + 1)]

    def _streams(self, row: Row) -> list[list[Episode]]:
        """The episodes: in streams where each has a memory of its own, else side by side."""
        first = self.seed * SEEDS_APART
        plan = [Episode(first + index) for index in range(self.episodes)]
        size = STREAM if row.memory else len(plan)
        return [plan[start : start + size] for start in range(0, len(plan), size)]


def _told(episodes: Sequence[Sequence[Trajectory]]) -> dict[str, Any]:
    """Of trials, episode by episode: was it solved? And the tokens of all."""
    tokens = Tokens.of([trial for trials in episodes for trial in trials])
    solved = [int(any(trial.success for trial in trials)) for trials in episodes]
    return {"solved": solved, "read": tokens.read, "written": tokens.written}


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _seconds(folder: Path) -> float:
    """CPU-seconds of the iterations of a run."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return float(sum(line["rollout_seconds"] + line["update_seconds"] for line in lines))
