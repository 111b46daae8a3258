"""`cmat doctor ENV --model FOLDER`: do the invariants of training hold for this task and this model?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import typer

from cmat_env.cli.options import settings_of
from cmat_env.errors import ConfigError, did_you_mean
from cmat_env.terminal import printable

_MARKS = {True: "ok ", False: "no ", None: "-  "}


def check(env: str, *, model: Path | None, adapter: str, episodes: int, settings: Sequence[str]) -> None:
    """Print a line for each invariant, as it is known.

    Raises:
        ConfigError: there is no such adapter.
        Exit: with status 1 if one does not hold.
    """
    from cmat_env.doctor import Adapter, examine  # noqa: PLC0415 - the command line starts without its workers

    if adapter not in get_args(Adapter):
        raise ConfigError(f"--adapter {adapter!r} is unknown; {did_you_mean(adapter, get_args(Adapter))}")
    made_with = settings_of(settings, flags=("roles",))
    broken = 0
    for finding in examine(env, settings=made_with, model=model, adapter=adapter, episodes=episodes):  # type: ignore[arg-type]  # checked above
        advice = f"  -> {finding.advice}" if finding.advice and finding.holds is not True else ""
        print(f"{_MARKS[finding.holds]} {finding.name:<18} {printable(finding.value)}{advice}", flush=True)
        broken += finding.holds is False
    if broken:
        raise typer.Exit(1)
