"""The curves of the ablation: success while the team is tuned, and along streams of related tasks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cmat_parts import COLUMNS, HOUSES, STREAM, WAYS
from cmat_env.tuning.curve import METRICS, read_metrics, smooth

PLACES = 5
"""Tasks of a stream that make one point."""
_TUNED = {"assistant": "PPO assistant", "checker": "trained checker", "both": "PPO and checker"}
_STREAMS = {"warm start": "no memory", "+ long-term memory, continual": "memory"}


def mean_curve(curves: Iterable[Sequence[float]]) -> list[float]:
    """The mean of several curves, as far as all of them go."""
    return [statistics.mean(values) for values in zip(*curves, strict=False)]


def along(streams: Sequence[Sequence[int]]) -> list[float]:
    """Success by place in a stream, a point for every few tasks, over all streams."""
    starts = range(0, STREAM, PLACES)
    return [statistics.mean(solved for stream in streams for solved in stream[at : at + PLACES]) for at in starts]


def draw(out: Path, lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw what has been measured.

    Args:
        out: the folder of the benchmark.
        lines: the rows that are on disk.
        path: of the picture.
    """
    import matplotlib as mpl  # noqa: PLC0415 - a third of a second to import

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    across = -(-len(COLUMNS) // 2)
    figure, grid = pyplot.subplots(2, across, figsize=(4.5 * across, 6), sharey=True)
    panels = iter(grid.flat)
    for column in (name for name in COLUMNS if name != HOUSES):
        axes = next(panels)
        for tuned, label in _TUNED.items():
            paths = sorted(out.glob(f"parts/{column.replace(' ', '-')}/seed-*/{tuned}/{METRICS}"))
            curves = [smooth([line["success"] for line in read_metrics(path.parent)]) for path in paths]
            if curve := mean_curve(curves):
                axes.plot(range(1, len(curve) + 1), curve, label=label)
        axes.set(title=f"{column}: success while tuning", xlabel="iteration, sampled, mean of 5", ylim=(0, 1))
    axes = next(panels)
    for row, label in _STREAMS.items():
        for way, style in zip(WAYS, ("--", "-"), strict=True):
            found = [line[way]["solved"] for line in lines if (line["column"], line["row"]) == (HOUSES, row)]
            streams = [solved[start : start + STREAM] for solved in found for start in range(0, len(solved), STREAM)]
            if streams:
                places = [start + (PLACES + 1) / 2 for start in range(0, STREAM, PLACES)]
                axes.plot(places, along(streams), style, label=f"{label}, {way}")
    axes.set(title=f"{HOUSES}: success along a stream", xlabel="place in the stream")
    for axes in grid.flat:
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
        else:
            axes.set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
