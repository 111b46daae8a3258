"""The ready-made runs: each is read, and those of real checkpoints run to their end on the families in miniature."""

from __future__ import annotations

import copy
import json
import os
import runpy
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from cmat_env.cli import main
from cmat_env.errors import CmatError, ConfigError
from cmat_env.policies.hf import HFPolicy
from cmat_env.registry import make_task
from cmat_env.tuning.presets import presets, settings_of, summary_of

families: Any = SimpleNamespace(**runpy.run_path(str(Path(__file__).resolve().parents[2] / "policies" / "families.py")))
SHORT = (
    "iterations=1", "episodes=2", "evaluate_every=0", "final_episodes=2", "checkpoint_every=1", "tuner.warmup=0",
    "model.rank=2", "model.virtual_tokens=2", "model.device=cpu", "threads=1", "warm_start.episodes=4",
    "warm_start.sft.steps=2", "warm_start.sft.batch=2", "warm_start.sft.learning_rate=1e-2",
    "tuner.value_warmup=0", "model.max_new_tokens=6",
)  # fmt: skip
"""What makes a run short; what is to be tested of a recipe stays as it is."""


def miniature(family: str, folder: Path) -> Path:
    """A model of the family with random weights, saved as its authors do, but small."""
    tokenizer = copy.deepcopy(families.tokenizer_of(family))
    config = families.CONFIGS[families.FAMILIES[family].model](len(tokenizer))
    config.max_position_embeddings, config.sliding_window = 8_192, None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sets(*settings: str) -> list[str]:
    """As options of the command line."""
    return [word for setting in settings for word in ("--set", setting)]


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_recipe_is_read_and_says_what_it_does(name: str) -> None:
    """A key that no longer exists would be an error; the summary is a line of its own."""
    assert settings_of(name, ["seed=3"]).seed == 3
    assert 20 < len(summary_of(presets()[name])) < 130


@pytest.mark.parametrize(
    ("recipe", "family", "kind"),
    [
        ("qwen2.5-0.5b-lora", "qwen2.5", "lora"),
        ("qwen2.5-1.5b-ptuning", "qwen2.5", "ptuning"),
        ("mistral-7b-lora", "mistral0.3", "lora"),
        ("mistral-7b-lora", "llama3", "lora"),
    ],
)
def test_a_recipe_runs_from_its_warm_start_to_an_evaluation(
    recipe: str, family: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Warm start, PPO, resuming for another iteration, and `cmat eval` of the result, in bfloat16, by recomputing."""
    settings = settings_of(recipe)
    assert (kind, "bfloat16", True) == (
        settings.model.adapter, settings.model.dtype, settings.model.gradient_checkpointing,
    )  # fmt: skip
    given, run = miniature(family, tmp_path / "model"), tmp_path / "run"
    train = ["train", recipe, "--out", str(run)]

    assert 0 == main([*train, *sets(f"model.path={given}", *SHORT)])
    config = run / "config.toml"
    config.write_text(config.read_text().replace("\niterations = 1\n", "\niterations = 2\n"))
    assert 0 == main([*train, "--resume"])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [1, 2] == [line["iteration"] for line in lines]
    before, warm, final = (
        load_file(folder / "model.safetensors") for folder in (given, run / "warm_start", run / "final")
    )
    assert before.keys() == warm.keys() == final.keys()
    assert not all(torch.equal(before[key], warm[key]) for key in before)
    assert all(torch.equal(warm[key], final[key]) and warm[key].dtype == torch.bfloat16 for key in warm)
    capsys.readouterr()
    roles = [f"--{role}=hf:{run / 'final'}@{role}" for role in ("assistant", "checker")]
    assert 0 == main(["eval", "cmat/DB-v0", *roles, "--episodes", "2", "--set", "max_rounds=2", "--json", "-"])
    assert 2 == json.loads(capsys.readouterr().out)["episodes"]


def test_a_model_of_the_hub_is_taken_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was downloaded once needs no network; what was not is an error that says what to do."""
    saved = tmp_path / "models--acme--tiny" / "snapshots" / ("a" * 40)
    miniature("qwen2.5", saved)
    (tmp_path / "models--acme--tiny" / "refs").mkdir()
    (tmp_path / "models--acme--tiny" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    assert torch.bfloat16 == HFPolicy.load("hub:acme/tiny").weights.base.dtype
    with pytest.raises(ConfigError, match=r"acme/other cannot be had.*--set model.path=FOLDER"):
        HFPolicy.load("hub:acme/other")


def test_the_presets_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """By `cmat presets`, a line each, and `cmat train --help`; one as TOML that a file of one's own begins from."""
    assert 0 == main(["presets"])
    lines = capsys.readouterr().out.splitlines()
    assert sorted(presets()) == sorted(line.split()[0] for line in lines)
    assert 0 == main(["train", "--help"])
    helped = capsys.readouterr().out
    assert all(name in helped for name in presets())
    assert 0 == main(["presets", "tinyagent-nano-db"])
    assert "cmat/DB-v0" == tomllib.loads(capsys.readouterr().out)["task"]["env"]
    assert 2 == main(["presets", "tinyagent-nano-bd"])
    assert "did you mean 'tinyagent-nano-db'" in capsys.readouterr().err


def test_all_tasks_are_learned_by_one_team(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`tinyagent-nano` shortened: every task is demonstrated, played and evaluated, and its results stand by itself."""
    members = settings_of("tinyagent-nano").task.settings["members"]
    try:
        for member in members.values():
            make_task(member["env"]).close()
    except (CmatError, OSError) as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"not here: {error}")
    rounds = [f"task.settings.members.{name}.settings.max_rounds=2" for name in members]
    short = (
        *SHORT,
        *rounds,
        "episodes=9",
        "final_episodes=9",
        "warm_start.episodes=9",
        "model.width=16",
        "model.layers=1",
    )
    run = tmp_path / "run"

    assert 0 == main(["train", "tinyagent-nano", "--out", str(run), *sets(*short)])
    [line] = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    report = json.loads((run / "report.json").read_text())["evaluations"]["after: team, greedy"]
    assert set(members) == set(line["success_by_member"]) == set(report["by_member"])
    assert {"db": 4, "os": 2, "kg": 2, "web": 1} == {
        name: score["episodes"] for name, score in report["by_member"].items()
    }
    assert {f"{name}/" for name in members} == {kind[: kind.index("/") + 1] for kind in report["by_type"]}
    shown = capsys.readouterr().out
    assert all(f"│   {name} " in shown for name in members)
