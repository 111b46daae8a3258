"""Files and folders that are whole or not there."""

from __future__ import annotations

import errno
import os
import shutil
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from cmat_env import durable


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The new content, and nothing beside it."""
    path = tmp_path / "a"
    for data in (b"one", b"two"):
        durable.write_file(path, data)

    assert b"two" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk says no when the data should reach it: the old content, and nothing beside it."""
    path = tmp_path / "a"
    durable.write_file(path, b"old")

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        durable.write_file(path, b"new")
    assert b"old" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_folder_is_there_when_it_is_full(tmp_path: Path) -> None:
    """Not before its block ends; then in place of the one of before, sub-folders and all."""
    path = tmp_path / "deep" / "a"
    for text in ("one", "two"):
        with durable.new_folder(path) as partial:
            (partial / "sub").mkdir()
            (partial / "sub" / text).write_text(text)
            assert (text == "two") == path.exists()

    assert ["two"] == [part.name for part in (path / "sub").iterdir()]
    assert [path] == list(path.parent.iterdir())


def test_a_folder_that_was_not_filled_leaves_the_old_one(tmp_path: Path) -> None:
    """Whatever ended the block; half of what a crash left there before is not in the new one."""
    path = tmp_path / "a"
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / "half").touch()
    with durable.new_folder(path) as partial:
        (partial / "whole").touch()
    with pytest.raises(KeyboardInterrupt), durable.new_folder(path) as partial:
        (partial / "other").touch()
        raise KeyboardInterrupt

    assert ["whole"] == [part.name for part in path.iterdir()]
    assert [path] == list(tmp_path.iterdir())


def test_everything_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, then folders from the inside, then the rename, then the list of names that holds it."""
    seen: list[str] = []
    sync, replace = durable.sync, Path.replace

    def noted_sync(path: Path) -> None:
        seen.append(path.name)
        sync(path)

    def noted_replace(path: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(path, target)

    monkeypatch.setattr(durable, "sync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    with durable.new_folder(tmp_path / "a") as partial:
        (partial / "file").touch()

    assert ["file", "a.partial", "rename", tmp_path.name] == seen


def test_a_folder_loses_its_name_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that is ended half-way leaves something that is known as a left-over, and is removed later."""
    path = tmp_path / "a"
    path.mkdir()
    (path / "part").touch()
    (tmp_path / "b.partial").touch()
    (tmp_path / "kept").touch()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, ignore_errors=False: None)
        durable.remove_folder(path)
    assert ["a.old", "b.partial", "kept"] == sorted(part.name for part in tmp_path.iterdir())

    durable.remove_leftovers(tmp_path)
    assert ["kept"] == [part.name for part in tmp_path.iterdir()]
    durable.remove_leftovers(tmp_path / "nowhere")


class _Filling(FileIO):
    """A file on a disk that takes three more bytes."""

    def write(self, data: Any) -> int:
        """Three, then none."""
        if self.tell() >= 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(bytes(data)[:3]) or 0


def test_appending_is_all_or_nothing(tmp_path: Path) -> None:
    """What has fitted in is taken out again; the real disks are in test_log_places.py and test_resume.py."""
    path = tmp_path / "log"
    path.write_bytes(b"one")
    with _Filling(path, "ab") as file:
        with pytest.raises(OSError, match="No space left"):
            durable.append(file, b"four five")
        assert b"one" == path.read_bytes()
        durable.append(file, b"two")

    assert b"onetwo" == path.read_bytes()
