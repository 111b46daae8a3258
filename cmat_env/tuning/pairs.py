"""Preferences that no group of episodes gives: pairs from a file, and proposals before and after a revision.

Each pair becomes two short episodes of one task, the better one paid 1 and the other 0, which `Tuner.update` takes as
`preferences`. What both share is context: nobody learns from it.

A line of a pairs file, whose messages are those of a chat ("assistant" = the role that learns, "user" = all others):

    {"role": "assistant",
     "prompt": [{"role": "user", "content": "..."}],
     "chosen": [{"role": "assistant", "content": "..."}],
     "rejected": [{"role": "assistant", "content": "..."}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cmat_env.curate_verdicts import improved
from cmat_env.errors import TaskFileError, did_you_mean
from cmat_env.tuning.config import RunSettings
from cmat_env.types import Dialogue, Generation, Message, Payment, Step, Trajectory

FIELDS = ("prompt", "chosen", "rejected")
CHAT = ("system", "user", "assistant")


class Tokenizes(Protocol):
    """What turns a dialogue whose replies are text into one with token ids; `HFPolicy` does."""

    @property
    def context(self) -> int:
        """Longest dialogue, in tokens."""
        ...

    def tokenize(self, dialogue: Dialogue) -> Dialogue:
        """A copy with token ids for every message."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """One line of a pairs file.

    Attributes:
        place: file and line, for messages to the user.
        role: who learns from it.
        prompt: what both sides begin with.
        chosen, rejected: how they go on, the role's own messages and those of others.
    """

    place: str
    role: str
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two episodes of one task, the preferred one first."""

    chosen: Trajectory
    rejected: Trajectory


def read(path: Path, roles: Sequence[str]) -> list[Written]:
    """The lines of a pairs file.

    Args:
        path: JSONL; see the head of this module.
        roles: who learns; a line without a role is of the first.

    Raises:
        TaskFileError: the file cannot be read, or a line is no pair; file, line and field are named.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TaskFileError(f"{path} cannot be read: {error}") from error
    written = [_written(text, f"{path}:{number}", roles) for number, text in enumerate(lines, 1) if text.strip()]
    if not written:
        raise TaskFileError(f"{path} holds no preference pairs")
    return written


def of_settings(settings: RunSettings, policy: Tokenizes) -> list[Pair]:
    """Those of the file that a run's settings name, as token ids; none without a file.

    Raises:
        TaskFileError: the file cannot be read, or a pair is longer than the model's context.
    """
    path = settings.pairs.path
    return encode(read(Path(path), settings.team.learners), policy) if path else []


def encode(written: Sequence[Written], policy: Tokenizes) -> list[Pair]:
    """Pairs as token ids.

    Raises:
        TaskFileError: one is longer than the model's context.
    """
    return [Pair(_side(line, policy, better=True), _side(line, policy, better=False)) for line in written]


def _side(line: Written, policy: Tokenizes, *, better: bool) -> Trajectory:
    reply = line.chosen if better else line.rejected
    dialogue = policy.tokenize(Dialogue(line.role, messages=[*line.prompt, *reply]))
    length = len(dialogue.token_ids)
    if length > policy.context:
        raise TaskFileError(
            f"{line.place}: {length} tokens, but the model takes {policy.context}; shorten it, or raise model.context. "
            "Record pairs with the prompts that the run uses: a TinyAgent's are cmat eval's --prompts names"
        )
    own = dialogue.turns[sum(message.speaker == line.role for message in line.prompt) :]
    return _episode(dialogue, own, line.place, better=better)


def _written(text: str, place: str, roles: Sequence[str]) -> Written:
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        raise TaskFileError(f"{place} is not JSON: {error}") from error
    if not isinstance(line, dict):
        raise TaskFileError(f"{place}: wanted an object with {', '.join(FIELDS)}")
    for name in line:
        if name not in (*FIELDS, "role"):
            raise TaskFileError(f"{place}: unknown field {name!r}; {did_you_mean(name, (*FIELDS, 'role'))}")
    role = line.get("role", roles[0])
    if role not in roles:
        raise TaskFileError(f"{place}: role {role!r} does not learn; {did_you_mean(str(role), roles)}")
    prompt, chosen, rejected = (_messages(line.get(name), f"{place}: {name}", role) for name in FIELDS)
    if prompt and prompt[-1].speaker == role:
        raise TaskFileError(f"{place}: prompt ends with the assistant's own message; wanted one to answer")
    for name, reply in (("chosen", chosen), ("rejected", rejected)):
        if not reply or reply[-1].speaker != role:
            raise TaskFileError(f"{place}: {name} must end with a message of the assistant")
    return Written(place, role, prompt, chosen, rejected)


def _messages(value: Any, place: str, role: str) -> tuple[Message, ...]:
    """Chat messages as a role's dialogue knows them."""
    if not isinstance(value, list):
        raise TaskFileError(f"{place}: wanted a list of messages, got {value!r}")
    messages = []
    for message in value:
        known = isinstance(message, Mapping) and message.get("role") in CHAT
        if not known or not isinstance(message.get("content"), str):
            raise TaskFileError(f"{place}: {message!r} is no message; wanted role ({', '.join(CHAT)}) and content")
        messages.append(Message(role if message["role"] == "assistant" else message["role"], message["content"]))
    return tuple(messages)


