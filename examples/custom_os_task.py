"""A task of your own on a machine of its own: mend a broken script. The sandbox is public, the rest a Gymnasium env.

Run:  python examples/custom_os_task.py        (needs: pip install 'cmat-env[os]')
"""

from __future__ import annotations

from typing import Any

import gymnasium

import cmat_env
from cmat_env.envs.operating_system import Sandbox
from cmat_env.evaluate import evaluate
from cmat_env.spaces import AnyText


class Mend(gymnasium.Env[str, str]):
    """/root/add.sh must print the sum of its two arguments. Every action is bash; the word "done" ends the episode."""

    observation_space = AnyText(5000)
    action_space = AnyText(5000)
    sandbox: Sandbox | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Break it in one of two ways."""
        super().reset(seed=seed)
        self.close()
        self.sandbox = Sandbox(seconds=5, disk=32 << 20, memory=128 << 20)
        self.bug, self.left = ("minus", "unquoted")[int(self.np_random.integers(2))], 5
        body = {"minus": "echo $(($1 - $2))", "unquoted": "echo '$(($1 + $2))'"}[self.bug]
        self.sandbox.run(f'cat > add.sh <<"END"\n{body}\nEND')
        return (
            "/root/add.sh should print the sum of its two arguments, but does not. Mend it, then say done.",
            self.info(),
        )

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Run it, or grade: by a program with untouched tools, on numbers that the agent never saw."""
        assert self.sandbox is not None
        self.left -= 1
        if action.strip() != "done" and self.left:
            return self.sandbox.execute(action).output[:5000], 0.0, False, False, self.info()
        a, b = (int(n) for n in self.np_random.integers(0, 10**6, 2))
        won = self.sandbox.run(f"bash add.sh {a} {b}", view="pristine").stdout.strip() == str(a + b).encode()
        self.close()
        over = action.strip() == "done"
        return "", float(won), over, not over, self.info() | {"success": won, "score": float(won)}

    def info(self) -> dict[str, Any]:
        """Which task this is."""
        return {"task_id": self.bug, "task_type": "mend"}

    def solution(self) -> list[str]:
        """An optional extra: it lets the gold policy play."""
        return ["echo 'echo $(($1 + $2))' > /root/add.sh", "done"]

    def close(self) -> None:
        """Remove the machine."""
        if self.sandbox is not None:
            self.sandbox.close()


cmat_env.register("example/Mend-v0", Mend)

if __name__ == "__main__":
    for assistant in ("gold", "random"):
        report = evaluate("example/Mend-v0", {"user": "echo", "assistant": assistant}, episodes=5)
        print(f"{assistant:<7} solves {report.success_rate:.0%}, outcomes {report.outcomes}")
