"""`cmat export`: recorded episodes for other people's tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

FORMATS = ("jsonl", "parquet", "prompts", "minari", "verifiers")


def export_command(
    source: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A log of episodes, or the folder of a run.")],
    *,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="jsonl, parquet, prompts, minari or verifiers.")],
    out: Annotated[str, typer.Option(metavar="FILE|ID", help="A file; for minari an id such as cmat/db_gold-v0.")],
    role: Annotated[str, typer.Option(help="Whose dialogues; several with commas between, but one for minari.")] = (
        "assistant"
    ),
    solved: Annotated[bool, typer.Option("--solved", help="Only episodes that were solved.")] = False,
) -> None:
    """Write a role's dialogues as chat rows (JSONL or Parquet), as prompts with rewards, or as a Minari dataset.

    Or whole episodes as verifiers' traces, in which the traces of these roles are trainable.
    """
    from cmat_env import exports  # noqa: PLC0415 - the command line starts without its workers
    from cmat_env.chat_rows import rows_of  # noqa: PLC0415
    from cmat_env.log import read_episodes  # noqa: PLC0415

    if to not in FORMATS:
        raise UnknownNameError(f"no format is called {to!r}; {did_you_mean(to, FORMATS)}")
    roles = tuple(each.strip() for each in role.split(","))
    episodes = [record.trajectory for record in read_episodes(source)]
    episodes = [episode for episode in episodes if episode.success or not solved]
    if to == "minari":
        if len(roles) != 1:
            raise ConfigError(f"--role {role}: a Minari dataset has one agent; export the roles one by one")
        dataset = exports.to_minari(episodes, out, role=roles[0])
        print(f"{dataset.total_episodes} episodes, {dataset.total_steps} steps: minari.load_dataset({out!r})")
        return
    rows = list(rows_of(episodes, roles))
    if not rows:
        raise ConfigError(f"no episode of {source} has a word of {role}{' and is solved' if solved else ''}")
    write = {"jsonl": exports.to_jsonl, "parquet": exports.to_parquet, "prompts": exports.to_prompts}
    try:
        if to == "verifiers":
            print(f"{exports.to_verifiers(episodes, Path(out), roles=roles)} episodes: {out}")
            return
        count = write[to](rows, Path(out))
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror or error}; choose another place") from error
    print(f"{count} dialogues of {role}: {out}")
