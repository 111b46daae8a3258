"""Is the answer right? Checkers run in our own process, scripts with untouched tools on the sandbox's files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import regex

from cmat_env.envs.operating_system.backends.base import View
from cmat_env.envs.operating_system.checkers import CHECKERS, Fidelity
from cmat_env.envs.operating_system.process import Running
from cmat_env.envs.operating_system.sandbox import Sandbox
from cmat_env.envs.operating_system.tasks import Match, OSTask, Script
from cmat_env.errors import ConfigError

_SHOWN = 1000
SEARCH_SECONDS = 1.0
"""A pattern of a task file that takes longer on an answer has not found it."""
_LONGEST_ANSWER = 100_000


@dataclass(frozen=True, slots=True)
class Gold:
    """What the gold script gave.

    Attributes:
        output: its standard output.
        ok: did it exit with 0?
    """

    output: str
    ok: bool

    @property
    def shown(self) -> str | None:
        """For infos: cut, and None if the script failed."""
        return self.output[:_SHOWN].rstrip("\n") if self.ok else None


def start_gold(sandbox: Sandbox, script: Script, *, view: View, seconds: float, answer: str = "") -> Running:
    """Start the gold script."""
    args = (answer,) if answer else ()
    return sandbox.start(script.code, language=script.language, args=args, view=view, seconds=seconds)


def gold_of(running: Running) -> Gold:
    """Wait for a gold script."""
    try:
        done = running.wait()
    finally:
        running.close()
    return Gold(done.stdout.decode("utf-8", errors="replace"), done.status == 0 and not done.timed_out)


def grade_match(match: Match, answer: str | None) -> bool:
    """By the one right answer: equal, or found by the pattern in time; nothing is right that was not said."""
    if answer is None:
        return False
    said = answer.strip() if match.strip else answer
    if match.answer is not None:
        return said == match.answer
    try:
        return regex.search(match.regex or "", said, timeout=SEARCH_SECONDS) is not None
    except TimeoutError:
        return False


def grade_checks(
    task: OSTask,
    answer: str | None,
    *,
    sandbox: Sandbox,
    gold: Callable[[], Gold | None],
    fidelity: Fidelity,
    seconds: float,
) -> bool:
    """By the task's checks in order; each gets the answer and what those before it printed.

    Args:
        task: one with checks.
        answer: of the agent; None counts as the word None, as upstream.
        sandbox: where scripts find the agent's files.
        gold: runs the example where the comparison wants it; None = that was not possible.
        fidelity: of the checkers.
        seconds: wall time of one script.
    """
    params = [str(answer)]
    if len(params[0].encode("utf-8", errors="replace")) > _LONGEST_ANSWER or "\0" in params[0]:
        return False
    for check in task.checks:
        if check.kind == "checker":
            if len(params) < 2 or not CHECKERS[check.checker](params[0], params[1], fidelity):
                return False
        elif check.kind == "example":
            found = gold()
            if found is None or not found.ok:
                return False
            params.append(found.output)
        else:
            assert check.script is not None
            script = check.script
            try:
                done = sandbox.run(script.code, language=script.language, args=params, view="pristine", seconds=seconds)
            except ConfigError:  # an argument that the kernel would refuse
                return False
            if done.status != 0 or done.timed_out:
                return False
            params.append(done.stdout.decode("utf-8", errors="replace"))
    return True
