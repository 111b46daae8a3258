"""`cmat eval`, `cmat replay` and `cmat play` with the operating-system task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmat_env.cli import main
from cmat_env.envs.operating_system import SandboxSettings
from cmat_env.log import read_episodes


def test_gold_solves_dev_on_the_command_line(
    agentbench: Path, settings: SandboxSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """22 of 23, answered from what the live shell printed; what is skipped is named with the reason."""
    file = str(agentbench / "os" / "dev.json")
    with pytest.warns(UserWarning, match=r"3 of 26 tasks are skipped, 23 are played.*dev-25: create.init is the file"):
        status = main(
            ["eval", "cmat/OS-v0", "--tasks", file, "--roles", "assistant", "--assistant", "gold", "--json", "-"]
        )
    report = json.loads(capsys.readouterr().out)

    assert (0, 23, 0) == (status, report["episodes"], report["dropped"])
    assert ["dev-3", "dev-5", "dev-25"] == list(report["skipped"])
    assert "example/0.sh, which is not there" in report["skipped"]["dev-3"]
    assert ["dev-8"] == [row["task_id"] for row in report["per_episode"] if not row["success"]]


def test_episodes_are_recorded_replayed_and_verified(
    tmp_path: Path, settings: SandboxSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log says which sandbox and root file system; replay shows script, output and answer; a rerun is the same."""
    team = ["--assistant", "gold", "--checker", "gold", "--episodes", "3"]
    assert 0 == main(["eval", "cmat/OS-v0", *team, "--record", str(tmp_path)])
    capsys.readouterr()
    for record in read_episodes(tmp_path):
        for step in record.trajectory.steps:
            assert {"sandbox", "rootfs"} <= step.info.keys()
    assert 0 == main(["replay", str(tmp_path)])
    shown = capsys.readouterr().out
    assert 3 == shown.count("✔ solved")
    assert all(words in shown for words in ("Act: bash", "The output of the OS", "Act: answer("))
    assert 0 == main(["replay", str(tmp_path), "--verify"])
    assert "3 of 3 episodes came again exactly\n" == capsys.readouterr().out
