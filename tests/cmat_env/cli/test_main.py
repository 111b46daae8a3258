"""The command as a whole: exit statuses, one line on standard error, and a quick start."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cmat_env.cli import main

EVAL = ["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "2"]


def ran(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "cmat_env.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evil"], "evil"),
        (["eval"], "ENV"),
        ([*EVAL, "--episods", "3"], "--episodes"),
        ([*EVAL, "--episodes", "none"], "valid integer"),
        ([*EVAL, "--episodes", "0"], "--episodes"),
        (["eval", "cmat/DB-v1", "--assistant", "gold"], "did you mean 'cmat/DB-v0'?"),
        (["eval", "cmat/DB-v0"], "--assistant gold"),
        (["eval", "cmat/DB-v0", "--assistant", "golt"], "did you mean 'gold'?"),
        ([*EVAL, "--roles", "assistant,cheker"], "did you mean 'checker'?"),
        ([*EVAL, "--roles", "assistant", "--checker", "approve"], "leaves the checker out"),
        ([*EVAL, "--set", "grades=strict"], "did you mean 'grader'?"),
        ([*EVAL, "--set", "grader"], "wanted key=value"),
        ([*EVAL, "--set", "level=1", "--set", "level=2"], "comes twice"),
        ([*EVAL, "--set", "roles=user"], "use --roles instead"),
        ([*EVAL, "--set", "grader=strickt"], "did you mean 'strict'?"),
        ([*EVAL, "--prompts", "papr"], "did you mean 'paper'?"),
        ([*EVAL, "--tasks", "generated:held"], "heldout"),
        ([*EVAL, "--tasks", "no/such/file.jsonl"], "no/such/file.jsonl"),
        (["replay", "no/such/run"], "no such episode log"),
        (["play", "cmat/DB-v0", "--human", "asistant"], "did you mean 'assistant'?"),
        (["play", "cmat/DB-v0", "--human", "user"], "who is the assistant?"),
        (["play", "cmat/DB-v0", "--assistant", "gold"], "you play the assistant"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing on standard output, no traceback, and what to do instead."""
    monkeypatch.chdir(tmp_path)
    status = main(arguments)
    shown = capsys.readouterr()

    assert (2, "", 1) == (status, shown.out, len(shown.err.splitlines()))
    assert words in shown.err


@pytest.mark.parametrize("content", ["{", '{"description": 5}\n', "[]", "\x00"])
def test_a_malformed_task_file_is_one_line_and_status_2(
    content: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The file is named."""
    (tmp_path / "mine.jsonl").write_text(content)
    status = main([*EVAL, "--tasks", str(tmp_path / "mine.jsonl")])
    shown = capsys.readouterr()

    assert (2, "", 1) == (status, shown.out, len(shown.err.splitlines()))
    assert "mine.jsonl" in shown.err


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("raise ZeroDivisionError('by zero')", 1, "error: ZeroDivisionError: by zero (add --debug to see where)"),
        ("signal.raise_signal(signal.SIGINT)", 130, "stopped"),
        ("raise MemoryError()", 1, "error: MemoryError"),
    ],
)
def test_failures_and_ctrl_c_have_their_status(tmp_path: Path, body: str, status: int, words: str) -> None:
    """A policy of the user's folder that breaks is a failed run; Ctrl-C is 130; neither shows a traceback."""
    (tmp_path / "mine.py").write_text(
        f"import signal\nclass Breaks:\n    def generate(self, dialogues, *, seed):\n        {body}\n"
    )
    done = ran("eval", "cmat/DB-v0", "--assistant", "mine:Breaks", "--episodes", "1", cwd=tmp_path)

    assert (status, "", words) == (done.returncode, done.stdout, done.stderr.strip()[: len(words)])


@pytest.mark.parametrize("place", [0, 1])
def test_debug_shows_where_an_error_came_from(place: int, capsys: pytest.CaptureFixture[str]) -> None:
    """--debug counts anywhere on the line."""
    arguments = ["eval", "cmat/DB-v1", "--assistant", "gold"]
    arguments.insert(place, "--debug")

    assert 2 == main(arguments)
    assert "Traceback" in capsys.readouterr().err


def test_debug_can_be_set_in_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CMAT_DEBUG=1 does the same."""
    monkeypatch.setenv("CMAT_DEBUG", "1")

    assert 2 == main(["eval", "cmat/DB-v1", "--assistant", "gold"])
    assert "Traceback" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """That of the installed distribution."""
    assert 0 == main(["--version"])
    assert f"{version('cmat-env')}\n" == capsys.readouterr().out


def test_help_names_every_command_without_torch() -> None:
    """`cmat --help` stays quick: nothing heavy is imported for it."""
    heavy = "{'torch', 'transformers', 'peft', 'sqlglot', 'matplotlib'}"
    code = f"import sys; from cmat_env.cli import main; main(['--help']); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert "[]" == done.stdout.splitlines()[-1]
    assert [] == [name for name in ("list", "eval", "play", "replay", "doctor") if f" {name} " not in done.stdout]


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`cmat eval ... --json - | head -1` ends without a traceback."""
    command = f"{sys.executable} -m cmat_env.cli eval cmat/DB-v0 --assistant gold --episodes 300 --json - | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)

    assert "{" == done.stdout.strip()
    assert "Traceback" not in done.stderr
