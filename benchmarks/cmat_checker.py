"""What a checker buys: the same held-out episodes with it, without, with random verdicts of its rate, with an oracle.

Every seed has its own warm start, and every row stands on it. Arms of a row play the same episodes: the differences are
paired. Sampled at temperature 1, and greedily.
"""

from __future__ import annotations

import functools
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmat_env.paired import CHECKER, NONE, ORACLE, RANDOM, evaluate_paired
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.presets import settings_of
from cmat_env.tuning.run import Run
from cmat_env.tuning.team import make_env, play, prompts

EPISODES = 400
ROWS: Mapping[str, tuple[str, ...]] = {
    "warm start": ("iterations=0",),
    "checker tuned, assistant as it was": ('team.learners=["checker"]', "iterations=24"),
    "assistant tuned": ('team.learners=["assistant"]', "iterations=30"),
    "both tuned together": ("iterations=30",),
    "both, who contributes more is updated more": ("iterations=30", "adaptive.role_gain=1.0"),
    "both, who lags behind is updated more": ("iterations=30", "adaptive.role_gain=-1.0"),
    "both, tasks by learnability": ("iterations=30", "adaptive.candidates=4"),
    "both, alpha = 0.7: verdicts weigh 0.3": ("iterations=30", "team.verdict=0.3"),
}
ARMS = {CHECKER: "its checker", NONE: "none", RANDOM: "random", ORACLE: "oracle"}


class Seed:
    """All rows of one seed; each is written to a file as soon as it is measured, and not measured again."""

    def __init__(self, seed: int, out: Path, *, scale: float) -> None:
        self.seed, self.out, self.scale = seed, out / f"seed-{seed}", scale
        self.out.mkdir(parents=True, exist_ok=True)
        self.results = self.out / "rows.jsonl"
        lines = self.results.read_text(encoding="utf-8").splitlines() if self.results.exists() else []
        self.done = {json.loads(line)["row"] for line in lines}

    def run_all(self, rows: Sequence[str]) -> None:
        """Measure every row that is not on disk yet."""
        if not set(rows) - self.done:
            return
        start = Run(self._settings("iterations=0"), self.out / "start")
        before = time.process_time()
        start.warm_start(resume=(start.folder.path / "warm_start" / "config.json").exists())
        print(f"seed {self.seed}: warm start, {time.process_time() - before:.0f} CPU-s", flush=True)
        for row in rows:
            if row not in self.done:
                self._measure(row, start.folder.path / "warm_start")

    def _settings(self, *overrides: str) -> RunSettings:
        common = [f"seed={self.seed}", "threads=1", "evaluate_every=0", "record_every=0", *overrides]
        if self.scale < 1:
            steps = max(20, round(settings_of("tinyagent-nano-db").warm_start.sft.steps * self.scale))
            rounds = round(settings_of("tinyagent-nano-db", common).iterations * self.scale)
            common += [f"warm_start.sft.steps={steps}", f"iterations={rounds}"]
        return settings_of("tinyagent-nano-db", common)

    def _measure(self, row: str, base: Path) -> None:
        settings = self._settings(f"model.path={base}", *ROWS[row])
        folder = self.out / "".join(c if c.isalnum() else "-" for c in row)
        folder.mkdir(exist_ok=True)
        run = Run(settings, folder)
        policy = run.policy(run.warm_start(resume=False))
        before = time.process_time()
        if settings.iterations:
            run.train(policy)
        seconds = time.process_time() - before
        line: dict[str, Any] = {"row": row, "seed": self.seed, "cpu_seconds": seconds}
        line["episodes"] = settings.iterations * settings.episodes
        for way, greedy in (("greedy", True), ("sampled", False)):
            line[way] = compared(settings, policy, greedy=greedy)
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        told = {arm: line["sampled"]["arms"][arm]["success_rate"] for arm in ARMS}
        print(f"seed {self.seed}: {row}: sampled {told}, {seconds:.0f} CPU-s", flush=True)


