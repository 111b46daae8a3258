"""Episodes as the traces of verifiers: one line of `traces.jsonl` an episode, one trace in it a role.

A trace is a graph of messages. Each of a role's dialogues is one path of it, with the token ids as the model saw them,
which of them it sampled itself, and their log-probabilities. Rewards are the ledger's, by reason.

Source: verifiers 0.4.0, `verifiers.v1.episode` and `verifiers.v1.trace`, trace version 1. Nothing of it is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cmat_env.chat_rows import facts_of
from cmat_env.types import Dialogue, Message, Trajectory

TRACE_VERSION = 1
FILE = "traces.jsonl"
_LIMITS = {"turn limit": "max_turns", "token limit": "max_total_tokens"}


def episodes_of(episodes: Iterable[Trajectory], roles: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Each episode as an object of `traces.jsonl`; roles without a word of their own have no trace.

    Args:
        episodes: in order.
        roles: those whose traces are trained on; the others' are written too, and marked as not trainable.
    """
    for number, episode in enumerate(episodes):
        task = {"type": episode.env_id, "data": _data(number, episode), "key": f"{episode.env_id} {episode.task_id}"}
        traces = [
            _trace(episode, role, task, trainable=role in roles)
            for role, dialogues in episode.dialogues.items()
            if any(dialogue.replies for dialogue in dialogues)
        ]
        yield {
            "id": f"{episode.env_id}-{episode.task_id}-{episode.seed}-{episode.sample}-{episode.trial}",
            "env": {"id": episode.env_id},
            "task": task,
            "ok": True,
            "traces": traces,
        }


def _data(number: int, episode: Trajectory) -> dict[str, Any]:
    """What the team was told, and which task it was."""
    first = episode.steps[0].observation["message"] if episode.steps else ""
    return {"idx": number, "id": episode.task_id, "name": episode.task_type, "prompt": first, "seed": episode.seed}


def _trace(episode: Trajectory, role: str, task: Mapping[str, Any], *, trainable: bool) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = []
    for dialogue in episode.dialogues[role]:
        nodes += _path(dialogue, role, len(nodes))
    paid: dict[str, float] = {}
    for payment in episode.payments:
        if payment.role == role:
            paid[payment.reason] = paid.get(payment.reason, 0.0) + payment.amount
    return {
        "version": TRACE_VERSION,
        "task": task,
        "agent": {"config": {}, "name": role, "trainable": trainable},
        "nodes": nodes,
        "rewards": {reason: {"score": amount, "weight": 1.0} for reason, amount in paid.items()},
        "metrics": {"success": float(episode.success), "score": episode.score},
        "info": facts_of(episode, role),
        "is_completed": True,
        "ok": True,
        "stop_condition": _LIMITS.get(episode.outcome, "agent_completed"),
    }


def _path(dialogue: Dialogue, role: str, first: int) -> list[dict[str, Any]]:
    """The nodes of one dialogue, the first of them without a parent.

    What stands between two replies is encoded at once; its ids are those of the first message that was heard there.
    Where a reply's ids are unknown, none are written.
    """
    nodes: list[dict[str, Any]] = []
    whole = len(dialogue.token_ids) if len(dialogue.turns) == dialogue.replies else 0
    turns, end = iter(dialogue.turns if whole else ()), 0
    start, stop = next(turns, (whole, whole))
    for place, message in enumerate(dialogue.messages):
        own = message.speaker == role
        span = (start, stop) if own else (end, start)
        nodes.append(
            {
                "parent": first + place - 1 if place else None,
                "message": _message(message, role),
                "sampled": own,
                "token_ids": dialogue.token_ids[slice(*span)],
                "mask": dialogue.action_mask[slice(*span)],
                "logprobs": dialogue.logprobs[slice(*span)] if own else [],
            }
        )
        end = span[1]
        if own:
            start, stop = next(turns, (whole, whole))
    return nodes


def _message(message: Message, role: str) -> dict[str, str]:
    kind = "assistant" if message.speaker == role else "system" if message.speaker == "system" else "user"
    return {"role": kind, "content": message.content}
