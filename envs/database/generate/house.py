"""Level 3: a house's own words. A question names a column by a word that only those know who work there.

The tasks of 40 seeds in a row are of one house. It has twelve tables; each has two number columns, and a word of the
house's own for one of them. Which of the two is meant can be found out by trial alone, and is the same in all tasks of
the house: who remembers what an earlier task has shown need not guess. Another house means something else by the same
word at the same table, so that nothing of it can be learned by heart.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from cmat_env.envs.database.generate.draft import Draft, slips
from cmat_env.envs.database.generate.sheet import Columns, Sheet, draw_columns, draw_sheet
from cmat_env.envs.database.generate.single import SINGLE
from cmat_env.envs.database.generate.words import Split, allowed

TASKS = 40
TABLES = 12
FAMILIES = ("max", "min", "sum", "argmax", "argmin", "max_where", "sum_where", "update")


@dataclass(frozen=True, slots=True)
class Convention:
    """A table of a house, and the word that it has for `columns.num`."""

    columns: Columns
    word: str


@lru_cache(maxsize=64)
def house_of(split: Split, seed: int) -> tuple[Convention, ...]:
    """The conventions of the house that the task of a seed belongs to."""
    rng = random.Random(f"house/{split}/{seed // TASKS}")
    found: dict[str, Convention] = {}
    while len(found) < (TABLES if split != "unseen_words" else TABLES // 2):
        columns = draw_columns(rng, split)
        if columns.table not in found:
            found[columns.table] = Convention(columns, rng.choice(allowed(split, columns.table, "jargon")))
    return tuple(found.values())


def draw_told(rng: random.Random, split: Split, seed: int, family: str) -> tuple[Sheet, Draft, str]:
    """The table of a task, its question in the house's words, and the word that it uses."""
    told = rng.choice(house_of(split, seed))
    sheet = draw_sheet(rng, split, columns=told.columns)
    draft = SINGLE[family](rng, sheet)
    wordings = [_renamed(wording, sheet.num, told.word) for wording in draft.wordings]
    other = _renamed(draft.sql, sheet.num, sheet.alt)
    return sheet, replace(draft, wordings=wordings, slips=slips(other)), told.word


def _renamed(text: str, name: str, other: str) -> str:
    return re.sub(rf"\b{name}\b", other, text)
