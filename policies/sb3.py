"""A role played by a model of Stable-Baselines3 that chooses from a menu; saved and loaded as a folder.

The folder has the model (`model.zip`, SB3's own file) and `menu.json`: which algorithm, menu and features, and for
which role of which environment.
SB3's file holds a pickle: load a folder only from where you would run a program from.
"""

from __future__ import annotations

import importlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cmat_env.errors import CheckpointError, ConfigError, MissingExtraError, did_you_mean
from cmat_env.policies.features import MenuFeatures
from cmat_env.policies.menus import Menu, menu_of
from cmat_env.types import Dialogue, Generation, Policy, Task

MODEL, MENU = "model.zip", "menu.json"
_ALGORITHMS = {
    "PPO": "stable_baselines3",
    "A2C": "stable_baselines3",
    "DQN": "stable_baselines3",
    "MaskablePPO": "sb3_contrib",
}


class SB3Policy:
    """Chooses, at each turn of its role, the text that the model prefers.

    Args:
        model: an SB3 algorithm that was trained on a `MenuEnv` of the same menu and features.
        menu: what it chooses from.
        features: what it sees.
        role: whom it was trained to play, for the folder.
        env_id: in which environment, likewise.
    """

    def __init__(self, model: Any, menu: Menu, features: MenuFeatures, *, role: str = "", env_id: str = "") -> None:
        self.model, self.menu, self.features = model, menu, features
        self.role, self.env_id = role, env_id

    @classmethod
    def load(cls, folder: Path | str, *, role: str) -> SB3Policy:
        """From what `save` wrote.

        Args:
            folder: where it is.
            role: whom it will play, and what policies of its menu will.

        Raises:
            MissingExtraError: SB3 is not installed.
            CheckpointError: the folder is not one of these, or what it holds cannot be read.
            ConfigError: it was trained to play another role.
        """
        place = Path(folder)
        try:
            facts = json.loads((place / MENU).read_text(encoding="utf-8"))
            algorithm, features = str(facts["algorithm"]), MenuFeatures(**facts["features"])
            spec, trained_as, env_id = str(facts["menu"]), str(facts.get("role", "")), str(facts.get("env", ""))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"{place} holds no SB3 model for a menu ({error}); give a folder that SB3Policy.save wrote"
            ) from error
        if trained_as and trained_as != role:
            raise ConfigError(
                f"{place} was trained to be the {trained_as} and cannot be the {role}; "
                f"give --{trained_as} sb3:{place}, or train a {role} with cmat sb3"
            )
        kind = algorithm_of(algorithm)
        try:
            model = kind.load(place / MODEL, device="cpu")
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"{place / MODEL} cannot be read: {error}") from error
        return cls(model, menu_of(spec, partial(_policy, role=role)), features, role=role, env_id=env_id)

    def save(self, folder: Path | str) -> None:
        """Write the model, and all that it needs to play, into a folder.

        Raises:
            ConfigError: the algorithm is not among those that can be loaded.
        """
        name = type(self.model).__name__
        _check_algorithm(name)
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        self.model.save(place / MODEL)
        facts = {"algorithm": name, "menu": self.menu.spec, "features": asdict(self.features)}
        facts |= {"role": self.role, "env": self.env_id}
        (place / MENU).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Let the menu meet the task, for what can be done in it."""
        self.menu.begin(dialogue, task)

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Choose for each dialogue."""
        return [self._answer(dialogue, seed) for dialogue in dialogues]

    def _answer(self, dialogue: Dialogue, seed: int) -> Generation:
        choices = self.menu.choices(dialogue, seed=seed)[: self.features.size]
        index = chosen(self.model, self.features.of(dialogue, choices), mask_of(len(choices), self.features.size))
        return self.menu.answer(dialogue, choices[index % len(choices)], seed=seed)[0]


def chosen(model: Any, vector: Any, mask: Any) -> int:
    """The index that the model likes best; only those of a maskable algorithm heed the mask."""
    settings = {"action_masks": mask} if type(model).__name__ == "MaskablePPO" else {}
    action, _ = model.predict(vector, deterministic=True, **settings)
    return int(action)


def mask_of(choices: int, size: int) -> Any:
    """(size,) bool, True = there is such a choice."""
    return np.arange(size) < choices


def algorithm_of(name: str) -> Any:
    """The class of an SB3 algorithm.

    Raises:
        ConfigError: its models cannot play here.
        MissingExtraError: it is not installed.
    """
    _check_algorithm(name)
    try:
        return getattr(importlib.import_module(_ALGORITHMS[name]), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(error.name or "stable-baselines3", "sb3") from error


def _check_algorithm(name: str) -> None:
    if name not in _ALGORITHMS:
        raise ConfigError(f"a model of {name!r} cannot play from a menu; {did_you_mean(name, _ALGORITHMS)}")


def _policy(spec: str, *, role: str, greedy: bool = True) -> Policy:
    from cmat_env.policies.spec import parse_spec  # noqa: PLC0415 - that module also makes policies of this one

    return parse_spec(spec, role=role, greedy=greedy)
