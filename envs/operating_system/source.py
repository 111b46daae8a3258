"""The tasks of `cmat/OS-v0`: generated ones, those of AgentBench files, or a caller's own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from cmat_env.envs.operating_system.checkers import Fidelity
from cmat_env.envs.operating_system.generate import FAMILIES, SPLITS, generate
from cmat_env.envs.operating_system.load import load_tasks
from cmat_env.envs.operating_system.tasks import OSTask
from cmat_env.envs.source import Generated, Listed, Source, split_of

_NEEDS_USERS = "needs other users than root, which the single-uid sandbox does not have"
_MOST_NAMED = 20


def open_source(
    tasks: str | Path | Sequence[OSTask],
    *,
    script_dir: str | Path | None = None,
    only: Sequence[str] = (),
    fidelity: Fidelity = "upstream",
) -> Source[OSTask]:
    """Find the tasks that a user asks for.

    Args:
        tasks: "generated:SPLIT", the path of an AgentBench file or folder, or the tasks themselves.
        script_dir: where the script files of AgentBench tasks are.
        only: families of generated tasks; by default all.
        fidelity: with which defects AgentBench tasks are read.

    Raises:
        UnknownNameError: there is no such split or family.
        TaskFileError: a file cannot be read.
        ConfigError: no usable list.
    """
    split = split_of(tasks, SPLITS, families=only)
    if split is not None:
        make = partial(generate, split, only=tuple(only))
        make(seed=0)  # a family that does not exist is met here
        return Generated(split, make, families=only or FAMILIES)
    if isinstance(tasks, str | Path):
        loaded = load_tasks(tasks, script_dir=script_dir, fidelity=fidelity)
        return Listed(loaded.tasks, skipped=loaded.skipped)
    return Listed(tasks)


def without_users(source: Source[OSTask]) -> Source[OSTask]:
    """The tasks that do with root alone, as all generated ones; the others are skipped."""
    if isinstance(source, Generated):
        return source
    left_out = {task.id: _NEEDS_USERS for task in source.tasks if task.needs_users}
    return Listed([task for task in source.tasks if not task.needs_users], skipped={**source.skipped, **left_out})


def warn_of(skipped: Mapping[str, str], left: int) -> None:
    """Say which tasks cannot be played here, and why; `left` can."""
    named = "; ".join(f"{task_id}: {reason}" for task_id, reason in list(skipped.items())[:_MOST_NAMED])
    more = f"; and {len(skipped) - _MOST_NAMED} more" if len(skipped) > _MOST_NAMED else ""
    warnings.warn(
        f"{len(skipped)} of {len(skipped) + left} tasks are skipped, {left} are played. {named}{more}", stacklevel=3
    )
