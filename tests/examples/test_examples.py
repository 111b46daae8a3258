"""Every example runs as its first lines say, is short, and is listed here with what it must print."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRINTS = {
    "step_loop.py": (
        "assistant_0  hears user",
        "'success': True",
        "Payment(role='assistant', amount=1.0, reason='task'",
    ),
    "custom_task.py": ("check_task is content", "gold    solves 100%"),
    "custom_graph.py": ("Entities: [", "Final Answer: #", "gold solves 100% of 50 questions from planets.ttl"),
    "custom_os_task.py": ("gold    solves 100%", "random  solves 0%"),
    "reflection.py": (
        "no reflection  solved by trial 1: 0.00 solved by trial 2: 0.00",
        "reflection     solved by trial 1: 0.00 solved by trial 2: 1.00",
        "first half 0.80, second half 1.00; MemoryUse(continual=True, block=1, before=0",
    ),
    "sb3_menu.py": ("approve  checks:", "sb3      checks:", "oracle   checks:"),
    "custom_policy.py": ("approves all", "believes the dry run", "knows the answer"),
}


def ran(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, with Python as the user has it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    """Anywhere, without an argument, and prints what it promises."""
    done = ran(str(EXAMPLES / name), cwd=tmp_path)

    assert (0, "") == (done.returncode, done.stderr)
    assert [] == [words for words in PRINTS[name] if words not in done.stdout]


def test_the_example_of_training_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of `train_db.py`, with fewer demonstrations, steps and episodes: it tells its story and leaves a model."""
    found = importlib.util.spec_from_file_location("train_db", EXAMPLES / "train_db.py")
    assert found is not None and found.loader is not None
    train_db = importlib.util.module_from_spec(found)
    found.loader.exec_module(train_db)
    warm_start = replace(
        train_db.SETTINGS.warm_start, episodes=60, sft=replace(train_db.SETTINGS.warm_start.sft, steps=5)
    )
    small = replace(train_db.SETTINGS, iterations=2, episodes=4, final_episodes=4, warm_start=warm_start)
    monkeypatch.setattr(train_db, "SETTINGS", small)
    monkeypatch.setattr(sys, "argv", ["train_db.py", str(tmp_path)])
    train_db.main()

    said = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert ["before", "before", "iteration 1", "iteration 2", "after", "after"] == said
    assert (tmp_path / "final" / "assistant").is_dir()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_begins_with_how_to_run_it(path: Path) -> None:
    """Under 70 lines, a new environment in under 60; the docstring names the command."""
    lines = path.read_text().splitlines()

    assert len(lines) < (60 if path.name == "custom_task.py" else 70)
    assert any(f"python examples/{path.name}" in line for line in lines[:8])


def test_a_policy_of_an_example_plays_on_the_command_line() -> None:
    """`module:attribute` finds it from the folder where the command is given."""
    team = ["--assistant", "demonstrator", "--checker", "examples.custom_policy:DryRunChecker", "--dry-run"]
    done = ran("-m", "cmat_env.cli", "eval", "cmat/DB-v0", *team, "--episodes", "5", cwd=EXAMPLES.parent)

    assert 0 == done.returncode
    assert "checker: " in done.stdout
