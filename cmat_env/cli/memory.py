"""`cmat memory list | show | forget | export`: look after a file of long-term memories."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmat_env.errors import ConfigError
from cmat_env.terminal import printable

if TYPE_CHECKING:
    from cmat_env.agents.memory_store import LongTermMemory, MemoryEntry

memory_app = typer.Typer(no_args_is_help=True, help="Long-term memories: look at them, forget them, export them.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A memory, as cmat eval --memory and cmat train write it.")]
Role = Annotated[str | None, typer.Option(help="Only those of this role.")]
Family = Annotated[str | None, typer.Option(metavar="ENV", help="Only those of this family of tasks.")]
Namespace = Annotated[str | None, typer.Option(metavar="NAME", help="Only those of this namespace.")]


@memory_app.callback()
def _commands() -> None:
    """Long-term memories: look at them, forget them, export them."""


@memory_app.command("list")
def list_command(file: File, *, role: Role = None, family: Family = None, namespace: Namespace = None) -> None:
    """One line a memory: what is left of it, how often it was recalled and helped, and its words.

    A namespace is shown where there are several. What is left is not known (-) of one that is kept by another clock
    than its episodes.
    """
    from rich.console import Console  # noqa: PLC0415 - the command line starts without its workers
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    with _opened(file) as memory:
        found = memory.entries(role=role, family=family, namespace=namespace)
        left = {entry.id: _left(memory, entry) for entry in found}
    several = ["namespace"] if len({entry.namespace for entry in found}) > 1 else []
    columns = ("id", *several, "role", "family", "kind", "left", "uses", "helped", "text")
    for name in columns:
        table.add_column(name, justify="right" if name in ("id", "left", "uses", "helped") else "left", overflow="fold")
    for entry in found:
        share = left[entry.id]
        cells = asdict(entry) | {"left": "-" if share is None else f"{share:.2f}"}
        table.add_row(*(Text(printable(str(cells[name]))) for name in columns))
    console = Console()
    if found:
        console.print(table)
    console.print(Text(f"{len(found)} memories"))


@memory_app.command("show")
def show_command(file: File, number: Annotated[int, typer.Argument(metavar="ID", help="Its number.")]) -> None:
    """Everything that is known of one memory."""
    with _opened(file) as memory:
        entry = memory.get(number)
        if entry is None:
            raise ConfigError(f"{file} has no memory {number}; cmat memory list {file} shows which it has")
        left = _left(memory, entry)
        known = "not known: kept by another clock than the episodes" if left is None else round(left, 4)
        for name, value in (asdict(entry) | {"retention": known}).items():
            print(f"{name:<12} {printable(str(value))}")


@memory_app.command("forget")
def forget_command(
    file: File,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="Which ones.")] = None,
    *,
    role: Role = None,
    family: Family = None,
    namespace: Namespace = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the other options leave.")] = False,
) -> None:
    """Remove memories: those that are named, or with --all every one of a role, a family or a namespace."""
    if bool(numbers) == everything or (numbers and (role or family or namespace)):
        raise ConfigError("which memories? give their ids, or --all with or without --role, --family, --namespace")
    with _opened(file, read_only=False) as memory:
        chosen = numbers or [entry.id for entry in memory.entries(role=role, family=family, namespace=namespace)]
        missing = [number for number in chosen if memory.get(number) is None]
        if missing:
            raise ConfigError(f"{file} has no memory {missing[0]}; nothing was forgotten")
        print(f"{memory.forget(chosen)} memories forgotten")


@memory_app.command("export")
def export_command(
    file: File,
    to: Annotated[str, typer.Argument(metavar="TO", help="A file of JSON lines; - = standard output.")] = "-",
    *,
    role: Role = None,
    family: Family = None,
    namespace: Namespace = None,
) -> None:
    """Write memories as JSON lines, one a line."""
    with _opened(file) as memory:
        lines = [
            json.dumps(_line(memory, entry), ensure_ascii=False)
            for entry in memory.entries(role=role, family=family, namespace=namespace)
        ]
    text = "".join(f"{line}\n" for line in lines)
    if to == "-":
        sys.stdout.write(text)
        return
    try:
        Path(to).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{to} cannot be written: {error.strerror or error}; choose another place") from error
    print(f"{to}: {len(lines)} memories")


def _opened(file: Path, *, read_only: bool = True) -> LongTermMemory:
    from cmat_env.agents.memory_store import LongTermMemory  # noqa: PLC0415

    if not file.is_file():
        raise ConfigError(
            f"{file}: no such memory; write one with: cmat eval ENV --trials 2 --memory {file} --continual"
        )
    return LongTermMemory(file, read_only=read_only)


def _left(memory: LongTermMemory, entry: MemoryEntry) -> float | None:
    """Retention by the clock of the memory's own namespace; None where that is not in the file."""
    if memory.other_clock(entry.namespace):
        return None
    return entry.retention(memory.episodes(entry.namespace))


def _line(memory: LongTermMemory, entry: MemoryEntry) -> dict[str, Any]:
    return asdict(entry) | {"retention": _left(memory, entry)}
