"""What a checkpoint of a run consists of: parts with a state each, saved and restored by name.

What a run draws at random depends on its seed and on counters alone (the task stream on the iteration, tokens on the
episode, the order of minibatches on the iteration and the role), so that the counters are its random state. The global
generators are saved all the same, for a task or a model of a user's own that draws from them.
"""

from __future__ import annotations

import hashlib
import random
import time
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from cmat_env.errors import CheckpointError
from cmat_env.policies.adapters import RoleModels
from cmat_env.tuning.checkpoint import Checkpoint
from cmat_env.tuning.config import RunSettings, to_toml


class Stateful(Protocol):
    """A part of a run that a checkpoint holds; its state is nested mappings, sequences, tensors and plain values."""

    def state_dict(self) -> Any:
        """A copy of the state."""

    def load_state_dict(self, state: Any, /) -> Any:
        """The inverse of `state_dict`."""


def collect(parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """The state of every part, by name."""
    return {name: part.state_dict() for name, part in parts.items()}


def restore(found: Checkpoint, parts: Mapping[str, Stateful]) -> None:
    """Put every part, in this order, into the state of a checkpoint.

    Raises:
        CheckpointError: a part is missing there, or its state does not fit.
    """
    for name, part in parts.items():
        if name not in found.state:
            raise CheckpointError(
                f"{found.path} holds no state of {name!r}; it holds {', '.join(sorted(found.state)) or 'none'}. Was it "
                "written by another run?"
            )
        try:
            part.load_state_dict(found.state[name])
        except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"{found.path}: its {name} do not fit this run ({error}); if the run's config.toml was changed, change "
                "it back, or train anew into another --out"
            ) from error


class FrozenBase:
    """The weights that tuning never changes: not saved, but compared, since everything learned stands on them."""

    def __init__(self, weights: RoleModels) -> None:
        self._weights = weights
        self._digest = ""

    def state_dict(self) -> str:
        """SHA-256 of the base's own parameters; reckoned once, since they are frozen."""
        self._digest = self._digest or self._reckon()
        return self._digest

    def load_state_dict(self, state: str) -> None:
        """Compare."""
        if state != self.state_dict():
            raise CheckpointError(
                "the model that the run began from is not the one of its checkpoints; put back warm_start/, or the "
                "folder that model.path names, or train anew into another --out"
            )

    def _reckon(self) -> str:
        digest = hashlib.sha256()
        weights = self._weights
        tuned = {id(parameter) for role in weights.roles for parameter in weights.policy_parameters(role)}
        for name, parameter in weights.base.named_parameters():
            if id(parameter) not in tuned:
                digest.update(name.encode())
                digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


class RandomStates:
    """The global generators of torch, numpy and Python."""

    def state_dict(self) -> dict[str, Any]:
        """Where each is."""
        numbers = np.random.get_state(legacy=False)
        assert isinstance(numbers, dict)
        key = torch.from_numpy(numbers["state"]["key"].astype(np.int64))
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy": {**numbers, "state": {**numbers["state"], "key": key}},
            "python": random.getstate(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Move each to where it was."""
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        numbers = state["numpy"]
        key = numbers["state"]["key"].numpy().astype(np.uint32)
        np.random.set_state({**numbers, "state": {**numbers["state"], "key": key}})
        random.setstate(state["python"])


class ProcessorTime:
    """What a run has taken, over all processes that worked on it."""

    def __init__(self) -> None:
        self._before, self._started = 0.0, time.process_time()

    @property
    def seconds(self) -> float:
        """Until now."""
        return self._before + time.process_time() - self._started

    def state_dict(self) -> float:
        """See `seconds`."""
        return self.seconds

    def load_state_dict(self, state: float) -> None:
        """Count on from there."""
        self._before, self._started = float(state), time.process_time()


FIXED = ("team.roles", "team.learners", "model.adapter", "model.rank")
"""Settings that decide which weights there are."""


class KnownSettings:
    """The settings that a checkpoint was written under: they may be changed, but for `FIXED`, and which were is known.

    Attributes:
        changed: names of the settings that were other at the checkpoint.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._text = to_toml(settings)
        self.changed: list[str] = []

    def state_dict(self) -> str:
        """As TOML."""
        return self._text

    def load_state_dict(self, state: str) -> None:
        """Compare.

        Raises:
            CheckpointError: one that is fixed has been changed.
        """
        before, now = (dict(_flat(tomllib.loads(text))) for text in (state, self._text))
        self.changed = sorted(name for name in before | now if before.get(name) != now.get(name))
        for name in FIXED:
            if name in self.changed:
                raise CheckpointError(
                    f"{name}={now.get(name)!r} was {before.get(name)!r} when the checkpoint was written, and decides "
                    "which weights there are; change it back in the run's config.toml, or train anew into another --out"
                )


def _flat(section: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
