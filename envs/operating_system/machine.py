"""The machine of one episode: prepared as its task says, and examined at the end."""

from __future__ import annotations

import contextlib
from typing import Any

from cmat_env.envs.operating_system.backends.base import SandboxError
from cmat_env.envs.operating_system.checkers import CHECKERS
from cmat_env.envs.operating_system.episode import OSSettings
from cmat_env.envs.operating_system.grade import Gold, gold_of, grade_checks, grade_match, start_gold
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.process import Running
from cmat_env.envs.operating_system.sandbox import Sandbox
from cmat_env.envs.operating_system.tasks import OSTask

_SAID = 1000


class Machine:
    """A sandbox with a task in it.

    Attributes:
        sandbox: the sandbox itself.

    Raises:
        SandboxError: no sandbox could be started.
    """

    def __init__(self, task: OSTask, limits: SandboxSettings, settings: OSSettings) -> None:
        self.sandbox = Sandbox(limits)
        self._task = task
        self._settings = settings
        self._running: Running | None = None
        self._gold: Gold | None = None

    def prepare(self) -> str | None:
        """Run what prepares the machine, keep how it is then, and start the gold script on that.

        Returns:
            What a failed init script said, where that is the end of the episode; else None.
        """
        task, sandbox, settings = self._task, self.sandbox, self._settings
        with contextlib.suppress(SandboxError):  # one that has died already is met in the first step
            for script in task.init:
                done = sandbox.run(script.code, language=script.language, seconds=settings.init_seconds)
                if (done.status or done.timed_out) and settings.fidelity == "upstream":
                    said = "it took too long" if done.timed_out else done.stderr.decode(errors="replace")[-200:]
                    return said.strip() or f"exit status {done.status}"
            if task.start:
                sandbox.type_in(task.start)
            if task.example is not None and task.compares:
                sandbox.snapshot()
                self._running = start_gold(sandbox, task.example, view="snapshot", seconds=settings.init_seconds)
        return None

    def gold(self) -> Gold | None:
        """What the gold script gave before the agent did anything; waits for it, so that the agent never meets it."""
        if self._running is not None:
            running, self._running = self._running, None
            with contextlib.suppress(SandboxError):
                self._gold = gold_of(running)
        return self._gold

    def expects(self, given: str | None) -> bool | None:
        """Would the answer be right by what was known before the agent came? None = that cannot be said."""
        task = self._task
        if task.match is not None:
            return grade_match(task.match, given)
        gold = self.gold()
        if [check.kind for check in task.checks] != ["example", "checker"] or gold is None:
            return None
        return gold.ok and CHECKERS[task.checks[1].checker](str(given), gold.output, self._settings.fidelity)

    def examine(self, given: str | None) -> tuple[bool, dict[str, Any]]:
        """Grade the answer; the agent's processes still run, and can do nothing about it.

        Returns:
            Is it right? And what infos say about the gold.

        Raises:
            SandboxError: the sandbox is dead.
        """
        task, settings, kept = self._task, self._settings, self.gold()
        live: list[Gold] = []

        def gold_now() -> Gold:
            """The gold script in the sandbox as it is now, with untouched tools; once."""
            if not live:
                live.append(self._run_gold(given))
            return live[0]

        if task.match is not None:
            right = grade_match(task.match, given)
        else:
            right = grade_checks(
                task,
                given,
                sandbox=self.sandbox,
                gold=gold_now if settings.gold == "live" else lambda: kept,
                fidelity=settings.fidelity,
                seconds=settings.init_seconds,
            )
        if not right and not self.sandbox.alive:
            raise SandboxError("the sandbox died before the answer was graded")
        if not task.compares:
            return right, {}
        now = gold_now()
        mismatch = kept is None or (now.output, now.ok) != (kept.output, kept.ok)
        return right, {
            "gold_live": now.shown,
            "gold_snapshot": kept.shown if kept else None,
            "gold_mismatch": mismatch,
        }

    def _run_gold(self, given: str | None) -> Gold:
        assert self._task.example is not None
        said, seconds = str(given)[:_SAID].replace("\0", ""), self._settings.init_seconds
        return gold_of(start_gold(self.sandbox, self._task.example, view="pristine", seconds=seconds, answer=said))

    def close(self) -> None:
        """Remove it; twice is fine."""
        if self._running is not None:
            self._running.close()
            self._running = None
        self.sandbox.close()