def of_iteration(pairs: Sequence[Pair], iteration: int, *, each: int, seed: int) -> Iterator[Trajectory]:
    """The episodes of an iteration's share of the pairs: every pair once a pass, each pass in an order of its own.

    What comes depends on the iteration and the seed alone, so that a resumed run needs to remember nothing.
    """
    count = len(pairs)
    for place in range(iteration * min(each, count), (iteration + 1) * min(each, count)):
        done, offset = divmod(place, count)
        pair = pairs[np.random.default_rng((seed, done)).permutation(count)[offset]]
        yield from (pair.chosen, pair.rejected)


def revisions(trajectories: Sequence[Trajectory], *, role: str = "assistant") -> Iterator[Trajectory]:
    """Pairs of proposals: the one made after the checker refused, over the bad one it refused, in the latter's place.

    Which ones: see `cmat_env.curate_verdicts.improved`.
    """
    for trajectory in trajectories:
        starts = _starts(trajectory, role)
        for step, later in improved(trajectory, role):
            if step.index not in starts or later.index not in starts:
                continue
            before = trajectory.dialogues[role][step.dialogue].token_ids[: starts[step.index]]
            task = f"{trajectory.task_id}, sample {trajectory.sample}, step {step.index}"
            for proposal in (later, step):
                dialogue = Dialogue(role)
                dialogue.encode(before)
                dialogue.reply(Generation(proposal.generation.text, proposal.generation.token_ids))
                yield _episode(dialogue, dialogue.turns, task, better=proposal is later)


def _starts(trajectory: Trajectory, role: str) -> dict[int, int]:
    """By step index, where a reply with tokens begins in its dialogue."""
    said = dict.fromkeys(range(len(trajectory.dialogues.get(role, ()))), 0)
    starts = {}
    for step in trajectory.steps:
        if step.role != role or step.generation.token_ids is None:
            continue
        start, end = trajectory.dialogues[role][step.dialogue].turns[said[step.dialogue]]
        said[step.dialogue] += 1
        if start < end:
            starts[step.index] = start
    return starts


def _episode(dialogue: Dialogue, own: Sequence[tuple[int, int]], task: str, *, better: bool) -> Trajectory:
    """An episode that is one dialogue, of which some turns count."""
    role = dialogue.role
    dialogue.turns = list(own)
    dialogue.action_mask = [any(start <= i < end for start, end in own) for i in range(len(dialogue.token_ids))]
    steps = tuple(
        Step(index, f"{role}_0", role, index, {"message": "", "speaker": ""}, Generation("", tuple(ids)))
        for index, ids in enumerate(dialogue.token_ids[start:end] for start, end in own)
    )
    return Trajectory(
        env_id="",
        task_id=task,
        task_type="preference",
        seed=0,
        steps=steps,
        dialogues={role: (dialogue,)},
        payments=(Payment(role, float(better), "preference", len(steps) - 1),),
        success=better,
        score=float(better),
        outcome="preferred" if better else "not preferred",
        terminated=True,
        truncated=False,
    )
