"""`cmat eval`: the report for people and for programs, and what it leaves on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmat_env.cli import main
from cmat_env.log import read_episodes


def test_gold_solves_every_agentbench_task(agentbench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """60 of 60 on SQLite: labels replayed, gold write SQL executed, all tasks of the file by default."""
    file = str(agentbench / "db" / "dev.jsonl")
    status = main(["eval", "cmat/DB-v0", "--tasks", file, "--roles", "assistant", "--assistant", "gold", "--json", "-"])
    report = json.loads(capsys.readouterr().out)

    assert (0, 60, 1.0, 0) == (status, report["episodes"], report["success_rate"], report["dropped"])


def test_json_on_standard_output_is_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress goes to standard error, in a few plain lines where that is no terminal."""
    status = main(["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "30", "--json", "-"])
    shown = capsys.readouterr()

    assert (0, 30) == (status, json.loads(shown.out)["episodes"])
    assert 10 == len(shown.err.splitlines())
    assert "eval 30/30 100.0% solved" == shown.err.splitlines()[-1]


def test_a_run_can_be_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--record leaves episodes and the report, --json FILE the report; folders are made; a second run appends."""
    run, file = tmp_path / "a" / "run", tmp_path / "b" / "report.json"
    team = ["--assistant", "demonstrator", "--checker", "oracle", "--episodes", "8", "--max-revisions", "2"]
    for _ in range(2):
        assert 0 == main(["eval", "cmat/DB-v0", *team, "--record", str(run), "--json", str(file), "--set", "level=2"])
    records = list(read_episodes(run))
    report = json.loads(file.read_text())

    assert 16 == len(records)
    assert {"assistant": "demonstrator", "checker": "oracle"} == records[0].policies
    assert {"level": 2, "roles": ["assistant", "checker"], "max_revisions": 2, "dry_run": False} == records[0].settings
    assert list(range(8)) == [record.trajectory.seed for record in records[:8]]
    assert [row["task_id"] for row in report["per_episode"]] == [record.trajectory.task_id for record in records[8:]]
    assert report == json.loads((run / "report.json").read_text())
    assert 0.0 == report["checker"]["false_alarm_rate"]
    shown = capsys.readouterr().out
    assert [] == [
        words for words in ("95 % interval", "all", "outcomes: ", "checker: ", "precision") if words not in shown
    ]


def test_the_same_run_gives_the_same_report(capsys: pytest.CaptureFixture[str]) -> None:
    """By seed, whatever the width; another seed gives other tasks."""
    reports = []
    for more in (["--seed", "1"], ["--seed", "1", "--width", "1"], ["--seed", "2"]):
        main(["eval", "cmat/DB-v0", "--assistant", "random", "--episodes", "5", "--json", "-", *more])
        report = json.loads(capsys.readouterr().out)
        reports.append([row["task_id"] for row in report["per_episode"]])

    assert reports[0] == reports[1]
    assert reports[0] != reports[2]


def test_a_place_that_cannot_be_written_is_named_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after it."""
    (tmp_path / "taken").write_text("")
    status = main(["eval", "cmat/DB-v0", "--assistant", "gold", "--json", str(tmp_path / "taken" / "x.json")])

    assert 2 == status
    assert "cannot be written" in capsys.readouterr().err


def test_a_run_whose_episodes_all_crash_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, and the first crash in a line."""
    from cmat_env.envs.database import DBEnv  # noqa: PLC0415 - the class is patched

    def step(self: DBEnv, action: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(DBEnv, "step", step)
    status = main(["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "3", "--json", str(tmp_path / "x.json")])

    assert 1 == status
    assert "error: all 3 episodes crashed; first: seed 0: OSError: disk full" in capsys.readouterr().err
    assert None is json.loads((tmp_path / "x.json").read_text())["success_rate"]


def test_a_person_needs_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Two workers cannot share a keyboard."""
    assert 2 == main(["eval", "cmat/DB-v0", "--assistant", "human", "--workers", "2"])
    assert "--workers 1" in capsys.readouterr().err
