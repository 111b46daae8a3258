"""Ready-made runs: the TOML files of `recipes/`, by name. The first line of each, a comment, says what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cmat_env.errors import UnknownNameError, did_you_mean
from cmat_env.tuning.config import RunSettings, load

RECIPES = Path(__file__).parent / "recipes"


def presets() -> Mapping[str, Path]:
    """The file of each, by name."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}


def summary_of(path: Path) -> str:
    """What a recipe does, in a line."""
    first, *_ = path.read_text(encoding="utf-8").splitlines()
    return first.removeprefix("#").strip()


def settings_of(name: str, overrides: Sequence[str] = ()) -> RunSettings:
    """The settings of a preset, or of a TOML file if the name is a path.

    Raises:
        UnknownNameError: it is neither.
        ConfigError: a setting is unknown or out of range.
    """
    known = presets()
    if name in known:
        return load(known[name], overrides)
    if name.endswith(".toml") or Path(name).exists():
        return load(Path(name), overrides)
    raise UnknownNameError(f"no preset is called {name!r}, and it is no .toml file; {did_you_mean(name, known)}")
