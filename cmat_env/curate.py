"""Training data out of episode logs: verified examples, and pairs of proposals before and after a revision.

An example is kept if the environment verified it (the task was solved) and nothing was executed that the checker, where
there was one, had refused. Held-out tasks never get in. `cmat_env.curate_files` writes what was taken.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmat_env.curate_verdicts import improved, overruled, worth
from cmat_env.errors import ConfigError
from cmat_env.log import read_episodes
from cmat_env.log_lines import EpisodeRecord
from cmat_env.types import Message, Trajectory

TRAIN = "generated:train"
ORACLES = ("gold", "demonstrator", "oracle", "user")
_KEPT_OUT = ("heldout", "dev", "unseen_words")

Chat = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is taken.

    Attributes:
        roles: whose dialogues.
        tasks: sources of tasks that are for training: "generated:train", and files by the name they were played under.
        solved: only episodes that the environment calls a success.
        accepted: only episodes in which nothing was executed that the checker, where there is one, had refused.

    Raises:
        ConfigError: a source is kept out of training by its name.
    """

    roles: tuple[str, ...] = ("assistant",)
    tasks: tuple[str, ...] = (TRAIN,)
    solved: bool = True
    accepted: bool = True

    def __post_init__(self) -> None:
        for source in self.tasks:
            if source.startswith("generated:") and source != TRAIN:
                raise ConfigError(f"tasks={source!r} is kept out of training data; wanted {TRAIN!r} or a file")


