"""Files and folders that are whole or not there, also after a crash, a kill or on a disk that is full.

What is written gets its name only when all of it has reached the disk; what goes loses its name first. A name that ends
in `.partial` or `.old` is a left-over of a crash.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

_PARTIAL, _OLD = ".partial", ".old"


def write_file(path: Path, data: bytes) -> None:
    """Write a file, or leave the one of this name as it was.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(path.name + _PARTIAL)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill under another name, which becomes `path` when the block has ended well.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(path.name + _PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        for part in sorted(partial.rglob("*")):
            sync(part)
        sync(partial)
        if path.exists():
            remove_folder(path)
        partial.replace(path)
        sync(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def remove_folder(path: Path) -> None:
    """Remove a folder, at once as far as its name goes.

    Raises:
        OSError: it cannot be removed.
    """
    old = path.with_name(path.name + _OLD)
    shutil.rmtree(old, ignore_errors=True)
    path.replace(old)
    shutil.rmtree(old)


def remove_leftovers(folder: Path) -> None:
    """Remove what a crash left in a folder."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.endswith((_PARTIAL, _OLD)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def append(file: FileIO, data: bytes) -> None:
    """Append all of the data to an unbuffered file, or nothing.

    Raises:
        OSError: it cannot be written.
    """
    start, rest = file.seek(0, os.SEEK_END), memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) or 0 :]
    except OSError:
        file.truncate(start)
        raise


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
