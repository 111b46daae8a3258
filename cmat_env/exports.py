"""Episodes for other people's tools: Hugging Face datasets (Parquet), Minari, and prompts with rewards.

`cmat_env.chat_rows` has the row that all of it stands on.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from cmat_env.chat_rows import ChatRow, facts_of
from cmat_env.errors import ConfigError, MissingExtraError
from cmat_env.types import Step, Trajectory
from cmat_env.verifiers import episodes_of

if TYPE_CHECKING:
    import datasets
    import minari


def to_jsonl(rows: Iterable[ChatRow], file: Path) -> int:
    """Write rows as JSON lines, and say how many."""
    return _write_lines(file, (row.to_json() for row in rows))


def to_dataset(rows: Iterable[ChatRow]) -> datasets.Dataset:
    """Rows as a `datasets.Dataset`: `messages` is a list of {role, content, loss}, facts are columns.

    Raises:
        MissingExtraError: `datasets` is not installed.
        ConfigError: there is no row.
    """
    try:
        import datasets  # noqa: PLC0415 - heavy, and an optional dependency
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("datasets", "export") from error
    listed = [row.to_json() for row in rows]
    if not listed:
        raise ConfigError("there is no dialogue to export; is the role right?")
    return datasets.Dataset.from_list(listed)


def to_parquet(rows: Iterable[ChatRow], file: Path) -> int:
    """Write rows as a Parquet file, which `datasets.load_dataset("parquet", data_files=...)` loads."""
    data = to_dataset(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    data.to_parquet(str(file))
    return len(data)


def to_verifiers(episodes: Iterable[Trajectory], file: Path, *, roles: Sequence[str]) -> int:
    """Write episodes as verifiers reads them (`verifiers.v1.utils.trace_store`), and say how many.

    Args:
        episodes: in order.
        file: `traces.jsonl` in the folder of a run.
        roles: whose traces are marked as trainable; every role's are written.
    """
    return _write_lines(file, episodes_of(episodes, roles))


def to_prompts(rows: Iterable[ChatRow], file: Path) -> int:
    """Write prompts, completions and rewards as JSON lines, with the column names of verifiers' results.

    example_id, prompt (a chat, up to the role's first word), completion (the rest), answer (empty: the environment is
    the judge), task (the environment's id), reward (what the role was paid), metrics, info.
    """
    lines = []
    for number, row in enumerate(rows):
        chat = row.chat()
        first = next(place for place, message in enumerate(chat) if message["role"] == "assistant")
        facts = dict(row.facts)
        lines.append(
            {
                "example_id": number,
                "prompt": chat[:first],
                "completion": chat[first:],
                "answer": "",
                "task": facts.pop("env_id", ""),
                "reward": facts.pop("reward", 0.0),
                "metrics": {name: float(facts.pop(name, 0.0)) for name in ("success", "score")},
                "info": {"role": row.role, **facts},
            }
        )
    return _write_lines(file, lines)


def to_minari(episodes: Sequence[Trajectory], dataset_id: str, *, role: str = "assistant") -> minari.MinariDataset:
    """Write the episodes of one role as a Minari dataset, as a single agent saw them.

    An observation is the message that the role was shown, an action what it said, a reward what that turn was paid.
    The last observation is what it heard after its last word, "" if nothing. What else is known of an episode is in
    its metadata.

    Args:
        episodes: those without a word of the role are left out.
        dataset_id: such as "cmat/db_gold-v0"; Minari keeps it under MINARI_DATASETS_PATH.
        role: whose view.

    Raises:
        MissingExtraError: Minari is not installed.
        ConfigError: the id is taken or of a wrong form, or nothing is left to write.
    """
    try:
        import minari  # noqa: PLC0415 - an optional dependency
        import pyarrow  # noqa: F401, PLC0415 - so that text of any kind is kept
        from minari.data_collector import EpisodeBuffer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(error.name or "minari", "export") from error
    parts = [(episode, [step for step in episode.steps if step.role == role]) for episode in episodes]
    parts = [(episode, steps) for episode, steps in parts if steps]
    if not parts:
        raise ConfigError(f"no episode has a word of role {role!r}; is the role right?")
    envs = ", ".join(sorted({episode.env_id for episode, _ in parts}))
    seen = [_observations(episode, steps, role) for episode, steps in parts]
    buffers = [
        EpisodeBuffer(
            id=number,
            seed=episode.seed,
            options={**facts_of(episode, role), "role": role},
            observations=list(observations),
            actions=[step.generation.text for step in steps],
            rewards=_rewards(episode, steps, role),
            terminations=[*[False] * (len(steps) - 1), episode.terminated],
            truncations=[*[False] * (len(steps) - 1), episode.truncated],
        )
        for number, ((episode, steps), observations) in enumerate(zip(parts, seen, strict=True))
    ]
    try:
        with warnings.catch_warnings():  # that there is no environment to make, and none for an evaluation
            warnings.filterwarnings("ignore", ".*(eval_env|env_spec).*", UserWarning)
            return minari.create_dataset_from_buffers(
                dataset_id,
                buffers,
                observation_space=_space(text for observations in seen for text in observations),
                action_space=_space(step.generation.text for _, steps in parts for step in steps),
                data_format="arrow",
                algorithm_name="cmat-env",
                author="cmat-env",
                author_email="none",
                code_permalink="none",
                description=f"{role} in {envs}: text in, text out.",
            )
    except ValueError as error:
        raise ConfigError(f"Minari does not take the dataset {dataset_id!r}: {error}") from error


def _observations(episode: Trajectory, steps: Sequence[Step], role: str) -> list[str]:
    heard = episode.dialogues[role][-1].messages
    last = heard[-1].content if heard and heard[-1].speaker not in (role, "system") else ""
    return [*(step.observation["message"] for step in steps), last]


def _rewards(episode: Trajectory, steps: Sequence[Step], role: str) -> list[float]:
    """By turn; what was paid before the role's first word counts for that."""
    rewards = np.zeros(len(steps))
    turns = [step.turn for step in steps]
    for payment in episode.payments:
        if payment.role == role:
            rewards[turns.index(payment.turn) if payment.turn in turns else 0] += payment.amount
    return [float(reward) for reward in rewards]


def _space(texts: Iterable[str]) -> gymnasium.spaces.Text:
    """Text of the signs and lengths that occur; a space of any text is nothing that Minari can write down."""
    known = list(texts)
    signs = {sign for text in known for sign in text} | {" "}
    return gymnasium.spaces.Text(max(1, *map(len, known)), min_length=0, charset=frozenset(signs))


def _write_lines(file: Path, lines: Iterable[Any]) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with file.open("w", encoding="utf-8", errors="replace") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    return count
