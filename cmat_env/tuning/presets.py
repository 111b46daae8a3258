"""Ready-made runs, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmat_env.errors import UnknownNameError, did_you_mean
from cmat_env.tuning.config import RunSettings, from_mapping, load, override

_JUDGE: Mapping[str, Any] = {
    "learning_rate": 1e-3,
    "credit": "turn",
    "gamma": 0.0,
    "lam": 0.0,
    "kl_beta": 0.01,
    "kl_target": 0.3,
}
"""A verdict is paid at once: nothing that comes later is to its credit, and one word has to move far from a coin's."""
_NANO_DB: Mapping[str, Any] = {
    "threads": 1,
    "iterations": 30,
    "evaluate_every": 0,
    "final_episodes": 300,
    "episodes": 128,
    "team": {"max_revisions": 2, "feedback": "verdict"},
    "task": {
        "env": "cmat/DB-v0",
        "train": "generated:train",
        "evaluate": "generated:heldout",
        "settings": {"level": 1, "max_rounds": 4, "max_observation": 48, "max_rows_shown": 4},
    },
    "warm_start": {
        "settings": {"demonstrator_error": 0.8},
        "sft": {"steps": 2000, "batch": 8, "learning_rate": 3e-3, "line_width": 192},
    },
    "tuner": {
        "learning_rate": 2e-4,
        "normalise": "turn",
        "kl_beta": 0.02,
        "kl_target": 0.06,
        "line_width": 192,
        "roles": {"checker": _JUDGE},
    },
}
_QUICK: Mapping[str, Any] = {
    **_NANO_DB,
    "iterations": 8,
    "episodes": 64,
    "evaluate_every": 0,
    "final_episodes": 100,
    "team": {**_NANO_DB["team"], "balance": 8},
    "task": {
        **_NANO_DB["task"],
        "settings": {**_NANO_DB["task"]["settings"], "families": ["count_all", "max", "min", "sum"]},
    },
    "model": {"layers": 2, "max_new_tokens": 32},
    "warm_start": {"episodes": 1200, "sft": {"steps": 320, "batch": 16, "line_width": 192}},
    "tuner": {
        "line_width": 192,
        "learning_rate": 2e-4,
        "value_warmup": 1,
        "warmup": 2,
        "roles": {"checker": _JUDGE},
    },
}
PRESETS: Mapping[str, Mapping[str, Any]] = {"tinyagent-nano-db": _NANO_DB, "tinyagent-nano-db-quick": _QUICK}


def settings_of(name: str, overrides: Sequence[str] = ()) -> RunSettings:
    """The settings of a preset, or of a TOML file if the name is a path.

    Raises:
        UnknownNameError: it is neither.
        ConfigError: a setting is unknown or out of range.
    """
    if name in PRESETS:
        return from_mapping(override(PRESETS[name], overrides), source=name)
    if name.endswith(".toml") or Path(name).exists():
        return load(Path(name), overrides)
    raise UnknownNameError(f"no preset is called {name!r}, and it is no .toml file; {did_you_mean(name, PRESETS)}")
