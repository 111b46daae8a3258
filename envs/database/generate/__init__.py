"""Seeded generator of database tasks: a task is a pure function of split, level and seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from cmat_env.envs.database.generate.draft import Draft
from cmat_env.envs.database.generate.house import FAMILIES as TOLD
from cmat_env.envs.database.generate.house import draw_told
from cmat_env.envs.database.generate.joined import JOINED
from cmat_env.envs.database.generate.pair import Pair, draw_pair
from cmat_env.envs.database.generate.sheet import Sheet, draw_sheet
from cmat_env.envs.database.generate.single import SINGLE
from cmat_env.envs.database.generate.words import SPLITS, Split, words_of
from cmat_env.envs.database.tasks import DBTask
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["LEVELS", "SPLITS", "Split", "families", "generate", "words_of"]

_FAMILIES = {1: tuple(SINGLE), 2: tuple(JOINED), 3: TOLD}
LEVELS = tuple(_FAMILIES)


def families(level: int) -> tuple[str, ...]:
    """The families of a level.

    Raises:
        ConfigError: there is no such level.
    """
    if level not in _FAMILIES:
        raise ConfigError(f"level={level!r}: wanted one of {', '.join(map(str, LEVELS))}")
    return _FAMILIES[level]


def generate(split: Split, *, level: int, seed: int, only: Sequence[str] = ()) -> DBTask:
    """Draw one task.

    Args:
        split: "train", "dev" (for choosing settings), "heldout" or "unseen_words".
        level: 1 = one table, 2 = two tables, with joins, grouping and nesting; sixteen families each. 3 = one table of
            a house with words of its own; eight families.
        seed: any whole number; neighbours are unrelated.
        only: families to draw from; by default all of the level.

    Raises:
        UnknownNameError: there is no such split or family.
        ConfigError: there is no such level.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r} is unknown; {did_you_mean(split, SPLITS)}")
    rng = random.Random(f"{split}/{level}/{seed}")
    for name in only:
        if name not in families(level):
            raise UnknownNameError(f"level {level} has no family {name!r}; {did_you_mean(name, families(level))}")
    family = rng.choice(tuple(only) or families(level))
    data, draft, jargon = _draw(rng, split, level, family, seed)
    tables = data.as_tables()
    return DBTask(
        id=f"{split}-{level}-{seed}",
        family=family,
        description=rng.choice(draft.wordings),
        add_description=" ".join(f"Table {table.name} ({', '.join(table.columns)})." for table in tables),
        tables=tables,
        write=draft.rows is not None,
        answers=tuple(str(answer) for answer in draft.answers),
        gold_rows=None if draft.rows is None else data.arrange(draft.rows),
        reference=draft.sql,
        slips=tuple(draft.slips),
        jargon=jargon,
        split=split,
        wordings=tuple(draft.wordings),
    )


def _draw(rng: random.Random, split: Split, level: int, family: str, seed: int) -> tuple[Sheet | Pair, Draft, str]:
    if level == 1:
        sheet = draw_sheet(rng, split)
        return sheet, SINGLE[family](rng, sheet), ""
    if level == 3:
        return draw_told(rng, split, seed, family)
    joined = JOINED[family]
    pair = draw_pair(rng, split, shape=joined.shape, fits=joined.fits)
    return pair, joined.draft(rng, pair), ""
