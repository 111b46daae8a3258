"""The imperfect demonstrator: somebody who overlooks one thing, for warm starts that reward can improve.

In a given share of the episodes its script carries the slip of the task's family: a flag forgotten, the wrong field,
the folder for its files. The script is really executed, and the answer copies what came out, so that only the choice of
the script is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cmat_env.envs.operating_system.codec import Codec
from cmat_env.envs.operating_system.tasks import OSTask
from cmat_env.lessons import NOTHING, Lessons
from cmat_env.protocols import Uniform


def choose_script(
    task: OSTask, rng: Uniform, *, error: float, tried: Collection[str], lessons: Lessons = NOTHING
) -> str | None:
    """A script that was not tried yet; None if there is none.

    Args:
        task: one with a gold script.
        rng: all randomness.
        error: the share of slips, where one is possible.
        tried: scripts that were executed or refused.
        lessons: what it was told of earlier trials; what was planned then is done.
    """
    slips = bool(task.slip) and rng.random() < error
    options = task.scripts[::-1] if slips else task.scripts
    planned = [script for script in options if script in lessons.plan]
    return next((script for script in [*planned, *options] if script not in tried), None)


def next_action(
    task: OSTask,
    rng: Uniform,
    *,
    error: float,
    executed: Sequence[str],
    printed: str,
    rejected: Collection[str],
    lessons: Lessons = NOTHING,
    codec: Codec,
) -> str:
    """What the demonstrator writes next: a script, then what it printed, or that all is done.

    A refused script is chosen again; after a refused answer it tries another script. Where nothing is left it insists.

    Args:
        task: one with a gold script.
        rng: all randomness.
        error: the share of slips.
        executed: the scripts of the episode so far.
        printed: what the last of them printed.
        rejected: texts that were refused in this turn.
        lessons: what it was told of earlier trials.
        codec: how actions are written.
    """
    asks = task.match is not None or task.compares
    end = codec.answer(printed.strip() if asks else None)
    if executed and (end not in rejected or not asks):
        return end
    refused = [script for script in task.scripts if codec.bash(script) in rejected]
    script = choose_script(task, rng, error=error, tried=[*executed, *refused], lessons=lessons)
    if script is not None:
        return codec.bash(script)
    return end if executed else codec.bash(task.scripts[0])
