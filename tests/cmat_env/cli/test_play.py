"""`cmat play`: a person solves a task, checks somebody's work, or leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cmat_env.cli import main
from cmat_env.log import read_episodes
from cmat_env.registry import make_task

Type = Callable[..., None]


@pytest.fixture
def type_lines(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types these lines on the keyboard, then closes it."""

    def type_(*lines: str) -> None:
        left = list(lines)

        def read(prompt: str = "") -> str:
            if not left:
                raise EOFError
            return left.pop(0)

        monkeypatch.setattr("builtins.input", read)

    return type_


def solution(seed: int) -> list[str]:
    """The right actions for a generated task, as lines with an empty one after each."""
    task = make_task("cmat/DB-v0")
    task.reset(seed=seed)
    return [line for action in task.solution() for line in (*action.splitlines(), "")]


def test_a_person_solves_a_task(type_lines: Type, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is typed is executed; the outcome is shown, and the episode kept."""
    type_lines(*solution(3))
    status = main(["play", "cmat/DB-v0", "--seed", "3", "--checker", "approve", "--record", str(tmp_path)])
    [record] = read_episodes(tmp_path)

    assert (0, True) == (status, record.trajectory.success)
    assert {"assistant": "human", "checker": "approve"} == record.policies
    assert "✔ solved: correct" in capsys.readouterr().out


def test_a_person_checks_the_work_of_another(type_lines: Type, capsys: pytest.CaptureFixture[str]) -> None:
    """The checker sees each proposal, and afterwards what the others did."""
    type_lines("no, not yet", "", "ok", "", "ok", "")
    status = main(["play", "cmat/DB-v0", "--human", "checker", "--assistant", "gold", "--seed", "4"])
    shown = capsys.readouterr().out

    assert 0 == status
    assert [] == [words for words in ("Proposal:", "You are the checker", "✔ solved") if words not in shown]


def test_leaving_is_no_error(type_lines: Type, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-D says goodbye, and nothing is kept."""
    type_lines()

    assert 0 == main(["play", "cmat/DB-v0", "--record", str(tmp_path / "run")])
    assert "You left" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_a_task_of_a_file_can_be_chosen(type_lines: Type, agentbench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its number; one that is not there is a mistake."""
    file = str(agentbench / "db" / "dev.jsonl")
    type_lines()
    status = main(["play", "cmat/DB-v0", "--tasks", file, "--task", "0"])

    assert 0 == status
    assert "Termination of Mission" in capsys.readouterr().out
    assert 2 == main(["play", "cmat/DB-v0", "--tasks", file, "--task", "999"])
