"""Checkpoints of a run: whole or not there, verified when they are read; the latest few and the best are kept.

A checkpoint is a folder named after its iteration, with `state.pt` and a `manifest.json` of sizes and checksums. It
holds tensors and plain values, and reading it cannot run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cmat_env import durable
from cmat_env.errors import CheckpointError
from cmat_env.log import versions

SCHEMA = 2
STATE, MANIFEST = "state.pt", "manifest.json"
_BEFORE_SCHEMA_2 = "*.pt"


class DamagedError(CheckpointError):
    """A checkpoint is not what was written."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that has been read and verified.

    Attributes:
        path: its folder.
        iteration: after which it was written.
        score: success of the evaluation of this iteration; None if there was none.
        versions: of the packages that wrote it.
        state: what was saved.
    """

    path: Path
    iteration: int
    score: float | None
    versions: Mapping[str, str]
    state: dict[str, Any]


def save(
    folder: Path,
    iteration: int,
    state: Mapping[str, Any],
    *,
    keep: int = 2,
    keep_best: bool = True,
    score: float | None = None,
) -> Path:
    """Write the checkpoint of an iteration, then drop all but the latest few and the best.

    Args:
        folder: of all checkpoints.
        iteration: that is done.
        state: nested mappings and sequences of tensors and plain values.
        keep: how many of the latest stay.
        keep_best: does the one of the highest score stay as well?
        score: of this one.

    Raises:
        CheckpointError: it cannot be written; those before it are as they were.
    """
    path = folder / f"{iteration:06d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.sync(folder.parent)
        with durable.new_folder(path) as partial:
            with (partial / STATE).open("wb") as file:
                torch.save(dict(state), file)
            manifest = {
                "schema": SCHEMA,
                "iteration": iteration,
                "score": score,
                "versions": versions(),
                "files": {STATE: _fingerprint(partial / STATE)},
            }
            (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        drop_old(folder, keep=keep, keep_best=keep_best)
    except (OSError, RuntimeError) as error:  # torch says RuntimeError of a disk that is full
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CheckpointError(
            f"{path} cannot be written: {reason}; the checkpoints before it are whole. Make room there, then go on "
            "with --resume"
        ) from error
    return path


def drop_old(folder: Path, *, keep: int, keep_best: bool) -> None:
    """Remove all checkpoints but the latest few and the best, and what a crash left of a removal or of a write.

    Raises:
        OSError: they cannot be removed.
    """
    durable.remove_leftovers(folder)
    best = best_of(folder) if keep_best else None
    for old in _all(folder)[:-keep]:
        if best is None or old != best[1]:
            durable.remove_folder(old)


def load(path: Path) -> Checkpoint:
    """Read one checkpoint and verify it.

    Raises:
        DamagedError: it is not what was written.
        CheckpointError: it is of another version.
    """
    manifest = _manifest(path)
    for name, wanted in manifest["files"].items():
        try:
            found = _fingerprint(path / name)
        except OSError as error:
            raise DamagedError(f"{path} is damaged: {name} cannot be read ({error.strerror})") from error
        for what in ("bytes", "sha256"):
            if found[what] != wanted.get(what):
                raise DamagedError(f"{path} is damaged: {name} has {what} {found[what]}; wanted {wanted.get(what)}")
    try:
        state = dict(torch.load(path / STATE, map_location="cpu", weights_only=True))
    except Exception as error:  # of many kinds, whatever the unpickler meets
        raise DamagedError(f"{path} is damaged: {STATE} holds no state ({error})") from error
    return Checkpoint(path, manifest["iteration"], manifest["score"], manifest["versions"], state)


def latest(folder: Path, *, on_damaged: Callable[[Path, str], None] | None = None) -> Checkpoint | None:
    """The latest checkpoint of a folder that is whole, or None if there is none at all.

    Args:
        folder: of all checkpoints.
        on_damaged: told of each later one that is damaged, and what is wrong with it; without it, the first such ends
            the search.

    Raises:
        DamagedError: one is damaged, and nobody is told; or all are.
        CheckpointError: one is of another version.
    """
    found = _all(folder)
    old = sorted(folder.glob(_BEFORE_SCHEMA_2))
    if old and not found:
        raise CheckpointError(_of_another_version(old[-1], 1))
    for path in reversed(found):
        try:
            return load(path)
        except DamagedError as error:
            if on_damaged is None:
                raise
            on_damaged(path, str(error))
    if found:
        raise DamagedError(
            f"no checkpoint in {folder} is whole; to train again from the warm start, remove {folder} and go on with "
            "--resume"
        )
    return None


def best_of(folder: Path) -> tuple[float, Path] | None:
    """The highest score of a folder's checkpoints, and the first that has it; None if none has one."""
    best: tuple[float, Path] | None = None
    for path in _all(folder):
        try:
            score = _manifest(path)["score"]
        except CheckpointError:
            continue
        if score is not None and (best is None or score > best[0]):
            best = score, path
    return best


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint, so that it is found by whoever looks for it and no longer counts."""
    aside = path.with_name(f"{path.name}.damaged")
    if aside.exists():
        durable.remove_folder(aside)
    return path.replace(aside)


def _all(folder: Path) -> list[Path]:
    """Every checkpoint, by iteration."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if path.is_dir() and path.name.isdecimal()), key=lambda path: int(path.name))


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path} is damaged: {MANIFEST} cannot be read ({error})") from error
    if not isinstance(manifest, dict) or "schema" not in manifest:
        raise DamagedError(f"{path} is damaged: {MANIFEST} names no schema")
    if manifest["schema"] != SCHEMA:
        raise CheckpointError(_of_another_version(path, manifest["schema"]))
    files = manifest.get("files")
    whole = isinstance(files, dict) and STATE in files and all(isinstance(known, dict) for known in files.values())
    if not whole or not {"iteration", "score", "versions"} <= manifest.keys():
        raise DamagedError(f"{path} is damaged: {MANIFEST} lacks what a manifest says")
    return manifest


def _of_another_version(path: Path, schema: object) -> str:
    return (
        f"{path} is a checkpoint of schema {schema!r}; this cmat-env ({versions()['cmat-env']}) reads schema {SCHEMA}. "
        "Go on with the version that wrote it, or train anew into another --out"
    )
