"""A policy of your own: a checker that refuses statements which would fail, or find nothing.

Run:  python examples/custom_policy.py
or:   cmat eval cmat/DB-v0 --assistant demonstrator --checker examples.custom_policy:DryRunChecker --dry-run
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import cmat_env
from cmat_env.evaluate import evaluate
from cmat_env.policies.scripted import ApprovePolicy, OracleChecker
from cmat_env.testing import check_policy
from cmat_env.types import Dialogue, Generation, Policy


class DryRunChecker:
    """Any object with `generate` is a policy: a batch of dialogues in, one reply for each of them out."""

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """A verdict on the latest proposal of each dialogue."""
        return [Generation(self.verdict(dialogue.messages[-1].content)) for dialogue in dialogues]

    def verdict(self, message: str) -> str:
        """Read the dry run at the end of the checker's message."""
        _, shown, outcome = message.rpartition("Dry run: ")
        if shown and "error" in outcome.lower():
            return f"Verdict: revise. It would fail: {outcome}"
        if outcome in ("[]", "[(None,)]", "[(0,)]") and "SELECT" in message:
            return "Verdict: revise. It would find nothing."
        return "Verdict: approve"


def main() -> None:
    """Compare it with a checker that approves everything and one that knows, on the same imperfect assistant."""
    check_policy(DryRunChecker(), roles=("checker",))
    make_env = partial(cmat_env.make, "cmat/DB-v0", roles=("assistant", "checker"), dry_run=True)
    checkers: dict[str, Policy] = {
        "approves all": ApprovePolicy(),
        "believes the dry run": DryRunChecker(),
        "knows the answer": OracleChecker(),
    }
    for name, checker in checkers.items():
        report = evaluate(make_env, {"assistant": "demonstrator", "checker": checker}, episodes=300)
        assert report.checker is not None
        print(f"{name:<20} {report.success_rate:.1%} solved, {report.checker.revision_rate:.1%} refused")


if __name__ == "__main__":
    main()
