"""Disks of a test's own, and a browser."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

Mount = Callable[..., None]
Photograph = Callable[[Path, int, int], npt.NDArray[np.float32]]


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


@pytest.fixture
def photograph(chromium: str, tmp_path: Path) -> Photograph:
    """`photograph(page, width, height)`: the picture of a page as Chromium draws it, (H, W, 3), from 0 to 1."""

    def taken(page: Path, width: int, height: int) -> npt.NDArray[np.float32]:
        flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
        picture = tmp_path / f"{page.stem}.png"
        subprocess.run(
            [
                *(chromium, *flags.split(), "--disable-component-update", "--disable-sync"),
                *("--hide-scrollbars", f"--window-size={width},{height}", f"--user-data-dir={tmp_path / 'profile'}"),
                *(f"--screenshot={picture}", page.resolve().as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=240,
        )
        from matplotlib.image import imread  # noqa: PLC0415 - half a second

        return np.asarray(imread(picture), dtype=np.float32)[..., :3]

    return taken
