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
    assert ["dev-8"] == [row["task_id"] for row in report["per_episode"] if not row["success"]], report["outcomes"]


STOCK = """import random
names = ["Alice", "Bob", "Carol"]
with open("/usr/stock.log", "w") as log:
    for n in range(60):
        log.write(f"2026-01-{n % 28 + 1:02d} | {names[n % 3]} | {('Sell', 'Purchase')[n % 2]} | {n % 7} | {n}\\n")
"""
CHECK = """for words in "1 + 2" "2 * ( 9 / 3 )"; do
    wanted=$(python3 -c "print($words)")
    python3 -c "import sys; sys.exit(abs(float(sys.argv[1]) - $wanted) > 1e-5)" "$(calc "$words")" || exit 1
done
"""
EXAMPLE = """cat > /usr/local/bin/calc <<'END'
#!/bin/bash
python3 -c "print($*)"
END
chmod +x /usr/local/bin/calc
"""


def test_a_checkout_s_standard_sets_are_played(
    agentbench: Path, settings: SandboxSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entries of dev.json in AgentBench's folders, with script files at the places that they name.

    The files of the standard sets and their scripts are not at hand: the layout is theirs, the three scripts are ours.
    """
    dev = json.loads((agentbench / "os" / "dev.json").read_text(encoding="utf-8"))
    data, scripts = tmp_path / "data" / "os_interaction" / "data", tmp_path / "data" / "os_interaction" / "scripts"
    sets = {"1/stock": [25], "2/environment": [3, 5], "4/N4": [4, 10], "7/bootstrap": [6, 7, 9]}
    for name, entries in sets.items():
        (data / name).parent.mkdir(parents=True)
        (data / f"{name}.json").write_text(json.dumps([dev[index] for index in entries]))
    (data / "dev.json").write_text(json.dumps(dev))
    own = "python3 - <<'END_OF_PYTHON'\n" + STOCK + "END_OF_PYTHON\n"
    for name, text in {"1/init/stock-log.sh": own, "2/check/0.sh": CHECK, "2/example/0.sh": EXAMPLE}.items():
        (scripts / name).parent.mkdir(parents=True)
        (scripts / name).write_text(text)
    team = ["--roles", "assistant", "--json", "-"]
    command = ["eval", "cmat/OS-v0", "--tasks", str(data), "--script-dir", str(scripts), *team]
    assert 0 == main([*command, "--assistant", "gold"])
    report = json.loads(capsys.readouterr().out)
    assert 0 == main([*command, "--assistant", "random"])
    lost = json.loads(capsys.readouterr().out)

    assert [] == [row["task_id"] for row in report["per_episode"] if not row["success"]], report["outcomes"]
    wanted = [f"{name}-{index}" for name, entries in sets.items() for index in range(len(entries))]
    assert wanted == [row["task_id"] for row in report["per_episode"]]
    assert {} == report["skipped"] and 0.0 == lost["success_rate"]


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
    assert all(words in shown for words in ("Act: bash", "    $ ", "    ▌ ", "Act: answer("))
    assert 0 == main(["replay", str(tmp_path), "--verify"])
    assert "3 of 3 episodes came again exactly\n" == capsys.readouterr().out
