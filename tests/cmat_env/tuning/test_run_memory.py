"""Trials and long-term memory in a training run: exact resume, the same again for a seed, and who may read what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.memory_store import LongTermMemory, NewMemory
from cmat_env.errors import ConfigError
from cmat_env.log import read_episodes
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.policies.tiny import TinyConfig, make_model, train_tokenizer
from cmat_env.tuning import checkpoint
from cmat_env.tuning.config import ModelSettings, RunSettings, TaskSettings, TeamSettings, TrialSettings, from_mapping
from cmat_env.tuning.run import Interrupted, Run
from cmat_env.tuning.settings import TunerSettings

SMALL = RunSettings(
    iterations=3,
    episodes=4,
    evaluate_every=3,
    evaluate_episodes=2,
    checkpoint_every=1,
    record_every=1,
    task=TaskSettings(settings={"families": ["count_all", "max", "min"], "max_rounds": 2, "max_observation": 48}),
    team=TeamSettings(memory=160, digest=16),
    model=ModelSettings(max_new_tokens=6),
    tuner=TunerSettings(value_warmup=0, minibatch=2),
    trials=TrialSettings(most=2),
    memory=MemorySettings(recall=2, capacity=5, strength=8.0),
)
CLOCKS = ("rollout_seconds", "update_seconds", "wall_seconds")


def make_policy() -> HFPolicy:
    """A few thousand weights that say anything."""
    tokenizer = train_tokenizer(
        ["Action: Answer", "Final Answer: 1", "Not solved: wrong. Reflect."] * 4, vocabulary=300
    )
    size = TinyConfig(vocabulary=300, width=16, layers=1, heads=2, feed_forward=16, context=600, init_std=0.3)
    model = make_model(tokenizer, size, seed=0)
    return HFPolicy(model, tokenizer, roles=("assistant", "checker"), sampling=Sampling(max_new_tokens=6))


def left_by(folder: Path, policy: HFPolicy) -> tuple[Any, ...]:
    """Weights, metrics without clocks, the memory in the file and in the last checkpoint, the recorded episodes."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    metrics = [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]
    with LongTermMemory(folder / "memory.sqlite") as memory:
        kept = memory.state_dict()
    found = checkpoint.latest(folder / "checkpoints")
    assert found is not None
    weights = [p.detach().clone() for role in policy.weights.roles for p in policy.weights.policy_parameters(role)]
    told = [
        (r.trajectory.recalled, r.trajectory.trial, r.trajectory.steps)
        for r in read_episodes(folder / "training.jsonl")
    ]
    return weights, metrics, kept, found.state["memory"], told


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """What a run leaves that nobody stopped."""
    torch.set_num_threads(1)
    folder, policy = tmp_path_factory.mktemp("runs") / "whole", make_policy()
    Run(SMALL, folder).train(policy)
    return left_by(folder, policy)


def test_trials_and_memory_are_in_the_loop(undisturbed: tuple[Any, ...]) -> None:
    """Later iterations recall what earlier ones wrote, failed tasks are tried again, and the memory is bounded."""
    _, metrics, kept, saved, told = undisturbed

    assert kept == saved
    assert 24 == kept["episodes"]  # 3 iterations of 4 episodes; a model that says anything needs both trials
    assert 0 < len(kept["entries"]) <= 2 * 5
    assert {0, 1} == {trial for _, trial, _ in told}
    recalled = [item for recalled, _, _ in told for items in recalled.values() for item in items]
    assert any(item.memory is not None for item in recalled)
    assert any(item.memory is None for item in recalled)
    assert {"act", "reflect"} == {step.kind for _, _, steps in told for step in steps}
    assert [0.0, 0.0, 0.0] == [line["success_in_trials"] for line in metrics]


def test_a_run_that_was_stopped_goes_on_exactly(undisturbed: tuple[Any, ...], tmp_path: Path) -> None:
    """Although the memory has been written to after the checkpoint: what it holds is put back with the weights."""
    folder = tmp_path / "run"
    first = make_policy()
    with pytest.raises(Interrupted):
        Run(SMALL, folder, stop=lambda: True).train(first)
    with LongTermMemory(folder / "memory.sqlite") as memory:
        memory.tick(7)
        memory.add([NewMemory("assistant", "cmat/DB-v0", "written after the checkpoint, and lost by the kill")])
        memory.forget([1])
    again = make_policy()
    Run(SMALL, folder).train(again, resume=True)
    weights, *rest = left_by(folder, again)

    assert all(torch.equal(one, other) for one, other in zip(undisturbed[0], weights, strict=True))
    assert list(undisturbed[1:]) == rest


def test_a_run_begins_with_nothing_remembered(undisturbed: tuple[Any, ...], tmp_path: Path) -> None:
    """A file that lies there already is not read, and the run is the same again."""
    folder = tmp_path / "run"
    folder.mkdir()
    with LongTermMemory(folder / "memory.sqlite") as memory:
        memory.add([NewMemory("assistant", "cmat/DB-v0", "of another run")])
    policy = make_policy()
    Run(SMALL, folder).train(policy)

    assert undisturbed[2] == left_by(folder, policy)[2]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"trials": {"most": 0}}, "trials=0"),
        ({"team": {"memory": 40, "digest": 11}}, "digest=11"),
        ({"memory": {"recal": 3}}, "recall"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], word: str) -> None:
    """Before anything is made."""
    with pytest.raises(ConfigError, match=word):
        from_mapping(wrong, source="test")
