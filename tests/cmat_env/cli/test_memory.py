"""`cmat memory`: what is in a file can be seen, removed and taken elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmat_env.agents.memory_store import LongTermMemory, NewMemory
from cmat_env.cli import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two memories of the assistant and one of the checker."""
    path = tmp_path / "memory.sqlite"
    with LongTermMemory(path) as memory:
        memory.add([NewMemory("assistant", "cmat/DB-v0", "Quote \x1b[31mnames."), NewMemory("checker", "f", "Look.")])
    with LongTermMemory(path, namespace="b") as memory:
        memory.add([NewMemory("assistant", "f", "Elsewhere.")])
    return path


def test_list_and_show(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All or a part; a memory's words steer no terminal."""
    assert 0 == main(["memory", "list", str(file)])
    everything = capsys.readouterr().out
    assert 0 == main(["memory", "list", str(file), "--role", "assistant", "--namespace", "b"])
    part = capsys.readouterr().out
    assert 0 == main(["memory", "show", str(file), "1"])
    one = capsys.readouterr().out

    assert "3 memories" in everything
    assert "Look." in everything
    assert "\x1b" not in everything + one
    assert ("Elsewhere." in part, "Look." in part, "1 memories" in part) == (True, False, True)
    assert "retention    1.0" in one


def test_what_is_left_is_never_told_by_the_wrong_clock(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ages that are counted in seconds cannot be told from the number of episodes: there is no figure then."""
    with LongTermMemory(file, namespace="hours", clock=lambda: 1e9) as memory:
        memory.add([NewMemory("user", "f", "Late.")])
        memory.tick(10_000)
    with LongTermMemory(file) as memory:
        memory.tick(200)
    assert 0 == main(["memory", "list", str(file)])
    listed = {line.split()[-1]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert 0 == main(["memory", "show", str(file), "4"])
    shown = capsys.readouterr().out
    assert 0 == main(["memory", "export", str(file), "--namespace", "hours"])
    exported = json.loads(capsys.readouterr().out)

    assert ["0.37", "1.00", "-"] == [listed[text][5] for text in ("Look.", "Elsewhere.", "Late.")]
    assert "retention    not known" in shown
    assert exported["retention"] is None
    assert 0 == main(["memory", "forget", str(file), "4"])


def test_a_namespace_is_named_where_there_are_several(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And is no news where there is one."""
    assert 0 == main(["memory", "list", str(file)])
    both = capsys.readouterr().out.splitlines()
    assert 0 == main(["memory", "list", str(file), "--namespace", "b"])
    one = capsys.readouterr().out.splitlines()

    assert ["id", "namespace", "role", "family", "kind", "left", "uses", "helped", "text"] == both[0].split()
    of_text = {line.split()[-1]: line.split() for line in both}
    assert ["shared", "b"] == [of_text[text][1] for text in ("Look.", "Elsewhere.")]
    assert ["id", "role", "family", "kind", "left", "uses", "helped", "text"] == one[0].split()


def test_forget(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that are named or all of a kind; an id that is missing stops it before anything is gone."""
    assert 2 == main(["memory", "forget", str(file)])
    assert 2 == main(["memory", "forget", str(file), "1", "99"])
    assert "no memory 99; nothing was forgotten" in capsys.readouterr().err
    assert 0 == main(["memory", "forget", str(file), "1"])
    assert 0 == main(["memory", "forget", str(file), "--all", "--role", "checker"])

    with LongTermMemory(file) as memory:
        assert ["Elsewhere."] == [entry.text for entry in memory.entries()]


def test_export(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON lines, into a file or the standard output."""
    assert 0 == main(["memory", "export", str(file), "--family", "f"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert 0 == main(["memory", "export", str(file), str(tmp_path / "out.jsonl")])

    assert [("Look.", 1.0), ("Elsewhere.", 1.0)] == [(line["text"], line["retention"]) for line in lines]
    assert 3 == len((tmp_path / "out.jsonl").read_text().splitlines())


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And is not made."""
    assert 2 == main(["memory", "list", str(tmp_path / "none")])
    assert "no such memory" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
