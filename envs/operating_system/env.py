"""`cmat/OS-v0`: work a machine by bash until a question is answered or a change is made, as AgentBench's OS task.

observation: the task, then what each script printed
action:      any text; a codec finds a script or the answer in it
reward:      0 or 1, at the end
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cmat_env.envs.operating_system.backends.base import SandboxError
from cmat_env.envs.operating_system.backends.choose import choose
from cmat_env.envs.operating_system.checkers import Fidelity
from cmat_env.envs.operating_system.codec import CODECS, Answer, Bash, Codec, FormatName, Malformed
from cmat_env.envs.operating_system.demonstrate import choose_script, next_action
from cmat_env.envs.operating_system.episode import Episode, GoldSource, OnInvalid, OSSettings, settings_of
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.machine import Machine
from cmat_env.envs.operating_system.sandbox import Sandbox
from cmat_env.envs.operating_system.source import open_source, warn_of, without_users
from cmat_env.envs.operating_system.tasks import OSTask
from cmat_env.envs.operating_system.wording import Wording, observation_of, shown
from cmat_env.envs.task_env import TaskEnv
from cmat_env.lessons import NOTHING, Lessons, reflection
from cmat_env.protocols import Uniform
from cmat_env.spaces import AnyText
from cmat_env.types import Judgement


class OSEnv(TaskEnv[OSTask, Episode]):
    """One agent at a machine of its own.

    Args:
        tasks: "generated:train" (or dev, heldout, unseen_words), the path of an AgentBench file or of a folder of such
            files, or the tasks themselves.
        script_dir: the folder with the script files that AgentBench's tasks name; tasks whose files are not there are
            skipped, with a warning that names them.
        families: of generated tasks; by default all.
        sandbox: what the sandbox is and may use, or fields of `SandboxSettings`; by default the best one of this host.
        backend, rootfs: of the sandbox, where they differ.
        wording: words of an observation that are not AgentBench's, or fields of `Wording`.
        action_format, max_rounds, max_observation, on_invalid, gold, fidelity, init_seconds, demonstrator_error: see
            `OSSettings`.

    Attributes:
        skipped: by id, why a task of the file cannot be played here.

    `reset(seed=, options={"task": ...})`: of generated tasks, each seed has its own; of a list, seeds go round it;
    options name one by id or number. At the end, infos hold success, score, outcome ("correct", "wrong", "round limit",
    "format", "init failed" or "sandbox died"), metrics, and for tasks with a gold script gold_live, gold_snapshot and
    gold_mismatch. Every info says which sandbox and root file system it was.

    Raises:
        SandboxError: this host allows no sandbox; tasks never run without one.
        ConfigError, UnknownNameError, TaskFileError: an argument is not what it should be.
    """

    def __init__(
        self,
        tasks: str | Path | Sequence[OSTask] = "generated:train",
        *,
        script_dir: str | Path | None = None,
        families: Sequence[str] = (),
        sandbox: SandboxSettings | Mapping[str, Any] | None = None,
        backend: str | None = None,
        rootfs: str | None = None,
        action_format: FormatName = "v0.2",
        max_rounds: int = 8,
        max_observation: int = 800,
        wording: Wording | Mapping[str, Any] | None = None,
        on_invalid: OnInvalid = "observe",
        gold: GoldSource = "live",
        fidelity: Fidelity = "upstream",
        init_seconds: float = 30.0,
        demonstrator_error: float = 0.5,
    ) -> None:
        self.settings = OSSettings(
            action_format,
            max_rounds,
            max_observation,
            settings_of(Wording, wording, "wording"),
            on_invalid,
            gold,
            fidelity,
            init_seconds,
            demonstrator_error,
        )
        given = {name: value for name, value in (("backend", backend), ("rootfs", rootfs)) if value is not None}
        self.sandbox_settings = replace(settings_of(SandboxSettings, sandbox, "sandbox"), **given)  # type: ignore[arg-type]
        self.source = open_source(tasks, script_dir=script_dir, only=families, fidelity=fidelity)
        chosen = choose(self.sandbox_settings)
        if chosen.backend == "single-uid":
            self.source = without_users(self.source)
        self.task_types = self.source.families
        self.skipped = dict(self.source.skipped)
        if self.skipped:
            warn_of(self.skipped, len(self.source.ids or ()))
        self.observation_space = AnyText(max(100_000, max_observation + 2_000))
        self.action_space = AnyText(1_000_000)
        self._machine: Machine | None = None

    @property
    def codec(self) -> Codec:
        """How actions are written."""
        return CODECS[self.settings.action_format]

    @property
    def instructions(self) -> str:
        """AgentBench's prompt for the action format."""
        return self.codec.instructions

    @property
    def sandbox(self) -> Sandbox | None:
        """The sandbox of this episode; None when there is none any more."""
        return None if self._machine is None else self._machine.sandbox

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode in a fresh sandbox.

        Raises:
            UnknownNameError: options["task"] names no task.
            SandboxError: no sandbox could be started.
        """
        task = self._pick(seed, options)
        self._close_machine()
        self._machine = machine = Machine(task, self.sandbox_settings, self.settings)
        self._episode = Episode(task, failed_init=machine.prepare())
        info = self._info()
        if task.known_bad:
            info["known_bad"] = task.known_bad
        return task.description, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one turn; whatever is no text counts as an empty one.

        Raises:
            ResetNeeded: the episode is over, or none has begun.
        """
        state = self._running()
        assert self._machine is not None
        self._machine.gold()  # it has ended before the agent acts
        self._episode = state = replace(state, rounds=state.rounds + 1)
        if state.failed_init is not None:
            return self._end("init failed", f"The machine could not be prepared: {state.failed_init}")
        move = self.codec.parse(action if isinstance(action, str) else "")
        if isinstance(move, Answer):
            return self._commit(move.given)
        if isinstance(move, Malformed):
            if self.settings.on_invalid == "end":
                return self._end("format", move.message)
            seen = move.message
        else:
            seen, dead = self._execute(move)
            if dead:
                return self._end("sandbox died", seen)
        if state.rounds >= self.settings.max_rounds:
            return self._end("round limit", seen)
        return seen, 0.0, False, False, self._info()

    def _execute(self, move: Bash) -> tuple[str, bool]:
        """Run a script, count what happened, and say what it gave and whether the sandbox is gone."""
        assert self.sandbox is not None
        result = self.sandbox.execute(move.script)
        text, cut = shown(result, self.settings.max_observation, self.settings.wording)
        state = self._state
        self._episode = replace(
            state,
            executed=(*state.executed, move.script),
            timeouts=state.timeouts + (result.event == "timeout"),
            restarts=state.restarts + (result.event in ("exited", "restarted")),
            truncations=state.truncations + cut,
            printed=text,
        )
        return observation_of(text, result.event, self.settings.wording), result.event == "dead"

    def _commit(self, given: str | None) -> tuple[str, float, bool, bool, dict[str, Any]]:
        assert self._machine is not None
        try:
            right, gold = self._machine.examine(given)
        except SandboxError:
            return self._end("sandbox died", "The machine is gone.")
        return self._end("correct" if right else "wrong", "", success=right, extra=gold)

    def _end(
        self, outcome: str, seen: str, *, success: bool = False, extra: dict[str, Any] | None = None
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Close the episode, and its sandbox with it."""
        self._episode = replace(self._state, over=True)
        info = self._info() | (extra or {})
        score = 1.0 if success else 0.0
        info |= {"success": success, "score": score, "outcome": outcome, "metrics": self._state.metrics}
        truncated = outcome in ("round limit", "sandbox died")
        if outcome == "sandbox died":
            info["error"] = "the sandbox ended before the episode: its first process is gone"
        self._close_machine()
        return seen, score, not truncated, truncated, info

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {"task_id": self.task.id, "task_type": self.task.family}
        if self.sandbox is not None:
            info |= {"sandbox": self.sandbox.backend, "rootfs": self.sandbox.rootfs}
        return info

    def solution(self) -> list[str]:
        """The actions of a right episode: the gold script where there is one, then the answer as the snapshot gives it.

        The answer is known before the script has run; `solve` takes it from what the live shell prints.
        """
        task = self.task
        first = [] if task.example is None else [self.codec.bash(task.example.typed)]
        if task.match is not None:
            return [*first, self.codec.answer(task.match.answer)]
        if task.compares and self._machine is not None:
            gold = self._machine.gold()
            return [*first, self.codec.answer(gold.output.strip() if gold else "")]
        return [*first, self.codec.answer(None)]

    def solve(self) -> str:
        """The next action of a right episode: the gold script in the live shell, then what that has shown there.

        Where there is no gold script, or no answer is asked for, it ends as `solution` does.
        """
        state, example = self._state, self.task.example
        if example is not None and not state.commands:
            return self.codec.bash(example.typed)
        if example is not None and (state.task.compares or state.task.match is not None):
            return self.codec.answer(state.printed.strip())
        return self.solution()[-1]

    def plan(self, rng: Uniform, *, right: bool = False) -> tuple[str, ...]:
        """What the demonstrator would do if it had to try the task again.

        Args:
            rng: as of `demonstrate`.
            right: has the script that it ran last turned out to be right? Then it is that one, else another.
        """
        state = self._state
        if right:
            return state.executed[-1:]
        script = choose_script(state.task, rng, error=self.settings.demonstrator_error, tried=state.executed)
        return () if script is None else (script,)

    def lesson(self, rng: Uniform) -> str:
        """The demonstrator's reflection on an episode that failed."""
        return reflection(self.plan(rng))

    def demonstrate(self, rng: Uniform, rejected: Sequence[str] = (), lessons: Lessons = NOTHING) -> str:
        """The next action of the imperfect demonstrator; without a gold script, that of `solve`.

        Args:
            rng: a `random.Random` or a `numpy.random.Generator`.
            rejected: its proposals that were refused in this turn.
            lessons: what it was told of earlier trials.
        """
        state = self._state
        if state.task.example is None:
            return self.solve()
        return next_action(
            state.task,
            rng,
            error=self.settings.demonstrator_error,
            executed=state.executed,
            printed=state.printed,
            rejected=rejected,
            lessons=lessons,
            codec=self.codec,
        )

    def judge(self, action: str) -> Judgement | None:
        """Should this action be taken now? Nothing is executed: only answers and malformed actions are judged."""
        state = self._episode
        if state is None or state.over:
            return None
        move = self.codec.parse(action if isinstance(action, str) else "")
        if isinstance(move, Malformed):
            return Judgement(good=False, reason="format")
        if isinstance(move, Bash):
            return None
        assert self._machine is not None
        right = self._machine.expects(move.given)
        return None if right is None else Judgement(right, "right answer" if right else "wrong answer")

    def _close_machine(self) -> None:
        if self._machine is not None:
            self._machine.close()
            self._machine = None

    def close(self) -> None:
        """Remove the sandbox; twice is fine."""
        self._episode = None
        self._close_machine()
