"""`cmat/DB-Composite-v0`: two to four linked parts on one database; see `CompositeEnv` and `generate.chain`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from cmat_env.envs.composite.env import Closing, CompositeEnv, Paying
from cmat_env.envs.composite.tasks import Composite, composite_source
from cmat_env.envs.database.codec import FormatName
from cmat_env.envs.database.env import DBEnv
from cmat_env.envs.database.generate import SPLITS
from cmat_env.envs.database.generate.chain import LENGTHS, generate_chain
from cmat_env.envs.database.grade import GraderName
from cmat_env.envs.database.tasks import DBTask


def DBCompositeEnv(  # noqa: N802 - what `register` and users call like the other environments
    tasks: str | Sequence[Composite[DBTask]] = "generated:train",
    *,
    parts: Sequence[int] = LENGTHS,
    vague: bool = False,
    closing: Closing = "answers",
    reward: Paying = "whole",
    report: bool = False,
    retries: int = 0,
    backend: Literal["sqlite", "mariadb"] | str | None = None,
    action_format: FormatName = "v0.2",
    grader: GraderName = "fc",
    max_rounds: int = 15,
    max_observation: int = 800,
    max_rows_shown: int | None = None,
    demonstrator_error: float = 0.75,
) -> CompositeEnv:
    """A composite task of the database.

    Args:
        tasks: "generated:train", "generated:dev", "generated:heldout", "generated:unseen_words", or the tasks.
        parts: of generated tasks, numbers of parts to draw from.
        vague: of generated tasks, leave a detail out that the user knows and tells when asked (`questions=N`).
        closing, reward, report, retries: see `CompositeEnv`.
        backend, action_format, grader, max_rounds, max_observation, max_rows_shown, demonstrator_error: see
            `DBEnv`; rounds are those of a part.

    Raises:
        ConfigError, UnknownNameError: an argument is not what it should be.
    """
    inner = DBEnv(
        backend=backend,
        action_format=action_format,
        grader=grader,
        max_rounds=max_rounds,
        max_observation=max_observation,
        max_rows_shown=max_rows_shown,
        demonstrator_error=demonstrator_error,
    )
    lengths = tuple(parts)
    source = composite_source(
        tasks, SPLITS, lambda split: partial(generate_chain, split, lengths=lengths, vague=vague), parts=parts
    )
    return CompositeEnv(inner, source, closing=closing, reward=reward, report=report, retries=retries)
