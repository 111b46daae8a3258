"""Checkpoints of a run: everything that an update changes, written atomically.

A checkpoint is one file. It is written under another name and renamed when it is whole, so that a crash leaves the
older one intact.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from cmat_env.errors import CheckpointError

SCHEMA = 1
KEEP = 2


def save(folder: Path, iteration: int, state: dict[str, Any]) -> Path:
    """Write the checkpoint of an iteration and drop all but the latest few.

    Raises:
        CheckpointError: it cannot be written.
    """
    path = folder / f"{iteration:06d}.pt"
    partial = path.with_suffix(".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save({"schema": SCHEMA, "iteration": iteration, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch says RuntimeError of a disk that is full
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"{path} cannot be written: {error}") from error
    for old in sorted(folder.glob("*.pt"))[:-KEEP]:
        old.unlink()
    return path


def latest(folder: Path) -> dict[str, Any] | None:
    """The latest checkpoint of a folder, or None if there is none.

    Raises:
        CheckpointError: it is damaged or of another version.
    """
    paths = sorted(folder.glob("*.pt"))
    if not paths:
        return None
    path = paths[-1]
    try:
        state: dict[str, Any] = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise CheckpointError(f"{path} is damaged ({error}); remove it to go on from the one before it") from error
    if state.get("schema") != SCHEMA:
        raise CheckpointError(f"{path} has schema {state.get('schema')!r}; this version reads schema {SCHEMA}")
    return state
