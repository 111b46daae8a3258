"""`cmat list` and `cmat doctor`: what is there, and what is missing."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated

import typer

PYTHONS = ((3, 11), (3, 13))
SQLITE = (3, 37, 0)


def list_command() -> None:
    """List the environments, the board games, and the words that name policies."""
    from cmat_env.game import game_ids  # noqa: PLC0415 - the command line starts without its workers
    from cmat_env.policies.spec import names  # noqa: PLC0415
    from cmat_env.registry import list_envs, spec  # noqa: PLC0415

    print("environments")
    for env_id in list_envs():
        chosen = spec(env_id)
        needs = f"  needs {chosen.missing}: pip install 'cmat-env[{chosen.extra}]'" if chosen.missing else ""
        print(f"  {env_id}{needs}")
    print("games of two players, --first and --second")
    for game in game_ids():
        print(f"  {game}")
    print("policies")
    for name in names():
        print(f"  {name}")


def doctor_command(
    env: Annotated[
        str | None, typer.Argument(metavar="[ENV]", help="Check the invariants of training on this environment too.")
    ] = None,
    *,
    model: Annotated[Path | None, typer.Option(metavar="FOLDER", help="And of this model on it.")] = None,
    adapter: Annotated[str, typer.Option(help="What each role owns of the model: lora, full or ptuning.")] = "lora",
    episodes: Annotated[int, typer.Option(min=2, help="How many are played.")] = 6,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task; may be repeated.")
    ] = None,
) -> None:
    """Say what is installed, what is missing, and how to install it; with ENV, check a task and a model.

    Exit status 1: something that cmat-env needs is missing, or an invariant does not hold.
    """
    if env is not None or model is not None:
        from cmat_env.cli.invariants import check  # noqa: PLC0415

        check(env or "cmat/DB-v0", model=model, adapter=adapter, episodes=episodes, settings=settings or ())
        return
    healthy = True
    for label, value, advice in _findings():
        healthy = healthy and not (advice or "").startswith("!")
        mark = "ok " if not advice else "no " if advice.startswith("!") else "-  "
        print(f"{mark} {label:<14} {value}" + (f"  -> {advice.lstrip('!')}" if advice else ""))
    if not healthy:
        raise typer.Exit(1)


def _findings() -> Iterator[tuple[str, str, str | None]]:
    """What, how it is, and advice: None = well, leading "!" = cmat-env cannot work without it."""
    low, high = PYTHONS
    supported = low <= sys.version_info[:2] <= high
    wanted = None if supported else f"!use Python {low[0]}.{low[1]} to {high[0]}.{high[1]}"
    yield "python", f"{platform.python_version()} ({sys.executable})", wanted
    yield "system", f"{platform.system()} {platform.machine()}", None
    old = sqlite3.sqlite_version_info < SQLITE
    lacks = not hasattr(sqlite3.Connection, "deserialize")
    sqlite_advice = "!use a Python whose sqlite3 is 3.37 or newer and has deserialize" if old or lacks else None
    yield "sqlite", sqlite3.sqlite_version, sqlite_advice
    threads = os.environ.get("OMP_NUM_THREADS")
    cores = os.cpu_count() or 1
    yield "cores", str(cores), None
    advice = None if threads else "small models on shared cores run faster with OMP_NUM_THREADS=1"
    yield "threads", f"OMP_NUM_THREADS={threads or 'unset'}", advice
    for extra, package in _packages():
        try:
            yield package, version(package), None
        except PackageNotFoundError:
            how = f"pip install 'cmat-env[{extra}]'" if extra else "!pip install cmat-env"
            yield package, "not installed", how
    from cmat_env.envs.operating_system.doctor import findings  # noqa: PLC0415

    yield from findings()


def _packages() -> Iterator[tuple[str, str]]:
    """(extra, package) of everything that cmat-env declares, each package once; extra is "" for the core."""
    yield "", "cmat-env"
    seen = {"cmat-env"}
    for requirement in requires("cmat-env") or ():
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", requirement)
        if name and name[0].lower() not in seen:
            seen.add(name[0].lower())
            yield (extra[1] if extra else ""), name[0]
