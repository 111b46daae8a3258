"""The metrics of a run: each iteration's line, with its alarms, into metrics.jsonl and onto TensorBoard's board."""

from __future__ import annotations

import dataclasses
from typing import Any

from cmat_env.closing import Closing
from cmat_env.tuning import alarms
from cmat_env.tuning.board import Board
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.curve import METRICS, read_metrics
from cmat_env.tuning.folder import RunFolder


class Metrics(Closing):
    """Writes what is measured; use it as a context.

    Args:
        folder: of the run.
        settings: of the run.
        iteration: of the run so far, whose lines are in the folder.

    Raises:
        MissingExtraError: TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: RunFolder, settings: RunSettings, *, iteration: int) -> None:
        self._folder, self._bands = folder, settings.alarms
        self._rows = read_metrics(folder.path) if (folder.path / METRICS).exists() else []
        self._board = Board(folder.path, iteration=iteration) if settings.tensorboard else None

    def close(self) -> None:
        """Close the board, if there is one."""
        if self._board:
            self._board.close()

    def write(self, line: dict[str, Any]) -> None:
        """Put the alarms of an iteration into its line, and keep it.

        Raises:
            LogError: it cannot be written.
        """
        self._rows.append(line)
        line["alarms"] = [dataclasses.asdict(alarm) for alarm in alarms.find(self._rows, self._bands)]
        self._folder.append_metrics(line)
        if self._board:
            self._board.write(line)
