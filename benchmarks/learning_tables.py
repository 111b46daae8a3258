"""The tables of `benchmarks/learning.py`, and what the pages of the algorithms say of its rows."""

from __future__ import annotations

import math
import re
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EPISODES = 400
WAYS = ("greedy", "sampled")
PAGES = {
    "ppo": "PPO",
    "grpo": "GRPO",
    "rloo": "RLOO",
    "reinforce": "REINFORCE",
    "dpo": "DPO",
    "turn_gae": "PPO, turn-level",
    "filtered_bc": "filtered behaviour cloning",
    "ptuning": "PPO, P-tuning, 8 virtual tokens",
}
"""The row of each page of docs/algorithms."""
LEFT_OUT = {
    "REINFORCE",
    "DPO",
    "PPO, turn-level",
    "PPO, P-tuning, 8 virtual tokens",
    "team: checker approves everything",
}
"""Rows that the README does without."""


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown: mean over seeds, and each seed with its 95 % Wilson interval."""
    rows = dict.fromkeys(line["row"] for line in lines)
    text = ["| row | episodes | CPU-s a seed | greedy: mean | each seed [95 %] | sampled: mean | each seed |"]
    text.append("|---|---|---|---|---|---|---|")
    for row in rows:
        group = sorted((line for line in lines if line["row"] == row), key=lambda line: line["seed"])
        cells = [row, str(group[0]["episodes"]), " / ".join(f"{line['cpu_seconds']:.0f}" for line in group)]
        for name in WAYS:
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


def short(lines: Sequence[dict[str, Any]]) -> str:
    """The means of most rows, for the README."""
    text = ["| | episodes | CPU-s a seed | greedy success | sampled |", "|---|---|---|---|---|"]
    for row in dict.fromkeys(line["row"] for line in lines):
        if row in LEFT_OUT:
            continue
        group = sorted((line for line in lines if line["row"] == row), key=lambda line: line["seed"])
        seconds = " / ".join(f"{line['cpu_seconds']:.0f}" for line in group)
        means = (f"{statistics.mean(line[way]['success'] for line in group):.3f}" for way in WAYS)
        cells = (row, f"{group[0]['episodes']:,}", seconds, *means)
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def here(lines: Sequence[dict[str, Any]], page: Path) -> None:
    """Write the figures of an algorithm into its page."""
    row = PAGES[page.stem]
    found, bases = (
        sorted((line for line in lines if line["row"] == name), key=lambda line: line["seed"])
        for name in (row, "warm start, imperfect demonstrations")
    )
    seconds = [line["cpu_seconds"] for line in found]
    greedy, sampled, greedy_base, sampled_base = (
        _listed([line[way]["success"] for line in group])
        for group, way in ((found, "greedy"), (found, "sampled"), (bases, "greedy"), (bases, "sampled"))
    )
    minutes = math.ceil(max(a["cpu_seconds"] + b["cpu_seconds"] for a, b in zip(found, bases, strict=True)) / 60)
    told = (
        f"**Here.** Three seeds, {EPISODES} held-out tasks each, {found[0]['episodes']:,} episodes in "
        f"{min(seconds):.0f} to {max(seconds):.0f} CPU-s:\n"
        f"{greedy} greedy, from warm starts at {greedy_base};\nsampled {sampled}, from "
        f"{sampled_base}.\n`python benchmarks/learning.py --rows {shlex.quote(row)}`;\none seed (`--seeds 0`) with its "
        f"warm start takes under {minutes + 1} CPU-minutes.\n\n"
    )
    text = page.read_text(encoding="utf-8")
    page.write_text(re.sub(r"\*\*Here\.\*\* .*?\n\n", lambda _: told, text, flags=re.DOTALL), encoding="utf-8")


def _listed(values: Sequence[float]) -> str:
    first, *more = (f"{value:.3f}" for value in values)
    return f"{', '.join([first, *more[:-1]])} and {more[-1]}"


def diverging_table(lines: Sequence[dict[str, Any]]) -> str:
    """What five times the learning rate did."""
    text = [
        "| row | seed | episodes | greedy | sampled | nats a sequence | tokens an episode, first to last |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        cells = (line["row"], line["seed"], line["episodes"], *(f"{line[way]['success']:.3f}" for way in WAYS))
        drift = f"{line['kl_per_sequence']:.1f}", f"{line['tokens_at_first']:.0f} to {line['tokens']:.0f}"
        text.append(f"| {' | '.join(map(str, (*cells, *drift)))} |")
    return "\n".join(text)
