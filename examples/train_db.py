"""Tune a small team on a database from a script, in about half a minute on a laptop.

    python examples/train_db.py [FOLDER]

A TinyAgent is made from scratch, warmed up on imperfect demonstrations of four families of questions, and tuned by PPO
from the environment's reward. For the real thing use `cmat demo`, or `cmat train tinyagent-nano-db`.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmat_env.tuning.config import ModelSettings, RunSettings, TaskSettings, TeamSettings, WarmStartSettings
from cmat_env.tuning.run import Run
from cmat_env.tuning.settings import SFTSettings, TunerSettings

SETTINGS = RunSettings(
    seed=0,
    iterations=8,
    episodes=64,
    evaluate_every=0,
    final_episodes=100,
    task=TaskSettings(
        settings={"families": ["count_all", "max", "min", "sum"], "max_rounds": 4, "max_observation": 48},
        evaluate="generated:heldout",
    ),
    team=TeamSettings(roles=("user", "assistant"), learners=("assistant",)),
    model=ModelSettings(layers=2, max_new_tokens=32),
    warm_start=WarmStartSettings(episodes=1500, sft=SFTSettings(steps=300, batch=16, line_width=192)),
    tuner=TunerSettings(value_warmup=1, warmup=2, learning_rate=2e-4, line_width=192),
)


def report(event: str, figures: Mapping[str, Any]) -> None:
    """Print what the run tells."""
    if event == "iteration":
        print(f"iteration {figures['iteration']}: success {figures['success']:.2f}")
    elif event == "evaluation":
        print(f"{figures['when']}: {figures['title']}: {figures['report'].success_rate:.2f}")


def main() -> None:
    """Train into the given folder, or into one that is thrown away."""
    if len(sys.argv) > 1:
        Run(SETTINGS, Path(sys.argv[1]), report=report).execute()
        return
    with tempfile.TemporaryDirectory() as folder:
        Run(SETTINGS, Path(folder), report=report).execute()


if __name__ == "__main__":
    main()
