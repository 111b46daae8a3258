"""`cmat replay`: printed where nobody types, drawn where a picture is wanted, torn ends reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmat_env.cli import main


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run folder with three episodes."""
    main(["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "3", "--record", str(tmp_path)])
    capsys.readouterr()
    return tmp_path


def test_episodes_are_printed_without_keys(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, or one; a folder or the file itself."""
    assert 0 == main(["replay", str(run)])
    assert 3 == capsys.readouterr().out.count("✔ solved")
    assert 0 == main(["replay", str(run / "episodes.jsonl"), "--episode", "2"])
    assert 1 == capsys.readouterr().out.count("✔ solved")


def test_a_torn_end_is_reported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole episodes are shown, and standard error says what is left out."""
    log = run / "episodes.jsonl"
    log.write_bytes(log.read_bytes()[:-10])

    assert 0 == main(["replay", str(run)])
    shown = capsys.readouterr()
    assert 2 == shown.out.count("✔ solved")
    assert "is left out" in " ".join(shown.err.split())


def test_a_corrupt_line_is_a_mistake_with_its_number(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File and line in one line."""
    log = run / "episodes.jsonl"
    log.write_bytes(b"junk\n" + log.read_bytes())

    assert 2 == main(["replay", str(run)])
    assert "episodes.jsonl:1: not a JSON line" in capsys.readouterr().err


def test_a_picture_is_drawn(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name is printed."""
    assert 0 == main(["replay", str(run), "--svg", str(run / "x.svg")])
    assert f"{run / 'x.svg'}\n" == capsys.readouterr().out
    assert (run / "x.svg").read_text().startswith("<svg")
