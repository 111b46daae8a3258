"""A new environment plugged in: guess a number with a team. A task is a `gymnasium.Env[str, str]`, nothing more.

Run:  python examples/custom_task.py
"""

from __future__ import annotations

from typing import Any

import gymnasium

import cmat_env
from cmat_env.evaluate import evaluate
from cmat_env.spaces import AnyText
from cmat_env.testing import check_task


class Guess(gymnasium.Env[str, str]):
    """Find a number from 1 to 100 within seven guesses, told "higher" or "lower"."""

    observation_space = AnyText(200)
    action_space = AnyText(200)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Think of a number."""
        super().reset(seed=seed)
        self.secret, self.left = int(self.np_random.integers(1, 101)), 7
        return "Guess my number, 1 to 100.", self.info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Answer a guess; any text is legal."""
        self.left -= 1
        guess = int(action) if action.strip().isdecimal() and len(action) < 10 else 0
        won = guess == self.secret
        answer = "right" if won else "higher" if guess < self.secret else "lower"
        return answer, float(won), won, not won and not self.left, self.info() | {"success": won, "score": float(won)}

    def info(self) -> dict[str, Any]:
        """Which task this is."""
        return {"task_id": f"guess-{self.secret}", "task_type": "guess"}

    def solution(self) -> list[str]:
        """An optional extra: it lets the gold policy play."""
        return [str(self.secret)]


cmat_env.register("example/Guess-v0", Guess)

if __name__ == "__main__":
    check_task(Guess)
    print("check_task is content")
    for assistant in ("gold", "random"):
        report = evaluate("example/Guess-v0", {"user": "echo", "assistant": assistant}, episodes=50)
        print(f"{assistant:<7} solves {report.success_rate:.0%}, outcomes {report.outcomes}")
