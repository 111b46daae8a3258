"""Metrics for TensorBoard, beside metrics.jsonl: one scalar a figure, one step an iteration.

tensorboard --logdir FOLDER/tensorboard
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cmat_env.errors import MissingExtraError

BOARD = "tensorboard"


class Board:
    """Writes event files into `FOLDER/tensorboard`.

    Args:
        folder: of the run.
        iteration: of the run so far; what an earlier process wrote of later ones is hidden.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, iteration: int = 0) -> None:
        require()
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional, and slow to import

        self._writer = SummaryWriter(str(folder / BOARD), purge_step=iteration + 1)

    def write(self, line: Mapping[str, Any]) -> None:
        """Write the figures of one iteration, so that another process sees them."""
        for tag, value in scalars(line):
            self._writer.add_scalar(tag, value, line["iteration"])
        self._writer.flush()

    def close(self) -> None:
        """Nothing more will be written."""
        self._writer.close()


def require() -> None:
    """Check that TensorBoard is there.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtraError.of("tensorboard", "tensorboard")


def scalars(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(tag, value) of every figure of a line of metrics.jsonl; figures of roles as ROLE/FIGURE."""
    for name, value in line.items():
        if name == "roles":
            for role, figures in value.items():
                yield from ((f"{role}/{figure}", number) for figure, number in figures.items())
        elif name == "evaluation":
            yield from ((f"evaluation/{title}", rate) for title, rate in value.items() if rate is not None)
        elif name == "alarms":
            yield "alarms", float(len(value))
        elif name != "iteration":
            yield name, float(value)
