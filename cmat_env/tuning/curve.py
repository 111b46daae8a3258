"""The learning curve of a run, as a picture and as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
BLOCKS = " ▁▂▃▄▅▆▇█"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, less one that a crash has torn."""
    with (folder / METRICS).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def smooth(values: Sequence[float], window: int = 5) -> list[float]:
    """Running means over the last `window` values."""
    return [sum(values[max(0, i - window + 1) : i + 1]) / min(i + 1, window) for i in range(len(values))]


def sparkline(values: Sequence[float], *, low: float = 0.0, high: float = 1.0) -> str:
    """One character a value, from ▁ at `low` to █ at `high`."""
    span = max(high - low, 1e-9)
    return "".join(BLOCKS[1 + round(7 * min(1.0, max(0.0, (value - low) / span)))] for value in values)


def draw_png(folder: Path) -> Path:
    """Draw success while training, evaluations and KL of each role into `curve.png`."""
    import matplotlib as mpl  # noqa: PLC0415 - a third of a second to import

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    lines = read_metrics(folder)
    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(7, 6), sharex=True, height_ratios=(2, 1))
    episodes = [line["episodes"] for line in lines]
    top.plot(episodes, smooth([line["success"] for line in lines]), label="training, sampled (mean of 5)")
    for name in sorted({name for line in lines for name in line.get("evaluation", {})}):
        points = [(line["episodes"], line["evaluation"][name]) for line in lines if "evaluation" in line]
        top.plot(*zip(*points, strict=True), "o--", label=f"evaluation: {name}")
    top.set(ylabel="success", ylim=(0, 1))
    for role in lines[0]["roles"] if lines else ():
        bottom.plot(episodes, [line["roles"][role].get("kl_per_sequence", 0.0) for line in lines], label=role)
    bottom.set(xlabel="episodes", ylabel="KL to the base, nats an episode")
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.tight_layout()
    path = folder / "curve.png"
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
