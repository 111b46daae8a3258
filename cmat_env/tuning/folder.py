"""The folder of a run.

FOLDER/config.toml      every setting, the defaults too
FOLDER/warm_start/      the model before tuning            FOLDER/final/    and after, each role's weights beside
FOLDER/best/            the model of the best evaluation, where that is not the final one
FOLDER/checkpoints/     to resume from                     FOLDER/episodes.jsonl   evaluation episodes
FOLDER/metrics.jsonl    one line an iteration              FOLDER/report.json, curve.png
FOLDER/training.jsonl   some training episodes, with the credit of their tokens
FOLDER/memory.sqlite    long-term memory, if there is one
FOLDER/tensorboard/     the metrics again, if wanted
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmat_env import durable
from cmat_env.errors import CheckpointError, ConfigError, LogError
from cmat_env.tuning.config import RunSettings, to_toml
from cmat_env.tuning.curve import METRICS

if TYPE_CHECKING:
    from cmat_env.policies.hf import HFPolicy

CONFIG, REPORT, MEMORY = "config.toml", "report.json", "memory.sqlite"
EPISODES, TRAINING = "episodes.jsonl", "training.jsonl"
CHECKPOINTS, WARM_START, FINAL, BEST = "checkpoints", "warm_start", "final", "best"
LOGS = (METRICS, TRAINING, EPISODES)
"""What only grows; a checkpoint holds how long each was."""


def warmed_up(settings: RunSettings) -> bool:
    """Does the run make the model that it tunes by a warm start?"""
    return not settings.model.path or settings.warm_start.given


def base_of(settings: RunSettings, folder: Path) -> str:
    """Where the model that a run in this folder tunes comes from."""
    return str(folder / WARM_START) if warmed_up(settings) else settings.model.path


class RunFolder:
    """Reads and writes the folder of a run; each file is whole or not there.

    Its state is the length of every log: restored to it, a log loses what was written after the checkpoint, and what a
    crash tore.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, *, resume: bool) -> None:
        """See whether a run can begin here, or go on, before anything is read or written.

        Raises:
            ConfigError: there is a run here already, or none to resume.
        """
        config = self.path / CONFIG
        if config.exists() and not resume:
            raise ConfigError(f"{self.path} holds a run already; resume it with --resume or choose another --out")
        if self.checkpoints.exists() and not config.exists():
            raise ConfigError(f"{self.path} holds checkpoints, but no {CONFIG}; put it back, or choose another --out")
        if resume and not config.exists():
            raise ConfigError(
                f"{self.path} holds no run to resume: {CONFIG} is missing; name the folder of a run with --out, or "
                "leave out --resume to begin one there"
            )

    @contextmanager
    def open(self, settings: RunSettings, *, resume: bool) -> Iterator[None]:
        """Begin a run here, or go on with it; for one process at a time.

        Raises:
            ConfigError: there is a run here already, or none to resume; it cannot be written to, or another process
                is at work.
        """
        self.check(resume=resume)
        config = self.path / CONFIG
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not resume:
                durable.write_file(config, to_toml(settings).encode())
            lock = FileIO(config)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written to: {error.strerror}; choose another --out") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(f"another process is training in {self.path}; stop it, or choose another") from error
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise ConfigError(
                    f"{self.path} cannot be written to: it is read-only; make it writable, or copy it elsewhere and "
                    "name the copy with --out"
                )
            durable.remove_leftovers(self.path)
            yield

    @property
    def checkpoints(self) -> Path:
        """Of tuning, to resume from."""
        return self.path / CHECKPOINTS

    def clear(self) -> None:
        """Remove logs and checkpoints of a run that begins anew.

        Raises:
            LogError: they cannot be removed.
        """
        self.load_state_dict({})
        with self._writing(CHECKPOINTS):
            if self.checkpoints.exists():
                durable.remove_folder(self.checkpoints)

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Add a line to the metrics.

        Raises:
            LogError: it cannot be written; the lines before it are whole.
        """
        with self._writing(METRICS), FileIO(self.path / METRICS, "ab") as file:
            durable.append(file, (json.dumps(line) + "\n").encode())

    def write_report(self, summary: Mapping[str, Any]) -> None:
        """Write what the run found.

        Raises:
            LogError: it cannot be written.
        """
        with self._writing(REPORT):
            durable.write_file(self.path / REPORT, (json.dumps(summary, indent=2) + "\n").encode())

    def save_model(self, policy: HFPolicy, name: str) -> None:
        """Write a policy into a sub-folder, in the Hugging Face format.

        Raises:
            LogError: it cannot be written.
        """
        with self._writing(name), durable.new_folder(self.path / name) as partial:
            policy.save(partial)

    def state_dict(self) -> dict[str, int]:
        """Length of every log in bytes, all of which is on the disk by then."""
        lengths = {}
        for name in LOGS:
            path = self.path / name
            if path.exists():
                durable.sync(path)
                lengths[name] = path.stat().st_size
        durable.sync(self.path)
        return lengths

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Cut every log back to its length of then; where it had none, it goes.

        Raises:
            CheckpointError: a log is shorter than it was.
        """
        for name in LOGS:
            path, wanted = self.path / name, state.get(name, 0)
            found = path.stat().st_size if path.exists() else 0
            if found < wanted:
                raise CheckpointError(
                    f"{path} has {found} bytes, but had {wanted} at the checkpoint; put back what was removed, or "
                    "train anew into another --out"
                )
        for name in LOGS:
            path, wanted = self.path / name, state.get(name, 0)
            with self._writing(name):
                if wanted:
                    os.truncate(path, wanted)
                else:
                    path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        from safetensors import SafetensorError  # noqa: PLC0415 - who only reads a run may lack it

        try:
            yield
        except (OSError, SafetensorError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise LogError(
                f"{self.path / name} cannot be written: {reason}; what was there is whole. Make room, then go on with "
                "--resume"
            ) from error
