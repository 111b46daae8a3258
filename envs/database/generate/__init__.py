"""Seeded generator of database tasks: a task is a pure function of split, level and seed."""

from __future__ import annotations

import random

from cmat_env.envs.database.backend import Table
from cmat_env.envs.database.generate.sheet import draw_sheet
from cmat_env.envs.database.generate.single import SINGLE
from cmat_env.envs.database.generate.words import SPLITS, Split, words_of
from cmat_env.envs.database.tasks import DBTask
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["LEVELS", "SPLITS", "Split", "families", "generate", "words_of"]

LEVELS = (1,)


def families(level: int) -> tuple[str, ...]:
    """The families of a level, in the order of the documentation.

    Raises:
        ConfigError: there is no such level.
    """
    if level not in LEVELS:
        raise ConfigError(f"level={level!r}: wanted one of {', '.join(map(str, LEVELS))}")
    return tuple(SINGLE)


def generate(split: Split, *, level: int, seed: int) -> DBTask:
    """Draw one task.

    Args:
        split: "train", "dev" (for choosing settings), "heldout" or "unseen_words".
        level: 1 = one table, sixteen families.
        seed: any whole number; neighbours are unrelated.

    Raises:
        UnknownNameError: there is no such split.
        ConfigError: there is no such level.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r} is unknown; {did_you_mean(split, SPLITS)}")
    rng = random.Random(f"{split}/{level}/{seed}")
    family = rng.choice(families(level))
    sheet = draw_sheet(rng, split)
    draft = SINGLE[family](rng, sheet)
    return DBTask(
        id=f"{split}-{level}-{seed}",
        family=family,
        description=rng.choice(draft.wordings),
        add_description=_describe((sheet.as_table(),)),
        tables=(sheet.as_table(),),
        write=draft.rows is not None,
        answers=tuple(str(answer) for answer in draft.answers),
        gold_rows=None if draft.rows is None else sheet.arrange(draft.rows),
        reference=draft.sql,
        slips=tuple(draft.slips),
        split=split,
    )


def _describe(tables: tuple[Table, ...]) -> str:
    """Such as `Table cars (owner, price, speed, team).`"""
    return " ".join(f"Table {table.name} ({', '.join(table.columns)})." for table in tables)
