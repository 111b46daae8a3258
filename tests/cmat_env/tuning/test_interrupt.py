"""Stopping a run: whenever the wish comes, the work done so far is on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cmat_env.policies.hf import HFPolicy
from cmat_env.tuning import checkpoint
from cmat_env.tuning.config import RunSettings, TaskSettings
from cmat_env.tuning.run import Interrupted, Run
from cmat_env.tuning.settings import TunerSettings

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
