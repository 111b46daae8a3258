"""Curated data as files that trainers load, with a card that says what is in them.

sft.jsonl    one dialogue of one role a line: `messages` of a chat, and `loss`, True = learn this message
turns.jsonl  one message to learn a line: `prompt` and `completion`, for trainers that know no flags (TRL's SFTTrainer)
pairs.jsonl  `prompt`, `chosen`, `rejected`: a proposal before and after a revision (our dpo; TRL's DPOTrainer)
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmat_env import durable
from cmat_env.curate import Curated, Rules
from cmat_env.errors import ConfigError
from cmat_env.log import versions

SFT, TURNS, PAIRS, CARD, README = "sft.jsonl", "turns.jsonl", "pairs.jsonl", "card.json", "README.md"


def write(found: Curated, folder: Path, *, rules: Rules, sources: Sequence[str]) -> None:
    """Write data and card; the folder is whole, or not there.

    Raises:
        ConfigError: the folder exists and holds something else, or cannot be written.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / CARD).is_file():
        raise ConfigError(f"{folder} exists and holds no curated data; choose another folder")
    lines: dict[str, Iterable[Any]] = {
        SFT: [{"messages": e.messages, "loss": list(e.loss), "role": e.role, **e.facts} for e in found.examples],
        TURNS: [turn for example in found.examples for turn in example.turns()],
        PAIRS: found.pairs,
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with durable.new_folder(folder) as partial:
            hashes = {}
            for name, rows in lines.items():
                data = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode("utf-8", "replace")
                (partial / name).write_bytes(data)
                hashes[name] = {"lines": data.count(b"\n"), "sha256": hashlib.sha256(data).hexdigest()}
            facts = card(found, rules=rules, sources=sources) | {"files": hashes}
            (partial / CARD).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            (partial / README).write_text(described(facts), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}; choose another folder") from error


def card(found: Curated, *, rules: Rules, sources: Sequence[str]) -> dict[str, Any]:
    """What is in the data, in JSON's types."""
    examples = found.examples
    return {
        "format": 1,
        "logs": list(sources),
        "rules": {"roles": list(rules.roles), "tasks": list(rules.tasks), "solved": rules.solved}
        | {"accepted": rules.accepted},
        "episodes": {"read": found.read, "left out": dict(sorted(found.left_out.items()))},
        "examples": len(examples),
        "messages to learn": sum(sum(each.loss) for each in examples),
        "pairs": len(found.pairs),
        "duplicates removed": dict(sorted(found.duplicates.items())),
        "examples by role": _counted(each.role for each in examples),
        "examples by source": _counted(str(each.facts["source"]) for each in examples),
        "examples by task type": _counted(str(each.facts["task_type"]) for each in examples),
        "pairs by task type": _counted(found.pair_types),
        "seeds": {env: [min(seeds), max(seeds), len(seeds)] for env, seeds in sorted(found.seeds.items())},
        "policies": {role: dict(sorted(counts.items())) for role, counts in sorted(found.policies.items())},
        "recorded with": {name: sorted(each) for name, each in sorted(found.versions.items())},
        "curated with": versions(),
    }


def described(facts: Mapping[str, Any]) -> str:
    """The card for a person, with the head that the Hub of Hugging Face reads."""
    configs = "".join(
        f"- config_name: {name.removesuffix('.jsonl')}\n  data_files: {name}\n"
        for name, file in facts["files"].items()
        if file["lines"]
    )
    head = f"---\nconfigs:\n{configs}---\n\n" if configs else ""
    rules, episodes = facts["rules"], facts["episodes"]
    verified = "solved, as the environment says" if rules["solved"] else "solved or not"
    accepted = "and accepted by the checker where there was one" if rules["accepted"] else "accepted or not"
    parts = [
        f"{head}# Episodes of cmat-env, curated\n",
        f"{facts['examples']} dialogues ({facts['messages to learn']} messages to learn) and {facts['pairs']} pairs "
        f"of preferences from {episodes['read']} episodes: {verified}, {accepted}. Roles: {', '.join(rules['roles'])}. "
        f"Tasks: {', '.join(rules['tasks'])}; nothing of a held-out split.\n",
        _table(
            "Files", {name: f"{file['lines']} lines, sha256 {file['sha256']}" for name, file in facts["files"].items()}
        ),
        _table("Left out", episodes["left out"]),
        _table("Duplicates removed", facts["duplicates removed"]),
        *(_table(f"{name[0].upper()}{name[1:]}", facts[name]) for name in facts if " by " in name),
        _table(
            "Seeds", {env: f"{low} to {high}, {count} of them" for env, (low, high, count) in facts["seeds"].items()}
        ),
        *(_table(f"Who played the {role}", counts) for role, counts in facts["policies"].items()),
        _table("Recorded with", {name: ", ".join(each) for name, each in facts["recorded with"].items()}),
        _table("Curated with", facts["curated with"]),
        _table("Logs", dict.fromkeys(facts["logs"], "")),
    ]
    return "\n".join(part for part in parts if part)


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _table(title: str, rows: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    cells = "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items())
    return f"## {title}\n\n| | |\n|---|---|\n{cells}\n"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