@dataclass(frozen=True, slots=True)
class Example:
    """One dialogue of one role.

    Attributes:
        role: whose.
        messages: its own as "assistant", everybody else's as "user", its prompt as "system".
        loss: for each message, is it to be learned?
        facts: where it comes from.
    """

    role: str
    messages: Chat
    loss: tuple[bool, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for examples that teach the same."""
        return _digest([self.role, self.messages, self.loss])

    def turns(self) -> Iterator[dict[str, Any]]:
        """A prompt with a completion for every message to learn."""
        for place, (message, learn) in enumerate(zip(self.messages, self.loss, strict=True)):
            if learn:
                yield {"role": self.role, "prompt": self.messages[:place], "completion": [message]}


@dataclass(slots=True)
class Curated:
    """What was taken from logs, and what was not.

    Attributes:
        examples, pairs: without duplicates, in the order of the logs.
        read: how many episodes.
        left_out: how many of them were left out, by reason.
        duplicates: how many examples and pairs were there before.
        pair_types: task type of each pair.
        seeds: by environment, of the episodes that were taken.
        versions: by distribution, all that the episodes were recorded with.
        policies: by role, how many episodes each played.
    """

    examples: list[Example] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    pair_types: list[str] = field(default_factory=list)
    seeds: dict[str, set[int]] = field(default_factory=dict)
    versions: dict[str, set[str]] = field(default_factory=dict)
    policies: dict[str, Counter[str]] = field(default_factory=dict)


def curate(records: Iterable[EpisodeRecord], rules: Rules | None = None) -> Curated:
    """Take examples and pairs from episodes.

    Args:
        records: such as `read_episodes` gives.
        rules: what is taken.
    """
    rules = rules or Rules()
    found, seen = Curated(), set[str]()
    for record in records:
        found.read += 1
        reason = kept_out(record, rules)
        if reason:
            found.left_out[reason] += 1
            continue
        taken: list[tuple[str, Any, str]] = []
        for role in rules.roles:
            taken += [("pairs", pair, _digest(pair)) for pair in pairs_of(record.trajectory, role)]
        reason = unverified(record.trajectory, rules)
        if reason:
            found.left_out[reason] += 1
        else:
            taken += [("examples", each, each.key) for each in examples_of(record, rules.roles)]
        for kind, each, key in taken:
            if key in seen:
                found.duplicates[kind] += 1
                continue
            seen.add(key)
            getattr(found, kind).append(each)
            if kind == "pairs":
                found.pair_types.append(record.trajectory.task_type)
        if taken:
            _note(found, record)
    return found


def kept_out(record: EpisodeRecord, rules: Rules) -> str:
    """Why an episode must not be trained on; "" = it may be."""
    source = str(record.settings.get("tasks", TRAIN))
    if source not in rules.tasks:
        return f"tasks {source} are not for training"
    named = record.trajectory.task_id.removeprefix("composite-")
    if source == TRAIN and named.startswith(_KEPT_OUT):
        return "the task's id says it is held out"
    return ""


def unverified(trajectory: Trajectory, rules: Rules) -> str:
    """Why an episode is no example; "" = it is one."""
    if rules.solved and not trajectory.success:
        return "not solved"
    if rules.accepted and "checker" in trajectory.dialogues and overruled(trajectory):
        return "an action was executed that the checker had refused"
    return ""


def examples_of(record: EpisodeRecord, roles: Sequence[str]) -> Iterator[Example]:
    """The dialogues of these roles that have something to learn."""
    trajectory = record.trajectory
    for role in roles:
        policy = record.policies.get(role, "")
        for number, dialogue in enumerate(trajectory.dialogues.get(role, ())):
            steps = [step for step in trajectory.steps if step.role == role and step.dialogue == number]
            messages, own = _chat(dialogue.messages, role)
            learned = [worth(trajectory, step) for step in steps]
            # A dialogue that memory began anew repeats earlier replies; they were learned where they were said.
            learned = [False] * (len(own) - len(learned)) + learned
            loss = [False] * len(messages)
            for place, learn in zip(own, learned, strict=True):
                loss[place] = learn
            if any(loss):
                end = len(loss) - loss[::-1].index(True)
                yield Example(role, messages[:end], tuple(loss[:end]), _facts(trajectory, policy))


def pairs_of(trajectory: Trajectory, role: str = "assistant") -> Iterator[dict[str, Any]]:
    """A line of a pairs file for every revision that made a bad proposal good."""
    for refused, revised in improved(trajectory, role):
        if refused.generation.text == revised.generation.text:
            continue
        messages, own = _chat(trajectory.dialogues[role][refused.dialogue].messages, role)
        said = [step for step in trajectory.steps if step.role == role and step.dialogue == refused.dialogue]
        place = own[len(own) - len(said) + said.index(refused)]
        yield {
            "role": role,
            "prompt": messages[:place],
            "chosen": [{"role": "assistant", "content": revised.generation.text}],
            "rejected": [{"role": "assistant", "content": refused.generation.text}],
        }


def read_logs(paths: Sequence[Path], *, on_torn: Callable[[str], None] | None = None) -> Iterator[EpisodeRecord]:
    """The episodes of all these logs or run folders, in order."""
    for path in paths:
        yield from read_episodes(path, on_torn=on_torn)


def _chat(messages: Sequence[Message], role: str) -> tuple[Chat, list[int]]:
    """Messages as a chat, several of others in a row as one; and where the role's own stand."""
    chat: Chat = []
    own: list[int] = []
    for message in messages:
        kind = "assistant" if message.speaker == role else "system" if message.speaker == "system" else "user"
        if kind == "user" and chat and chat[-1]["role"] == "user":
            chat[-1] = {"role": "user", "content": f"{chat[-1]['content']}\n{message.content}"}
            continue
        if kind == "assistant":
            own.append(len(chat))
        chat.append({"role": kind, "content": message.content})
    return chat, own


def _facts(trajectory: Trajectory, policy: str) -> dict[str, Any]:
    name = policy.partition(":")[0]
    source = "demonstration" if name in ORACLES else "human" if name == "human" else "sampled"
    return {
        "env_id": trajectory.env_id,
        "task_id": trajectory.task_id,
        "task_type": trajectory.task_type,
        "seed": trajectory.seed,
        "source": source,
        "policy": policy,
    }


def _note(found: Curated, record: EpisodeRecord) -> None:
    found.seeds.setdefault(record.trajectory.env_id, set()).add(record.trajectory.seed)
    for name, version in record.versions.items():
        found.versions.setdefault(name, set()).add(str(version))
    for role, policy in record.policies.items():
        found.policies.setdefault(role, Counter())[policy] += 1


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