def compared(settings: RunSettings, policy: HFPolicy, *, greedy: bool) -> dict[str, Any]:
    """The team on held-out tasks: with its checker, without, with random verdicts of its rate, with an oracle."""
    sampling = Sampling(greedy=greedy, max_new_tokens=settings.model.max_new_tokens)
    found = evaluate_paired(
        functools.partial(make_env, settings, settings.task.evaluate),
        play(policy.with_sampling(sampling), settings.team.roles, user=settings.team.user),
        episodes=EPISODES,
        seed=settings.seed,
        prompts=prompts(settings),
        width=128,
    )
    return found.to_json()


def of(lines: Sequence[Mapping[str, Any]], *path: str) -> list[Any]:
    """The value at a path of every line."""
    return [functools.reduce(lambda value, key: value[key], path, line) for line in lines]


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean, and in brackets each seed's."""
    return f"**{statistics.mean(values):.{digits}f}** ({', '.join(f'{value:.{digits}f}' for value in values)})"


def table(lines: Sequence[Mapping[str, Any]], way: str) -> str:
    """Success by row and arm, mean and each seed, with what it costs."""
    text = ["| row | checker | success | tokens an episode | CPU-s of tuning |", "|---|---|---|---|---|"]
    for row in dict.fromkeys(of(lines, "row")):
        group = [line for line in lines if line["row"] == row]
        for arm, title in ARMS.items():
            success = of(group, way, "arms", arm, "success_rate")
            tokens = [value / EPISODES for value in of(group, way, "arms", arm, "tokens")]
            seconds = " / ".join(f"{value:.0f}" for value in of(group, "cpu_seconds")) if arm == CHECKER else ""
            text.append(f"| {row} | {title} | {spread(success)} | {statistics.mean(tokens):.0f} | {seconds} |")
    return "\n".join(text)


def differences(lines: Sequence[Mapping[str, Any]], way: str) -> str:
    """What lies between the arms of a row, episode by episode, seed by seed."""
    text = ["| row | compared | seed | gain [95 %] | won, lost | McNemar's p |", "|---|---|---|---|---|---|"]
    for line in lines:
        for name, found in line[way]["differences"].items():
            low, high = found["ci95"]
            text.append(
                f"| {line['row']} | {name} | {line['seed']} | {found['gain']:+.3f} [{low:+.3f}, {high:+.3f}] | "
                f"{found['won']}, {found['lost']} | {found['p_value']:.2g} |"
            )
    return "\n".join(text)


def verdicts(lines: Sequence[Mapping[str, Any]], way: str) -> str:
    """How well the checkers judge: accuracy beside that of the majority's verdict, precision, recall, false alarms."""
    head = "row | seed | verdicts | right | the majority's | precision | recall | false alarms | asks for a revision"
    text = [f"| {head} |", "|---|" + "---|" * 8]
    for line in lines:
        found = line[way]["arms"][CHECKER]["checker"]
        names = ("precision", "recall", "false_alarm_rate", "revision_rate")
        cells = ["-" if found[name] is None else f"{found[name]:.3f}" for name in names]
        shares = accuracy(found["precision"] or 0.0, found["recall"] or 0.0, found["false_alarm_rate"] or 0.0)
        right = " | ".join("-" if math.isnan(share) else f"{share:.3f}" for share in shares)
        text.append(f"| {line['row']} | {line['seed']} | {found['verdicts']} | {right} | {' | '.join(cells)} |")
    return "\n".join(text)


def accuracy(precision: float, recall: float, false_alarms: float) -> tuple[float, float]:
    """The share of right verdicts, and that of always saying the commoner one; NaN where no good proposal was refused.

    With b the share of bad proposals, recall·b are caught, and recall·b (1 / precision - 1) = false_alarms (1 - b) are
    refused wrongly.
    """
    if not precision or not false_alarms:
        return math.nan, math.nan
    bad = false_alarms / (false_alarms + recall * (1 / precision - 1))
    return recall * bad + (1 - false_alarms) * (1 - bad), max(bad, 1 - bad)


def report(lines: Sequence[Mapping[str, Any]]) -> str:
    """All tables as Markdown."""
    parts = [f"### Sampled\n\n{table(lines, 'sampled')}", f"### Greedy\n\n{table(lines, 'greedy')}"]
    parts += [f"### Paired differences, sampled\n\n{differences(lines, 'sampled')}"]
    parts += [f"### Verdicts, sampled\n\n{verdicts(lines, 'sampled')}"]
    return "\n\n".join(parts)
