"""The clock of TRL's trainers: one time of day and of processor at the end of every step."""

from __future__ import annotations

import itertools
import time
from typing import Any

from transformers import TrainerCallback


class StepClock(TrainerCallback):
    """Seconds from the end of one step to the end of the next; the first steps, which warm up, are left out."""

    def __init__(self, warm_up: int) -> None:
        self._warm_up = warm_up
        self._ends: list[tuple[float, float]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """A step is over."""
        self._ends.append((time.perf_counter(), time.process_time()))

    def figures(self) -> dict[str, list[float]]:
        """Seconds by the clock and of the processor, step by step."""
        ends = self._ends[self._warm_up - 1 :]
        pairs = list(itertools.pairwise(ends))
        return {
            "seconds": [later[0] - earlier[0] for earlier, later in pairs],
            "cpu_seconds": [later[1] - earlier[1] for earlier, later in pairs],
        }
