"""The tables of the ablation: success with intervals, gains on the same episodes, halves of streams, costs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.cmat_parts import COLUMNS, HOUSES, ROWS, STREAM, WAYS
from cmat_env.scores import wilson
from cmat_env.statistics import paired_bootstrap

_T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t for a 95 % interval of the mean of so many seeds."""


def rank(line: Mapping[str, Any]) -> tuple[int, ...]:
    """Where a line stands in the tables."""
    return list(COLUMNS).index(line["column"]), list(ROWS).index(line["row"]), line["seed"]


def mean(counts: Sequence[Sequence[int]]) -> str:
    """The mean over seeds with its 95 % interval: Student's over the seeds' rates, Wilson's where there is one seed."""
    rates = [statistics.mean(each) for each in counts]
    if len(rates) == 1:
        low, high = wilson(sum(counts[0]), len(counts[0]))
        return f"{rates[0]:.3f} [{low:.3f}, {high:.3f}]"
    half = _T95.get(len(rates), 2.0) * statistics.stdev(rates) / math.sqrt(len(rates))
    return f"{statistics.mean(rates):.3f} ± {half:.3f}"


def gain(ours: Iterable[Sequence[int]], theirs: Iterable[Sequence[int]]) -> str:
    """By how much the first solve more of the same episodes, over all seeds, with the paired bootstrap's interval."""
    a, b = [each for seed in theirs for each in seed], [each for seed in ours for each in seed]
    found = paired_bootstrap(a, b)
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _of(lines: Sequence[Mapping[str, Any]], column: str, row: str, way: str) -> dict[int, Mapping[str, Any]]:
    """By seed, what was measured."""
    return {line["seed"]: line[way] for line in lines if (line["column"], line["row"]) == (column, row)}


def _success(lines: Sequence[Mapping[str, Any]], way: str) -> str:
    """The ablation table."""
    columns = [name for name in COLUMNS if any(line["column"] == name for line in lines)]
    text = [f"| | {' | '.join(f'{name} | tokens' for name in columns)} |", "|---|" + "---|--:|" * len(columns)]
    for row in ROWS:
        cells = []
        for column in columns:
            found = list(_of(lines, column, row, way).values())
            count = sum(len(each["solved"]) for each in found)
            cells.append(mean([each["solved"] for each in found]) if found else "-")
            cells.append(f"{sum(each['read'] + each['written'] for each in found) / count:.0f}" if found else "-")
        if set(cells) != {"-"}:
            text.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(text)


_AGAINST = (
    *((row, "warm start") for row in ROWS if row != "warm start"),
    ("+ reflection, 2 trials", "+ trying again, a new sample"),
    ("all together", "PPO and checker, trying again"),
)


def _gains(lines: Sequence[Mapping[str, Any]], way: str) -> str:
    """What lies between the rows, on the same episodes."""
    columns = [name for name in COLUMNS if any(line["column"] == name for line in lines)]
    text = [f"| | over | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    for row, other in _AGAINST:
        cells = []
        for column in columns:
            ours, theirs = _of(lines, column, row, way), _of(lines, column, other, way)
            both = sorted(ours.keys() & theirs.keys())
            pairs = [[found[seed]["solved"] for seed in both] for found in (ours, theirs)]
            cells.append(gain(*pairs) if both else "-")
        if set(cells) != {"-"}:
            text.append(f"| {row} | {other} | {' | '.join(cells)} |")
    return "\n".join(text)


def _halves(lines: Sequence[Mapping[str, Any]], way: str) -> str:
    """First halves of the streams against second halves, with memory and without; a stream is one value."""
    text = ["| column | | first half | second half | second less first [95 %] |", "|---|---|---|---|---|"]
    for column in COLUMNS:
        for row, title in (("warm start", "no memory"), ("+ long-term memory, continual", "memory")):
            found = [each["solved"] for each in _of(lines, column, row, way).values()]
            streams = [solved[start : start + STREAM] for solved in found for start in range(0, len(solved), STREAM)]
            if not streams:
                continue
            first, second = ([statistics.mean(half) for half in halves] for halves in _halved(streams))
            between = paired_bootstrap(first, second)
            text.append(
                f"| {column} | {title} | {statistics.mean(first):.3f} | {statistics.mean(second):.3f} | "
                f"{between.mean:+.3f} [{between.low:+.3f}, {between.high:+.3f}] |"
            )
    return "\n".join(text)


def _halved(streams: Sequence[Sequence[int]]) -> tuple[list[Sequence[int]], list[Sequence[int]]]:
    middle = STREAM // 2
    return [stream[:middle] for stream in streams], [stream[middle:] for stream in streams]


def _costs(lines: Sequence[Mapping[str, Any]]) -> str:
    """CPU-seconds of tuning."""
    columns = [name for name in COLUMNS if name != HOUSES and any(line["column"] == name for line in lines)]
    text = [f"| CPU-s of tuning, each seed | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for row in ("+ PPO assistant", "+ trained checker", "PPO and checker"):
        cells = [
            " / ".join(f"{e['cpu_seconds']:.0f}" for e in lines if (e["column"], e["row"]) == (column, row)) or "-"
            for column in columns
        ]
        text.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(text)


def report(lines: Sequence[Mapping[str, Any]]) -> str:
    """All tables as Markdown; empty if nothing has been measured."""
    if not lines:
        return ""
    parts = []
    for way in WAYS:
        parts += [f"### Ablation, {way}\n\n{_success(lines, way)}", f"### Gains, {way}\n\n{_gains(lines, way)}"]
        parts += [f"### Halves of the streams, {way}\n\n{_halves(lines, way)}"]
    return "\n\n".join([*parts, *([_costs(lines)] if any(line["cpu_seconds"] for line in lines) else [])])
