"""`cmat sb3`: a role is trained on the command line, and plays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmat_env.cli import main
from tests.conftest import needs

needs_sb3 = needs("sb3_contrib", extra="sb3")


@needs_sb3
@pytest.mark.parametrize("algorithm", ["PPO", "MaskablePPO"])
def test_a_trained_checker_plays(algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is saved is a policy beside others; the line that is printed says how."""
    team = ["--assistant", "demonstrator", "--dry-run"]
    how = ["--menu", "verdicts", "--algorithm", algorithm, "--steps", "256", "--out", str(tmp_path / "c")]
    assert 0 == main(["sb3", "cmat/DB-v0", "--role", "checker", *team, *how])
    shown = capsys.readouterr()
    command = shown.out.strip().rpartition("cmat eval ")[2].split()
    assert 0 == main(["eval", *command, "--episodes", "4", "--json", str(tmp_path / "r.json")])
    trained = (tmp_path / "c" / "model.zip").read_bytes()
    assert 2 == main(["sb3", "cmat/DB-v0", "--role", "checker", *team, *how])

    assert "holds a trained role, which would be lost; choose another folder" in capsys.readouterr().err
    assert trained == (tmp_path / "c" / "model.zip").read_bytes()
    assert ["--tasks", "generated:heldout"] == command[-2:]
    assert "sb3 256/256 return " in shown.err
    assert 4 == json.loads((tmp_path / "r.json").read_text())["episodes"]
    facts = json.loads((tmp_path / "c" / "menu.json").read_text())
    assert (algorithm, "verdicts", 2) == (facts["algorithm"], facts["menu"], facts["features"]["size"])


@needs_sb3
@needs("textarena", extra="textarena")
def test_the_command_that_is_printed_plays_by_the_same_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Revisions and settings as in training; no --tasks where the environment has no such setting."""
    how = ["--menu", "proposed:random*2", "--steps", "256", "--max-revisions", "2", "--set", "max_rounds=3"]
    assert 0 == main(["sb3", "cmat/TextArena-v0", "--checker", "approve", *how, "--out", str(tmp_path / "a")])
    command = capsys.readouterr().out.strip().rpartition("let it play: ")[2]

    assert (
        f"cmat eval cmat/TextArena-v0 --assistant sb3:{tmp_path / 'a'} --checker approve --max-revisions 2 "
        "--set max_rounds=3"
    ) == command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--role", "checker", "--menu", "verdicts"], "who is the assistant?"),
        (["--menu", "verdicts", "--assistant", "gold"], "the assistant learns; leave it out"),
        (["--role", "chekcer", "--menu", "verdicts"], "did you mean 'checker'"),
        (["--menu", "verdicts", "--algorithm", "PP"], "did you mean 'PPO'"),
        (["--menu", "verdicts", "--learning-rate", "0"], "must be above 0"),
        pytest.param(["--menu", "verdict"], "did you mean 'verdicts'", marks=needs_sb3),
        pytest.param(["--menu", "task"], "has no candidates()", marks=needs_sb3),
    ],
)
def test_a_wrong_command_says_what_to_do(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and a line."""
    assert 2 == main(["sb3", "cmat/DB-v0", *arguments, "--out", str(tmp_path)])
    assert words in capsys.readouterr().err
