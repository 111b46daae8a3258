"""Episodes as verifiers' traces: every token where it was, every payment, and the real package reads them.

verifiers 0.4.0 wants an older `openai` than our own tests, so that it has an environment of its own:

    python -m venv runs/verifiers && runs/verifiers/bin/pip install verifiers==0.4.0
    CMAT_VERIFIERS_PYTHON=runs/verifiers/bin/python pytest tests/cmat_env/test_verifiers.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cmat_env.cli import main
from cmat_env.log import read_episodes
from cmat_env.types import Dialogue, Generation, Message
from cmat_env.verifiers import _path

PYTHON = os.environ.get("CMAT_VERIFIERS_PYTHON", "")
READ = """
import json, sys
from pathlib import Path
from verifiers.v1 import WireTrace
from verifiers.v1.utils.trace_store import read_episodes

told = [
    {
        "ok": episode.ok, "env": episode.env.id, "task": episode.task.data.id, "turns": episode.num_turns,
        "roles": {
            name: [
                [trace.reward, trace.agent.trainable, trace.num_branches, trace.metrics["success"], trace.is_truncated,
                 [message.content for message in trace.assistant_messages]]
                for trace in traces
            ]
            for name, traces in episode.by_agent.items()
        },
    }
    for episode in read_episodes(Path(sys.argv[1]), WireTrace)
]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six episodes of a team."""
    folder = tmp_path_factory.mktemp("run")
    team = ["--assistant", "demonstrator", "--checker", "oracle", "--episodes", "6"]
    assert 0 == main(["eval", "cmat/DB-v0", *team, "--record", str(folder)])
    return folder


def said(dialogue: Dialogue, text: str, ids: tuple[int, ...] | None) -> None:
    """The role replies."""
    dialogue.reply(Generation(text, ids, None if ids is None else tuple(-0.5 for _ in ids)))


def test_tokens_stay_where_they_were() -> None:
    """Joined along the path, ids, mask and log-probabilities are the dialogue's own."""
    dialogue = Dialogue("assistant", messages=[Message("system", "s"), Message("user", "q")])
    dialogue.encode([1, 2, 3])
    said(dialogue, "a", (4, 5))
    dialogue.say(Message("environment", "o"))
    dialogue.encode([6])
    said(dialogue, "b", (7,))
    dialogue.say(Message("environment", "end"))
    nodes = _path(dialogue, "assistant", 10)

    assert [None, 10, 11, 12, 13, 14] == [node["parent"] for node in nodes]
    assert [[1, 2, 3], [], [4, 5], [6], [7], []] == [node["token_ids"] for node in nodes]
    assert [False, False, True, False, True, False] == [node["sampled"] for node in nodes]
    assert dialogue.action_mask == [flag for node in nodes for flag in node["mask"]]
    assert [[], [], [-0.5, -0.5], [], [-0.5], []] == [node["logprobs"] for node in nodes]
    assert ["system", "user", "assistant", "user", "assistant", "user"] == [node["message"]["role"] for node in nodes]


def test_without_all_ids_none_are_written() -> None:
    """A reply typed by a person has none, and those of its neighbours would stand in the wrong place."""
    dialogue = Dialogue("assistant", messages=[Message("user", "q")])
    said(dialogue, "typed", None)
    dialogue.encode([1])
    said(dialogue, "sampled", (2,))

    assert [[], [], []] == [node["token_ids"] for node in _path(dialogue, "assistant", 0)]


def test_rewards_are_the_ledgers(run: Path, tmp_path: Path) -> None:
    """By role and reason; a line an episode, all roles in it, those asked for trainable."""
    file = tmp_path / "traces.jsonl"
    assert 0 == main(["export", str(run), "--to", "verifiers", "--out", str(file), "--role", "checker"])
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    episodes = [record.trajectory for record in read_episodes(run)]

    assert [episode.task_id for episode in episodes] == [line["task"]["data"]["id"] for line in lines]
    for line, episode in zip(lines, episodes, strict=True):
        paid = {t["agent"]["name"]: sum(r["score"] for r in t["rewards"].values()) for t in line["traces"]}
        assert episode.returns() == pytest.approx(paid)
        assert {"assistant": False, "checker": True} == {
            t["agent"]["name"]: t["agent"]["trainable"] for t in line["traces"]
        }
        assert {"verdict", "team"} >= set(line["traces"][1]["rewards"])


@pytest.mark.skipif(not PYTHON, reason="CMAT_VERIFIERS_PYTHON names no Python that has verifiers 0.4.0; see above")
def test_verifiers_itself_reads_them(run: Path, tmp_path: Path) -> None:
    """With the package from the index: roles, rewards, turns and words."""
    assert 0 == main(["export", str(run), "--to", "verifiers", "--out", str(tmp_path / "traces.jsonl")])
    command = [PYTHON, "-c", READ, str(tmp_path)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    episodes = [record.trajectory for record in read_episodes(run)]

    assert len(episodes) == len(told)
    for found, episode in zip(told, episodes, strict=True):
        assert (True, "cmat/DB-v0", episode.task_id) == (found["ok"], found["env"], found["task"])
        assert len(episode.steps) == found["turns"]
        for role, [trace] in found["roles"].items():
            words = [step.generation.text for step in episode.steps if step.role == role]
            reward, *facts, spoken = trace
            assert episode.returns()[role] == pytest.approx(reward)
            assert [role == "assistant", 1, float(episode.success), False] == facts
            assert words == spoken
