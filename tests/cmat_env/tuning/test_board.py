"""Metrics for TensorBoard: every figure is read back by TensorBoard's own reader."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cmat_env.errors import MissingExtraError
from cmat_env.tuning import board
from cmat_env.tuning.board import Board, scalars


def line(iteration: int, success: float) -> dict[str, Any]:
    """A row of metrics.jsonl."""
    return {
        "iteration": iteration,
        "success": success,
        "dropped": 1,
        "roles": {"assistant": {"kl": 0.25, "loss": -0.5}, "checker": {"kl": 0.5}},
        "evaluation": {"team, greedy": 0.75, "none played": None},
        "alarms": [{"role": "checker", "text": "..."}, {"role": "assistant", "text": "..."}],
    }


def read(folder: Path, tag: str) -> list[tuple[int, float]]:
    """(step, value) of a tag, as TensorBoard sees them."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_every_figure_has_a_tag() -> None:
    """By hand; what was not measured has none, and alarms are counted."""
    assert [
        ("success", 0.5), ("dropped", 1.0), ("assistant/kl", 0.25), ("assistant/loss", -0.5), ("checker/kl", 0.5),
        ("evaluation/team, greedy", 0.75), ("alarms", 2.0),
    ] == list(scalars(line(3, 0.5)))  # fmt: skip


def test_figures_are_read_back(tmp_path: Path) -> None:
    """One step an iteration, on disk as soon as it is written."""
    written = Board(tmp_path)
    written.write(line(1, 0.5))
    written.write(line(2, 0.75))

    assert [(1, 0.5), (2, 0.75)] == read(tmp_path, "success")
    assert [(1, -0.5), (2, -0.5)] == read(tmp_path, "assistant/loss")
    written.close()


def test_a_resumed_run_hides_what_it_does_again(tmp_path: Path) -> None:
    """Stopped after three iterations, resumed from a checkpoint of the second: one value a step, the later one."""
    first = Board(tmp_path)
    for iteration in (1, 2, 3):
        first.write(line(iteration, 0.25))
    first.close()
    second = Board(tmp_path, iteration=2)
    second.write(line(3, 0.5))
    second.close()

    assert [(1, 0.25), (2, 0.25), (3, 0.5)] == read(tmp_path, "success")


def test_without_tensorboard_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(board, "find_spec", lambda name: None if name == "tensorboard" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"needs tensorboard.*pip install 'cmat-env\[tensorboard\]'"):
        Board(tmp_path)

    assert [] == list(tmp_path.iterdir())
