"""`cmat list` and `cmat doctor`: what is there, what is missing, and how to get it."""

from __future__ import annotations

import sqlite3
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from cmat_env.cli import info, main


def test_list_names_environments_and_policies(capsys: pytest.CaptureFixture[str]) -> None:
    """Every word that a command takes."""
    assert 0 == main(["list"])
    shown = capsys.readouterr().out.split()

    assert [] == [name for name in ("cmat/DB-v0", "gold", "coin:P", "hf:PATH[@ADAPTER]") if name not in shown]


def test_doctor_is_content_here(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the tests run, everything that cmat-env needs is installed."""
    assert 0 == main(["doctor"])
    shown = capsys.readouterr().out

    assert [] == [
        name for name in ("python", sqlite3.sqlite_version, "gymnasium", "torch", "cores") if name not in shown
    ]


def test_doctor_says_how_to_install_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An extra is a hint; a core package or an old SQLite is a failure."""

    def absent(name: str) -> str:
        if name in ("torch", "rich"):
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(info, "version", absent)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 30, 0))

    assert 1 == main(["doctor"])
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["torch"].startswith("-  ")
    assert lines["torch"].endswith("pip install 'cmat-env[train]'")
    assert lines["rich"].startswith("no ")
    assert lines["sqlite"].startswith("no ")


def test_doctor_names_the_pythons_that_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too old or too new."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 0, "final", 0))

    assert 1 == main(["doctor"])
    assert "use Python 3.11 to 3.13" in capsys.readouterr().out
