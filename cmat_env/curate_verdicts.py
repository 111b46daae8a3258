"""What a checker's verdicts say of the steps of an episode: which are worth learning, which were put right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from cmat_env.types import Step, Trajectory


def improved(trajectory: Trajectory, role: str = "assistant") -> Iterator[tuple[Step, Step]]:
    """Proposals that a checker refused, with what was proposed in their place, where that was better.

    The refused one must have been judged bad. The later one must have been judged good; where it was executed without
    another look, the episode must have been a success.
    """
    proposals = [step for step in trajectory.steps if step.role == role]
    for refused, revised in pairwise(proposals):
        first, second = verdict_on(trajectory, refused), verdict_on(trajectory, revised)
        if first is None or first.verdict is None or first.verdict.approve:
            continue
        better = trajectory.success if second is None or second.judgement is None else second.judgement.good
        if first.judgement is not None and not first.judgement.good and better:
            yield refused, revised


def verdict_on(trajectory: Trajectory, step: Step) -> Step | None:
    """The checker's step about this one, if that came next."""
    following = trajectory.steps[step.index + 1 : step.index + 2]
    return following[0] if following and following[0].verdict is not None else None


def worth(trajectory: Trajectory, step: Step) -> bool:
    """Is this step to be learned: not refused, not judged bad; a verdict, if it was right."""
    if step.verdict is not None:
        return step.verdict.parsed and (step.judgement is None or step.judgement.good == step.verdict.approve)
    about = verdict_on(trajectory, step)
    if about is None or about.verdict is None:
        return bool(step.generation.text) and step.generation.text not in _refused(trajectory, step.role)
    return about.verdict.approve and (about.judgement is None or about.judgement.good)


def _refused(trajectory: Trajectory, role: str) -> set[str]:
    """What the role said and the checker refused, at any time of the episode, unless the task found it good."""
    texts = set()
    for step in trajectory.steps:
        about = verdict_on(trajectory, step) if step.role == role else None
        if about is None or about.verdict is None or about.verdict.approve:
            continue
        if about.judgement is None or not about.judgement.good:
            texts.add(step.generation.text)
    return texts


def overruled(trajectory: Trajectory) -> bool:
    """Was an action executed that the checker had refused: at once, or proposed again, word for word, unreviewed?"""
    steps = trajectory.steps
    for step in steps:
        about = verdict_on(trajectory, step)
        if step.role != "assistant" or about is None or about.verdict is None or about.verdict.approve:
            continue
        following = steps[about.index + 1 : about.index + 2]
        if not following or following[0].observation["speaker"] != "checker":
            return True
        again = following[0]
        if again.generation.text == step.generation.text and verdict_on(trajectory, again) is None:
            return True
    return False
