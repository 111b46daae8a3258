"""`cmat curate`: training data out of episode logs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cmat_env.errors import ConfigError


def curate_command(
    logs: Annotated[list[Path], typer.Argument(metavar="DIR|FILE...", help="Run folders or episode logs.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where data and card go.")],
    roles: Annotated[str, typer.Option(help="Whose dialogues, such as assistant,checker.")] = "assistant",
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", metavar="SRC", help="A task file that is for training, too; may be repeated."),
    ] = None,
    unsolved: Annotated[bool, typer.Option("--unsolved", help="Also episodes that were not solved.")] = False,
    unaccepted: Annotated[
        bool, typer.Option("--unaccepted", help="Also episodes with actions that the checker had refused.")
    ] = False,
) -> None:
    """Take verified examples and preference pairs from logs, without duplicates and held-out tasks, with a data card.

    Record what to take with cmat eval --record: of oracles (demonstrations) or of models (rejection sampling).
    """
    from cmat_env.curate import TRAIN, Rules, curate, read_logs  # noqa: PLC0415
    from cmat_env.curate_files import card, write  # noqa: PLC0415
    from cmat_env.order import ROLES  # noqa: PLC0415

    named = tuple(role.strip() for role in roles.split(","))
    for role in named:
        if role not in ROLES:
            raise ConfigError(f"--roles {roles}: no role is called {role!r}; known: {', '.join(ROLES)}")
    rules = Rules(named, (TRAIN, *(tasks or ())), solved=not unsolved, accepted=not unaccepted)
    found = curate(read_logs(logs, on_torn=lambda text: print(text, file=sys.stderr)), rules)
    sources = [str(log) for log in logs]
    facts = card(found, rules=rules, sources=sources)
    if not found.examples and not found.pairs:
        reasons = "; ".join(f"{count} {reason}" for reason, count in found.left_out.items())
        raise ConfigError(f"nothing was taken of {found.read} episodes ({reasons or 'none has a reply to learn'})")
    write(found, out, rules=rules, sources=sources)
    print(
        f"{facts['examples']} examples, {facts['messages to learn']} messages to learn, {facts['pairs']} pairs in {out}"
    )
    for reason, count in found.left_out.items():
        print(f"left out: {count} episodes, {reason}")
