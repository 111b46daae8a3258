"""Trials of one task: who reflects on a failure, what the next trial is told, and what a reflection was worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cmat_env.agents.reflection import parse_reflection
from cmat_env.types import Oracle, Payment, Policy, Recalled, Step, Trajectory

REFLECTS = ("assistant", "checker")
REASON = "reflection"
"""Of the payment that a reflection earns. The rollout makes it: no environment outlives a trial."""


def who_reflects(
    policies: Mapping[str, Policy], roles: Sequence[str], allowed: Sequence[str] = REFLECTS
) -> tuple[str, ...]:
    """Of the roles that may, those that write reflections: no oracle, which knows the answer, unless it says it does.

    Any other policy does, unless it says that it does not.
    """
    return tuple(
        role
        for role in roles
        if role in allowed and getattr(policies[role], "reflects", not isinstance(policies[role], Oracle))
    )


def reflections(steps: Sequence[Step]) -> dict[str, Recalled]:
    """By role, what the next trial is told of these steps' reflections; one that says nothing is left out."""
    found = {step.role: parse_reflection(step.generation.text) for step in steps if step.kind == "reflect"}
    return {role: Recalled(text) for role, text in found.items() if text}


def task_return(trial: Trajectory) -> float:
    """What the task paid in all."""
    return sum((payment.amount for payment in trial.payments if payment.reason == "task"), 0.0)


def credited(trials: Sequence[Trajectory], *, reward: float) -> list[Trajectory]:
    """The trials of one task, with each reflection paid for what the trial after it gained.

    With R_k = what the task paid in trial k, a reflection on trial k is paid reward * (R_{k+1} - R_k). All that the
    assistant is paid in trial k is then R_{k+1} where reward is 1: failing in order to shine later earns nothing.

    Source: credit by what the next trial gained, ours.
    """
    paid = []
    for trial, following in zip(trials, (*trials[1:], None), strict=True):
        amount = reward * (task_return(following) - task_return(trial)) if following else 0.0
        paid.append(_paid(trial, amount) if amount else trial)
    return paid


def _paid(trial: Trajectory, amount: float) -> Trajectory:
    steps = tuple(
        replace(step, payments=(*step.payments, Payment(step.role, amount, REASON, step.turn)))
        if step.kind == "reflect"
        else step
        for step in trial.steps
    )
    own = tuple(payment for step in steps if step.kind == "reflect" for payment in step.payments)
    return replace(trial, steps=steps, payments=(*trial.payments, *own))
