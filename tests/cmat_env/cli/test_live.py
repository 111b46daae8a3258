"""What a run looks like while it goes on: alarms are seen, on a terminal and in a log."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from cmat_env.cli.live import Live
from cmat_env.tuning.config import RunSettings

ALARM = {"role": "checker", "figure": "clip_fraction", "value": 0.5, "limit": 0.1, "text": "steps are too large"}


def iteration(**changes: Any) -> dict[str, Any]:
    """Figures of one iteration."""
    figures = {"loss": -0.25, "kl_per_sequence": 1.5, "margin": 0.125}
    return {"iteration": 1, "success": 0.5, "roles": {"checker": figures}, "alarms": []} | changes


@pytest.mark.parametrize("alarms", [[], [ALARM]], ids=["healthy", "alarm"])
def test_a_log_names_alarms(capsys: pytest.CaptureFixture[str], alarms: list[dict[str, Any]]) -> None:
    """A line under the iteration's, with whose it is and what to do; none where nothing rang."""
    with Live(RunSettings(), Console(file=io.StringIO(), force_terminal=False)) as live:
        live.show("iteration", iteration(alarms=alarms))
    said = capsys.readouterr().out

    assert "iteration 1/30: success 0.50; checker loss -0.250 KL 1.50" in said
    assert bool(alarms) == ("\n  ! checker: steps are too large\n" in said)


def test_a_terminal_shows_alarms_until_they_are_over() -> None:
    """Under the table of figures; gone with the next healthy iteration. Figures that nobody has take no column."""
    screen = io.StringIO()
    live = Live(RunSettings(), Console(file=screen, force_terminal=True, width=120))
    views = []
    for alarms in ([ALARM], []):
        live.show("iteration", iteration(alarms=alarms))
        plain = Console(file=io.StringIO(), width=120)
        plain.print(live._view())
        views.append(plain.file.getvalue())  # type: ignore[attr-defined]

    assert ["! checker: steps are too large" in view for view in views] == [True, False]
    assert "margin" in views[0]
    assert "value loss" not in views[0]
