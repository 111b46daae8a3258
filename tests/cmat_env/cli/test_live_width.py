"""The view of a training run: a terminal of any width, or none at all."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console

from cmat_env.cli.live import Live
from cmat_env.tuning.config import RunSettings

DIFFERENCE = {"gain": 0.05, "ci95": (0.01, 0.09), "won": 20, "lost": 5}
EVENTS = (
    ("demonstrations", {"episodes": 4, "of": 4}),
    ("model", {"parameters": 1234, "vocabulary": 300}),
    ("warm_start", {"step": 100, "steps": 100, "loss": 1.5}),
    (
        "iteration",
        {"iteration": 1, "success": 0.5, "roles": {"assistant": {"loss": 0.25, "kl_per_sequence": 0.5}}, "alarms": []},
    ),
    ("finished", {"episodes": 128, "checker": {"after, greedy": DIFFERENCE}}),
)


def shown(console: Console) -> None:
    """All events of a short run."""
    with Live(RunSettings(), console) as live:
        for event, figures in EVENTS:
            live.show(event, figures)


@pytest.mark.parametrize("width", [1, 2, 7, 20, 200])
def test_a_terminal_of_any_width_is_drawn_on(width: int) -> None:
    """Down to one column: nothing fails, and no line is wider than the terminal."""
    screen = StringIO()
    shown(Console(file=screen, width=width, height=12, force_terminal=True, color_system=None))

    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n").splitlines()
    assert any(line.strip() for line in lines)
    assert [] == [line for line in lines if len(line) > width]


def test_no_terminal_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """One line an event, without control sequences."""
    shown(Console(file=StringIO(), width=80, force_terminal=False))
    said = capsys.readouterr().out

    assert "\x1b" not in said
    assert [] == [
        words
        for words in (
            "4 demonstrations played", "TinyAgent: 1,234 parameters", "warm start, step 100/100: loss 1.500",
            "iteration 1/30: success 0.50; assistant loss +0.250 KL 0.50",
            "checker, same episodes, after, greedy: +0.050 [+0.010, +0.090], won 20, lost 5",
        )
        if words not in said
    ]  # fmt: skip
