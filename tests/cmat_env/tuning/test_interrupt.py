"""Stopping a run: whenever the wish comes, the work done so far is on disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cmat_env.policies.hf import HFPolicy
from cmat_env.tuning import checkpoint
from cmat_env.tuning.config import RunSettings, TaskSettings
from cmat_env.tuning.run import Interrupted, Run
from cmat_env.tuning.settings import ALGORITHMS, TunerSettings
from cmat_env.types import Payment, Trajectory

ROLES = ("assistant", "checker")
SMALL = RunSettings(
    iterations=3,
    episodes=2,
    evaluate_every=0,
    checkpoint_every=100,
    task=TaskSettings(settings={"families": ["count_all"], "max_rounds": 1}),
    tuner=TunerSettings(epochs=1, minibatch=0),
)


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_stop_leaves_a_checkpoint_of_the_last_iteration(
    make_policy: Callable[..., HFPolicy], tmp_path: Path, asked: int
) -> None:
    """At whichever question the answer turns to yes: nothing learned is lost, and a resumed run goes on from it."""
    count = 0

    def stop() -> bool:
        nonlocal count
        count += 1
        return count >= asked

    with pytest.raises(Interrupted):
        Run(SMALL, tmp_path, stop=stop).train(make_policy())
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    found = checkpoint.latest(tmp_path / "checkpoints")

    assert found is not None
    assert lines[-1]["iteration"] == found.iteration == found.state["tuner"]["iteration"]
    assert 3 == Run(SMALL, tmp_path).train(make_policy(), resume=True).iteration


def rewarded(trajectories: list[Trajectory]) -> list[Trajectory]:
    """The same episodes, every second one a success that pays everyone, so that there is something to learn."""
    return [
        dataclasses.replace(
            trajectory,
            success=index % 2 == 0,
            payments=tuple(Payment(role, float(index % 2 == 0), "task", 0) for role in ROLES),
        )
        for index, trajectory in enumerate(trajectories)
    ]


@pytest.mark.parametrize("adapter", ["full", "lora"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_goes_on_bit_for_bit(
    make_policy: Callable[..., HFPolicy], tmp_path: Path, algorithm: str, adapter: str
) -> None:
    """Stopped after two of three iterations, resumed with a fresh policy: weights, heads, optimisers, coefficients."""
    tuner = dataclasses.replace(
        SMALL.tuner,
        algorithm=algorithm,  # type: ignore[arg-type]
        learning_rate=0.01,
        warmup=3,
        decay=5,
        value_warmup=1,
        kl_beta=0.1,
    )
    model = dataclasses.replace(SMALL.model, adapter=adapter)  # type: ignore[arg-type]
    settings = dataclasses.replace(SMALL, tuner=tuner, model=model, samples=2, episodes=4)
    Run(settings, tmp_path / "whole", shown=rewarded).train(make_policy(adapter=adapter))
    answers, folder = iter([False, True]), tmp_path / "stopped"
    with pytest.raises(Interrupted):
        Run(settings, folder, shown=rewarded, stop=lambda: next(answers)).train(make_policy(adapter=adapter))
    Run(settings, folder, shown=rewarded).train(make_policy(adapter=adapter), resume=True)
    begun, whole, resumed = (
        checkpoint.load(tmp_path / name).state
        for name in ("stopped/checkpoints/000002", "whole/checkpoints/000003", "stopped/checkpoints/000003")
    )

    for part in ("weights", "tuner"):
        torch.testing.assert_close(whole[part], resumed[part], rtol=0, atol=0)
    for role in ROLES:
        moved = [
            name for name, tensor in begun["weights"][role].items() if not tensor.equal(resumed["weights"][role][name])
        ]
        assert any(name.startswith("policy.") for name in moved)
