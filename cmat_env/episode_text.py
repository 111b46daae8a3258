"""What is said of a step in words, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Sequence

from cmat_env.types import Recalled, Step

HIDDEN = ("seed", "greedy")
"""Notes for `--fork`, which a reader need not see."""
_DRY_RUN = "\nDry run: "


def heard(steps: Sequence[Step], index: int) -> tuple[str, str]:
    """Who spoke to a role, and what it said; "" where a reader has just read those words above.

    Of a checker's request, which repeats the proposal, that is the dry run alone.

    Args:
        steps: of an episode, as far as they are known.
        index: the step's position, from 0.
    """
    step = steps[index]
    message, speaker = step.observation["message"], step.observation["speaker"]
    if step.role == "checker":
        _, mark, dry_run = message.rpartition(_DRY_RUN)
        return "dry run", dry_run if mark else ""
    just_read = index and message.strip() == steps[index - 1].generation.text.strip()
    return speaker, "" if just_read else message


def is_verbatim(step: Step) -> bool:
    """Did a role say again what it had heard, word for word?"""
    return bool(step.generation.text) and step.generation.text == step.observation["message"]


def origin(item: Recalled) -> str:
    """Where something that is recalled comes from."""
    return "an earlier trial" if item.memory is None else f"memory {item.memory}"


def is_right(step: Step) -> bool | None:
    """Did the checker judge as the task does? None where either has no opinion."""
    if step.verdict is None or step.judgement is None:
        return None
    return step.judgement.good == step.verdict.approve
