"""Disks of a test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Mount = Callable[..., None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """`mount(folder, "-o", "size=16384")`: a tmpfs until the test has ended, or mounted anew with "remount".

    Where this user may not mount one the test is skipped (the kernel's file-size limit is tested instead).
    """
    mounted: list[Path] = []

    def made(folder: Path, *options: str) -> None:
        command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting a tmpfs is not allowed here: {done.stderr.decode().strip()}")
        if folder not in mounted:
            mounted.append(folder)

    yield made
    for folder in reversed(mounted):
        subprocess.run(["umount", str(folder)], check=True)
