"""`cmat rootfs build`: make the root file system of the operating-system tasks' sandboxes."""

from __future__ import annotations

from typing import Annotated

import typer

rootfs_app = typer.Typer(no_args_is_help=True, help="Root file systems of sandboxes.")


@rootfs_app.callback()
def _commands() -> None:
    """Root file systems of sandboxes."""


@rootfs_app.command("build")
def build_command(
    *,
    suite: Annotated[str | None, typer.Option(help="Of Debian.")] = None,
    mirror: Annotated[str | None, typer.Option(metavar="URL", help="Of Debian packages.")] = None,
    include: Annotated[str, typer.Option(metavar="NAMES", help="More packages, with commas between them.")] = "",
) -> None:
    """Build a minimal Debian with the tools that tasks need, in your cache folder; sandboxes use it from then on."""
    from cmat_env.envs.operating_system.build import SUITE, build  # noqa: PLC0415 - the command line starts without it

    build(suite=suite or SUITE, mirror=mirror, extra=[name for name in include.split(",") if name])
