"""A checker trained by Stable-Baselines3: it reads hashed text, and chooses between two verdicts.

Run:  pip install 'cmat-env[sb3]' && python examples/sb3_menu.py      (half a minute)
"""

from __future__ import annotations

import tempfile
from functools import partial

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env

import cmat_env
from cmat_env.evaluate import evaluate
from cmat_env.menu import MenuEnv
from cmat_env.policies.features import MenuFeatures
from cmat_env.policies.scripted import DemonstratorPolicy
from cmat_env.views import RoleEnv

STEPS = 2048


def main() -> None:
    """Train on one split, save, and let it play next to the assistant on the other."""
    torch.set_num_threads(1)
    team = partial(cmat_env.make, "cmat/DB-v0", roles=("assistant", "checker"), dry_run=True)
    view = RoleEnv(team(tasks="generated:train"), role="checker", partners={"assistant": DemonstratorPolicy()})
    env = MenuEnv(view, "verdicts", features=MenuFeatures(size=2))
    check_env(env)  # Stable-Baselines3's own
    model = PPO("MlpPolicy", env, n_steps=512, batch_size=128, learning_rate=1e-3, gamma=0.95, seed=0, device="cpu")
    model.learn(STEPS)
    with tempfile.TemporaryDirectory() as folder:
        env.policy(model).save(folder)
        for checker in ("approve", "coin:0.5", f"sb3:{folder}", "oracle"):
            report = evaluate(
                partial(team, tasks="generated:heldout"),
                {"assistant": "demonstrator", "checker": checker},
                episodes=200,
            )
            name = checker.partition(":")[0]
            print(f"{name:<8} checks: {report.success_rate:.0%} solved")


if __name__ == "__main__":
    main()
