"""`cmat new task`: the package that it writes is sound as it stands, and is found once it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmat_env.cli import MISTAKE, main
from cmat_env.cli.new import name_words


def ran(*command: str, path: Path, cwd: Path) -> str:
    """What Python prints, with a folder of installed packages on its path."""
    environment = os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_a_new_task_is_installed_listed_played_and_keeps_its_contract(tmp_path: Path) -> None:
    """From `cmat new` to the end without a change by hand: pip, entry point, its own tests, evaluation."""
    package, site = tmp_path / "word-count", tmp_path / "site"
    assert 0 == main(["new", "task", "word-count", "--dir", str(package)])
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site), str(package))
    ran(*pip, path=Path(), cwd=tmp_path)

    assert "  word-count/WordCount-v0\n" in ran("-m", "cmat_env.cli", "list", path=site, cwd=tmp_path)
    assert "6 passed" in ran("-m", "pytest", "-p", "no:cacheprovider", "tests", path=site, cwd=package)
    team = ("--user", "echo", "--assistant", "demonstrator", "--checker", "oracle", "--dry-run", "--episodes", "20")
    shown = ran("-m", "cmat_env.cli", "eval", "word-count/WordCount-v0", *team, path=site, cwd=tmp_path)
    assert [] == [words for words in ("checker: ", "count", "price") if words not in shown]


def test_what_is_written_is_formatted_and_clean(tmp_path: Path) -> None:
    """A new author's linter has nothing to say."""
    assert 0 == main(["new", "task", "Riddle", "--namespace", "acme", "--dir", str(tmp_path / "riddle")])
    ruff = Path(sys.executable).parent / "ruff"
    if not ruff.exists():
        pytest.skip("ruff is not installed here")
    for command in (["format", "--check"], ["check", "--select", "B,E,F,UP,W"]):
        done = subprocess.run(
            [ruff, *command, "--isolated", "--line-length", "120", "."],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert 0 == done.returncode, done.stdout
    assert '"acme/Riddle-v0" = "riddle.task:RiddleEnv"' in (tmp_path / "riddle" / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("word-count", ["word", "count"]),
        ("WordCount", ["word", "count"]),
        ("word_count2", ["word", "count", "2"]),
        ("SQLQuiz", ["sql", "quiz"]),
    ],
)
def test_a_name_is_read_in_any_style(name: str, words: list[str]) -> None:
    """The package, the class and the id follow from the words."""
    assert words == name_words(name)


@pytest.mark.parametrize("name", ["2fast", "class", "a b", "../up", "naïve", "-x", "x.y"])
def test_a_name_that_no_package_can_have_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, and nothing is written."""
    monkeypatch.chdir(tmp_path)

    assert MISTAKE == main(["new", "task", "--", name])
    assert "cannot name a package; begin with a letter" in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody's work is written over."""
    (tmp_path / "mine.txt").write_text("mine")

    assert MISTAKE == main(["new", "task", "quiz", "--dir", str(tmp_path)])
    assert "is not empty; choose another place with --dir" in capsys.readouterr().err
    assert ["mine.txt"] == [path.name for path in tmp_path.iterdir()]
