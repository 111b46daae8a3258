"""The command line: `--graphs`, the report's reasons, and a replay that a person can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmat_env.cli import main


def run(*arguments: object) -> int:
    """The exit status of a command."""
    return main([str(each) for each in arguments])


def test_eval_reports_why_a_task_cannot_be_answered(agentbench: Path, tmp_path: Path, capsys: Any) -> None:
    """18 of 20, and the status file's reason for each of the others; the record replays with menus in columns."""
    folder, report = agentbench / "kg", tmp_path / "report.json"
    status = run(
        "eval", "cmat/KG-v0", "--tasks", folder / "dev.json", "--graphs", folder / "dev_graphs.nq.gz",
        "--roles", "assistant", "--assistant", "gold", "--json", report, "--record", tmp_path / "run",
    )  # fmt: skip
    found = json.loads(report.read_text())

    assert (0, 20, {"correct": 18, "offline: type mismatch": 2}) == (status, found["episodes"], found["outcomes"])
    assert [14, 17] == [index for index, row in enumerate(found["per_episode"]) if not row["success"]]
    capsys.readouterr()
    assert 0 == run("replay", tmp_path / "run", "--episode", "1")
    shown = capsys.readouterr().out
    for words in (
        "Action: get_relations(",
        " offered",
        "media_common.quotation.author",
        "Final Answer: #3",
        "✔ solved",
    ):
        assert words in shown
    assert "Observation: [" not in shown


def test_a_graph_that_no_task_takes_is_told(capsys: Any) -> None:
    """The task that has no such setting says so."""
    assert 2 == run("eval", "cmat/DB-v0", "--graphs", "x.nt", "--assistant", "gold")
    assert "has no setting 'graphs'" in capsys.readouterr().err


@pytest.mark.parametrize("action_format", ["v0.2", "tools"])
def test_a_replay_shows_calls_and_menus(action_format: str, tmp_path: Path, capsys: Any) -> None:
    """Tool calls are shown as calls, in both formats."""
    run(
        "eval", "cmat/KG-v0", "--assistant", "gold", "--checker", "approve", "--episodes", "3",
        "--set", f"action_format={action_format}", "--record", tmp_path,
    )  # fmt: skip
    capsys.readouterr()
    run("replay", tmp_path, "--episode", "1")
    shown = capsys.readouterr().out

    assert "get_relations(" in shown and " offered" in shown and "variable #0, which" in shown
    assert '"arguments"' not in shown
