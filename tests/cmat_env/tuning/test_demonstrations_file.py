"""A warm start from a file of dialogues instead of demonstrations that are played."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cmat_env.cli import main
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.tuning.config import load
from cmat_env.tuning.run import Run
from cmat_env.types import Dialogue, Message

SETTINGS = load(Path(__file__).with_name("tiny_run.toml"))


def with_file(file: Path, **sft: Any) -> Any:
    """The tiny run, imitating a file."""
    start = dataclasses.replace(
        SETTINGS.warm_start, file=str(file), sft=dataclasses.replace(SETTINGS.warm_start.sft, **sft)
    )
    team = dataclasses.replace(SETTINGS.team, roles=("assistant",), learners=("assistant",), dry_run=False, balance=0)
    return dataclasses.replace(
        SETTINGS, warm_start=start, team=team, iterations=1, evaluate_every=0, checkpoint_every=1
    )


def test_a_model_learns_what_the_file_says_and_not_what_it_leaves_out(tmp_path: Path) -> None:
    """AgentInstruct's form: what has loss is learned, what has none is context; long ones are left out."""
    turns = [("human", "say a or b", None), ("gpt", "never", False), ("human", "which?", None), ("gpt", "bbb", True)]
    told = {"conversations": [{"from": who, "value": what, "loss": loss} for who, what, loss in turns]}
    long = {"conversations": [{"from": "human", "value": "7 " * 4000}, {"from": "gpt", "value": "1"}]}
    file = tmp_path / "dialogues.json"
    file.write_text(json.dumps([told, long]))
    notices: list[str] = []

    def report(event: str, facts: Any) -> None:
        if event == "notice":
            notices.append(facts["text"])

    Run(with_file(file, steps=60, learning_rate=0.02), tmp_path / "run", report=report).execute()
    policy = HFPolicy.load(tmp_path / "run" / "warm_start", sampling=Sampling(greedy=True, max_new_tokens=8))
    first = Dialogue("assistant", messages=[Message("environment", "say a or b")])
    second = Dialogue("assistant", messages=[
        Message("environment", "say a or b"), Message("assistant", "never"), Message("environment", "which?"),
    ])  # fmt: skip

    assert ["1 of 2 dialogues are longer than model.context=512 tokens and are left out"] == notices
    assert ["bbb"] == [reply.text for reply in policy.generate([second], seed=0)]
    assert "never" not in policy.generate([first], seed=0)[0].text


def test_exported_episodes_are_such_a_file(tmp_path: Path) -> None:
    """What `cmat export` writes is what the warm start reads."""
    rows = tmp_path / "rows.jsonl"
    common = ["--roles", "assistant", "--assistant", "gold", "--episodes", "8", "--record", str(tmp_path / "gold")]
    assert 0 == main(["eval", "cmat/DB-v0", *common, "--prompts", "none"])
    assert 0 == main(["export", str(tmp_path / "gold"), "--to", "jsonl", "--out", str(rows), "--solved"])
    Run(with_file(rows), tmp_path / "run").execute()

    assert (tmp_path / "run" / "final" / "config.json").is_file()
    assert f'file = "{rows}"' in (tmp_path / "run" / "config.toml").read_text()


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is made."""
    config = tmp_path / "run.toml"
    config.write_text(f'[warm_start]\nfile = "{tmp_path}/none.jsonl"\n')

    assert 2 == main(["train", str(config), "--out", str(tmp_path / "run")])
    assert "none.jsonl cannot be read" in capsys.readouterr().err
