"""`cmat presets`, and the list of them below `cmat train --help`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand


def presets_command(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this one's settings as TOML.")] = None,
) -> None:
    """List the ready-made runs of `cmat train`, or print one, to begin a file of your own from."""
    from cmat_env.errors import UnknownNameError, did_you_mean  # noqa: PLC0415 - the command line starts light
    from cmat_env.tuning.presets import presets  # noqa: PLC0415

    known = presets()
    if name is None:
        print("\n".join(_lines()))
    elif name in known:
        print(known[name].read_text(encoding="utf-8"), end="")
    else:
        raise UnknownNameError(f"no preset is called {name!r}; {did_you_mean(name, known)}")


class ListsPresets(TyperCommand):
    """A command whose help ends with the presets."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help; what the presets are is read only now."""
        self.epilog = "\n\n".join(["Presets (cmat presets NAME prints one):", *_lines()])
        super().format_help(ctx, formatter)


def _lines() -> list[str]:
    from cmat_env.tuning.presets import presets, summary_of  # noqa: PLC0415

    known = presets()
    width = max(map(len, known))
    return [f"{name:{width}}  {summary_of(path)}" for name, path in known.items()]
