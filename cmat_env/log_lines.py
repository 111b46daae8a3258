"""An episode as lines of a log, and back: header, steps, footer (schema 1).

    header  env_id, task_id, task_type, seed, options, sample, trial, recalled, versions, policies, settings, notes
    step    one a Step: what the role heard since it last spoke (with its token ids), what it said, payments, info, and
            where an update used it, what that made of its tokens (credit); a reflection has reflect = true
    footer  success, score, outcome, returns, seconds, and what was heard after the last word

A line is a JSON object. Numbers that JSON lacks (nan, inf) are written as strings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from cmat_env.credit import TokenCredit
from cmat_env.episode_html import notebook, pieces
from cmat_env.log_fields import LineError, json_safe, number, take
from cmat_env.log_heard import Heard, Tail, pairs, read_message
from cmat_env.types import (
    Dialogue,
    FinishReason,
    Generation,
    Judgement,
    Message,
    Payment,
    Recalled,
    Step,
    Trajectory,
    Usage,
    Verdict,
)

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """One episode of a log.

    Attributes:
        trajectory: what happened.
        policies: by role, who played, as the user named it.
        versions: by distribution, what it was recorded with.
        settings: what the environment was made with.
        notes: what else the recorder wanted to say, such as the iteration.
        credit: by step index, what an update made of the reply's tokens.
    """

    trajectory: Trajectory
    policies: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    credit: Mapping[int, TokenCredit] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """The episode in a notebook, and who played."""
        return notebook("".join(pieces(self.trajectory, policies=self.policies, notes=self.notes)))


def to_lines(record: EpisodeRecord) -> Iterator[dict[str, Any]]:
    """The lines of one episode, JSON-safe, header first."""
    episode = record.trajectory
    yield {
        "kind": "header",
        "schema": SCHEMA,
        "env_id": episode.env_id,
        "task_id": episode.task_id,
        "task_type": episode.task_type,
        "seed": episode.seed,
        "options": json_safe(episode.options),
        "sample": episode.sample,
        "trial": episode.trial,
        "recalled": {role: [asdict(item) for item in items] for role, items in episode.recalled.items()},
        "policies": dict(record.policies),
        "versions": dict(record.versions),
        "settings": json_safe(record.settings),
        "notes": json_safe(record.notes),
    }
    heard = Heard(episode)
    for step in episode.steps:
        line = _step_line(step, *heard.before(step))
        credit = record.credit.get(step.index)
        yield line | {"credit": credit.line()} if credit else line
    yield _footer_line(episode, heard)


def from_lines(
    header: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], footer: Mapping[str, Any]
) -> EpisodeRecord:
    """The episode of these lines.

    Raises:
        LineError: a field is missing or of another type.
    """
    tails = {role: tuple(Tail.read(tail) for tail in tails) for role, tails in take(footer, "dialogues", dict).items()}
    dialogues = {role: tuple(Dialogue(role, seed=tail.seed) for tail in tails[role]) for role in tails}
    steps = []
    for line in lines:
        step = read_step(line)
        dialogue = _dialogue_of(dialogues, step)
        for message in take(line, "heard", list):
            dialogue.say(read_message(message))
        if prompt_ids := take(line, "prompt_ids", list):
            dialogue.encode(prompt_ids)
        dialogue.reply(step.generation)
        steps.append(step)
    for role, of_role in dialogues.items():
        for dialogue, tail in zip(of_role, tails[role], strict=True):
            tail.append_to(dialogue)
    trajectory = Trajectory(
        env_id=take(header, "env_id", str),
        task_id=take(header, "task_id", str),
        task_type=take(header, "task_type", str),
        seed=take(header, "seed", int),
        steps=tuple(steps),
        dialogues=dialogues,
        payments=tuple(_payment(payment) for payment in take(footer, "payments", list)),
        success=take(footer, "success", bool),
        score=number(footer, "score"),
        outcome=take(footer, "outcome", str),
        terminated=take(footer, "terminated", bool),
        truncated=take(footer, "truncated", bool),
        seconds=number(footer, "seconds"),
        options=header.get("options"),
        sample=take(header, "sample", int) if "sample" in header else 0,
    )
    recalled = {role: tuple(_recalled(item) for item in items) for role, items in header.get("recalled", {}).items()}
    trajectory = replace(trajectory, trial=header.get("trial", 0), recalled=recalled)
    kept = {name: take(header, name, dict) for name in ("policies", "versions", "settings")}
    credit = {steps[i].index: TokenCredit.read(line["credit"]) for i, line in enumerate(lines) if "credit" in line}
    return EpisodeRecord(trajectory, **kept, notes=header.get("notes") or {}, credit=credit)


def read_step(line: Mapping[str, Any]) -> Step:
    """The Step of one step line."""
    token_ids, logprobs = line.get("token_ids"), line.get("logprobs")
    verdict, judgement = line.get("verdict"), line.get("judgement")
    return Step(
        index=take(line, "index", int),
        agent=take(line, "agent", str),
        role=take(line, "role", str),
        turn=take(line, "turn", int),
        observation=take(line, "observation", dict),
        generation=Generation(
            take(line, "text", str),
            None if token_ids is None else tuple(token_ids),
            None if logprobs is None else tuple(float(logprob) for logprob in logprobs),
            cast("FinishReason", take(line, "finish_reason", str)),
            tuple(line["tokens"]) if "tokens" in line else None,
            _usage(line["usage"]) if "usage" in line else None,
        ),
        dialogue=take(line, "dialogue", int),
        payments=tuple(_payment(payment) for payment in take(line, "payments", list)),
        verdict=None if verdict is None else _verdict(verdict),
        judgement=None
        if judgement is None
        else Judgement(take(judgement, "good", bool), take(judgement, "reason", str)),
        info=take(line, "info", dict),
        kind="reflect" if line.get("reflect") else "act",
    )


def _step_line(step: Step, heard: Sequence[Message], prompt_ids: Sequence[int]) -> dict[str, Any]:
    said = step.generation
    shown: dict[str, Any] = {} if said.tokens is None else {"tokens": list(said.tokens)}
    shown |= {} if said.usage is None else {"usage": _usage_line(said.usage)}
    return {
        "kind": "step",
        "index": step.index,
        "agent": step.agent,
        "role": step.role,
        "turn": step.turn,
        "dialogue": step.dialogue,
        "observation": dict(step.observation),
        "heard": pairs(heard),
        "prompt_ids": list(prompt_ids),
        "text": said.text,
        "token_ids": None if said.token_ids is None else list(said.token_ids),
        "logprobs": None if said.logprobs is None else json_safe(said.logprobs),
        "finish_reason": said.finish_reason,
        **shown,
        "verdict": None if step.verdict is None else json_safe(asdict(step.verdict)),
        "judgement": None if step.judgement is None else json_safe(asdict(step.judgement)),
        "payments": [json_safe(asdict(payment)) for payment in step.payments],
        "info": json_safe(step.info),
        **({"reflect": True} if step.kind == "reflect" else {}),
    }


def _footer_line(episode: Trajectory, heard: Heard) -> dict[str, Any]:
    tails = {
        role: [heard.tail(role, number).line() for number in range(len(of_role))]
        for role, of_role in episode.dialogues.items()
    }
    return {
        "kind": "footer",
        "success": episode.success,
        "score": json_safe(episode.score),
        "outcome": episode.outcome,
        "terminated": episode.terminated,
        "truncated": episode.truncated,
        "steps": len(episode.steps),
        "returns": json_safe(episode.returns()),
        "payments": [json_safe(asdict(payment)) for payment in episode.payments],
        "dialogues": tails,
        "seconds": json_safe(episode.seconds),
    }


def _dialogue_of(dialogues: Mapping[str, Sequence[Dialogue]], step: Step) -> Dialogue:
    of_role = dialogues.get(step.role, ())
    if not 0 <= step.dialogue < len(of_role):
        raise LineError(
            f"step {step.index} belongs to dialogue {step.dialogue} of {step.role!r}, which the footer lacks"
        )
    return of_role[step.dialogue]


def _verdict(value: Mapping[str, Any]) -> Verdict:
    approve, parsed = take(value, "approve", bool), take(value, "parsed", bool)
    return Verdict(approve, take(value, "reason", str), number(value, "confidence"), parsed)


def _usage(value: object) -> Usage:
    if not isinstance(value, dict):
        raise LineError(f"field 'usage' must be an object, not {type(value).__name__}")
    counts = take(value, "prompt_tokens", int), take(value, "reply_tokens", int)
    cost = None if value.get("cost") is None else number(value, "cost")
    calls = None if value.get("calls") is None else take(value, "calls", int)
    return Usage(*counts, cost, take(value, "cached", bool), calls)


def _usage_line(usage: Usage) -> dict[str, Any]:
    fields: dict[str, Any] = json_safe(asdict(usage))
    return {name: value for name, value in fields.items() if name != "calls" or value is not None}


def _recalled(value: object) -> Recalled:
    if not isinstance(value, dict):
        raise LineError(f"field 'recalled' must hold objects, not {type(value).__name__}")
    return Recalled(take(value, "text", str), None if value.get("memory") is None else take(value, "memory", int))


def _payment(value: object) -> Payment:
    if not isinstance(value, dict):
        raise LineError(f"field 'payments' must hold objects, not {type(value).__name__}")
    return Payment(
        take(value, "role", str), number(value, "amount"), take(value, "reason", str), take(value, "turn", int)
    )
