"""`cmat train` and `cmat demo`: tune a team, and show it as it happens."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cmat_env.tuning.config import RunSettings

Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run's folder.")]


def train_command(
    config: Annotated[str, typer.Argument(metavar="CONFIG.toml|PRESET", help="Such as tinyagent-nano-db.")],
    out: Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Such as seed=1 or tuner.algorithm=grpo.")
    ] = None,
) -> None:
    """Tune a team from the environment's reward."""
    from cmat_env.cli.extras import require_train  # noqa: PLC0415 - the command line starts without torch

    require_train()
    from cmat_env.tuning.config import load  # noqa: PLC0415
    from cmat_env.tuning.folder import CONFIG, RunFolder  # noqa: PLC0415
    from cmat_env.tuning.presets import settings_of  # noqa: PLC0415

    folder = out or Path("runs") / Path(config).stem
    RunFolder(folder).check(resume=resume)
    chosen = load(folder / CONFIG) if resume else settings_of(config, settings or [])
    _run(chosen, folder, resume=resume)
    print(f"saved in {folder}; look at an episode with: cmat replay {folder}")


def demo_command(
    quick: Annotated[bool, typer.Option("--quick", help="A smaller one, in under a minute.")] = False,
    out: Out = None,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 0,
) -> None:
    """The main job: a small model, made from scratch, learns to work a database in a team."""
    from cmat_env.cli.extras import require_train  # noqa: PLC0415

    require_train()
    from cmat_env.cli.live import show_change  # noqa: PLC0415
    from cmat_env.tuning.presets import settings_of  # noqa: PLC0415

    preset = "tinyagent-nano-db-quick" if quick else "tinyagent-nano-db"
    folder = out or _fresh(Path("runs") / ("demo-quick" if quick else "demo"))
    _run(settings_of(preset, [f"seed={seed}"]), folder, resume=False)
    show_change(folder)
    print(f"saved in {folder}; the learning curve: {folder / 'curve.png'}; every episode: cmat replay {folder}")


def _run(settings: RunSettings, folder: Path, *, resume: bool) -> None:
    from cmat_env.cli.live import Live  # noqa: PLC0415
    from cmat_env.tuning.run import Interrupted, Run  # noqa: PLC0415

    with _asked_to_stop() as stop, Live(settings) as live:
        try:
            Run(settings, folder, report=live.show, stop=lambda: bool(stop)).execute(resume=resume)
        except Interrupted:
            print(f"stopped; go on with: cmat train {folder}/config.toml --out {folder} --resume", file=sys.stderr)
            raise typer.Exit(130) from None


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that Ctrl-C fills, so that an update can end first; a second Ctrl-C stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("stopping after this step; press Ctrl-C again to stop at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _holds_run(folder: Path) -> bool:
    return (folder / "config.toml").exists()


def _fresh(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, ... that holds no run yet."""
    number, fresh = 1, folder
    while _holds_run(fresh):
        number += 1
        fresh = folder.with_name(f"{folder.name}-{number}")
    return fresh
