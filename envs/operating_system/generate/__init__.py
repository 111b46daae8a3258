"""Seeded generator of operating-system tasks: a task is a pure function of split and seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from cmat_env.envs.operating_system.generate.changes import CHANGES
from cmat_env.envs.operating_system.generate.questions import QUESTIONS
from cmat_env.envs.operating_system.generate.words import SPLITS, Split, belongs, words_of
from cmat_env.envs.operating_system.tasks import Check, Match, OSTask, Script
from cmat_env.errors import UnknownNameError, did_you_mean

__all__ = ["FAMILIES", "SPLITS", "Split", "generate"]

_FAMILIES = {**QUESTIONS, **CHANGES}
FAMILIES = tuple(_FAMILIES)


def generate(split: Split, *, seed: int, only: Sequence[str] = ()) -> OSTask:
    """Draw one task.

    Args:
        split: "train"; "dev" (for choosing settings) or "heldout", which ask no family for what training asks it for;
            or "unseen_words", which has other folders, files, users, words and programs than these three.
        seed: any whole number; neighbours are unrelated.
        only: families to draw from; by default all.

    Raises:
        UnknownNameError: there is no such split or family.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r} is unknown; {did_you_mean(str(split), SPLITS)}")
    for name in only:
        if name not in FAMILIES:
            raise UnknownNameError(f"there is no family {name!r}; {did_you_mean(name, FAMILIES)}")
    rng = random.Random(f"os/{split}/{seed}")
    family = rng.choice(tuple(only) or FAMILIES)
    draft = _FAMILIES[family](rng, words_of(split))
    while not belongs(split, family, draft.wordings[0]):
        draft = _FAMILIES[family](rng, words_of(split))
    checks = () if draft.answer is not None else (Check("script", script=Script(draft.check, "python")),)
    return OSTask(
        id=f"{split}-{seed}",
        family=family,
        description=rng.choice(draft.wordings),
        init=(Script(draft.init),),
        match=None if draft.answer is None else Match(draft.answer),
        checks=checks,
        example=Script(draft.solution),
        slip=draft.slip,
        split=split,
        wordings=draft.wordings,
    )
