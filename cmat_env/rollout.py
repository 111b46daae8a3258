"""Episodes side by side in one process: the one place where a Step is made.

Every wave asks each policy once for all dialogues that wait for it, whatever episode and role they belong to. What an
episode becomes depends on its own seed and on the run's, not on its neighbours. A task that crashes loses its own
episode: it is dropped and counted, never scored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cmat_env.agents.agent import Agent
from cmat_env.agents.memory import ShortTermMemory
from cmat_env.errors import CmatError, ConfigError
from cmat_env.plan import Dropped, Episode, Limits, Playable, RolloutResult
from cmat_env.types import Dialogue, Generation, Oracle, Policy, Step, Trajectory

__all__ = ["Dropped", "Episode", "Limits", "OnEnd", "OnStep", "Rollout", "RolloutResult", "role_of"]

OnStep = Callable[[int, Step], None]
OnEnd = Callable[[int, Trajectory], None]
_SAMPLES_APART = 0x9E3779B97F4A7C15


@dataclass(slots=True)
class _Running:
    """One episode in progress."""

    index: int
    episode: Episode
    env: Playable
    dialogues: dict[str, list[Dialogue]]
    info: Mapping[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    paid: int = 0
    tokens: int = 0
    started: float = field(default_factory=time.perf_counter)


class Rollout:
    """Plays episodes of one environment with one policy per role.

    Args:
        make_env: makes a fresh environment; called at most `width` times, and once more after each crash.
        policies: by role.
        prompts: system prompts by role; see `cmat_env.agents.prompts`.
        memory: short-term memory by role; without one, and for an oracle, a dialogue is never shortened.
        seed: of the run.
        width: how many episodes run side by side.
        limits: when an episode is cut off.

    Raises:
        ConfigError: a role of the environment has no policy.
    """

    def __init__(
        self,
        make_env: Callable[[], Playable],
        policies: Mapping[str, Policy],
        *,
        prompts: Mapping[str, str] | None = None,
        memory: Mapping[str, ShortTermMemory] | None = None,
        seed: int = 0,
        width: int = 64,
        limits: Limits | None = None,
    ) -> None:
        if width < 1:
            raise ConfigError(f"width={width} must be at least 1")
        self.policies = dict(policies)
        self.seed = seed
        self._make_env = make_env
        self._width = width
        self._limits = limits or Limits()
        self._open: list[Playable] = []
        self._idle: list[Playable] = []
        roles = self._fresh_env().roles
        missing = [role for role in roles if role not in self.policies]
        if missing:
            self.close()
            raise ConfigError(f"no policy for role {missing[0]!r}; give one for each of {', '.join(roles)}")
        self._agents = {
            role: Agent(role, (prompts or {}).get(role, ""), self._memory_of(role, memory or {})) for role in roles
        }

    def run(
        self, episodes: Iterable[Episode], *, on_step: OnStep | None = None, on_end: OnEnd | None = None
    ) -> RolloutResult:
        """Play the episodes.

        Args:
            episodes: which ones.
            on_step: called with the episode's position and each Step as it is made.
            on_end: called with the episode's position and its Trajectory, in the order in which episodes end.
        """
        self._idle = list(self._open)
        waiting = iter(enumerate(episodes))
        running: list[_Running] = []
        done: dict[int, Trajectory | None] = {}
        dropped: list[Dropped] = []

        def drop(run: _Running, error: Exception) -> None:
            done[run.index] = None
            dropped.append(Dropped(run.episode, f"{type(error).__name__}: {error}"))
            self._release(run)
            self._open.remove(run.env)
            _close_quietly(run.env)

        while True:
            running.extend(self._start(waiting, self._width - len(running), drop))
            if not running:
                break
            for run, generation in self._answers(running):
                try:
                    step = self._apply(run, generation)
                    trajectory = self._ended(run)
                except CmatError:
                    raise
                except Exception as error:
                    drop(run, error)
                    continue
                if on_step:
                    on_step(run.index, step)
                if trajectory:
                    done[run.index] = trajectory
                    self._release(run)
                    self._idle.append(run.env)
                    if on_end:
                        on_end(run.index, trajectory)
            running = [run for run in running if run.index not in done]
        return RolloutResult(tuple(done[index] for index in sorted(done)), tuple(dropped))

    def close(self) -> None:
        """Close the environments, also those of a run that an error ended; may be called twice."""
        self._idle = []
        while self._open:
            self._open.pop().close()

    def _fresh_env(self) -> Playable:
        env = self._make_env()
        self._open.append(env)
        return env

    def _memory_of(self, role: str, memory: Mapping[str, ShortTermMemory]) -> ShortTermMemory:
        """An oracle has met the task with its first dialogue, and no use for a shorter one."""
        known = None if isinstance(self.policies[role], Oracle) else memory.get(role)
        return known or ShortTermMemory()

    def _start(
        self, waiting: Iterator[tuple[int, Episode]], room: int, drop: Callable[[_Running, Exception], None]
    ) -> list[_Running]:
        """Reset an environment for each of the next episodes."""
        started: list[_Running] = []
        while len(started) < room:
            index, episode = next(waiting, (-1, None))
            if episode is None:
                break
            env = self._idle.pop() if self._idle else self._fresh_env()
            run = _Running(index, episode, env, {})
            try:
                env.reset(seed=episode.seed, options=dict(episode.options) if episode.options else None)
                run.info = dict(env.infos[env.agent_selection])
                instructions = str(getattr(env.task, "instructions", "") or "")
                for role, agent in self._agents.items():
                    dialogue = agent.begin(
                        seed=episode.seed + episode.sample * _SAMPLES_APART, instructions=instructions
                    )
                    run.dialogues[role] = [dialogue]
                    policy = self.policies[role]
                    if isinstance(policy, Oracle):
                        policy.begin(dialogue, env.task)
            except CmatError:
                raise
            except Exception as error:
                drop(run, error)
                continue
            started.append(run)
        return started

    def _answers(self, running: Sequence[_Running]) -> Iterator[tuple[_Running, Generation]]:
        """Show each waiting agent its observation and ask every policy once."""
        asked: dict[int, list[tuple[_Running, Dialogue]]] = {}
        for run in running:
            role = role_of(run.env.agent_selection)
            seen = run.env.observe(run.env.agent_selection)
            dialogues = run.dialogues[role]
            speaker = run.env.SPEAKERS[int(seen["speaker"])]
            dialogue = self._agents[role].observe(dialogues[-1], speaker=speaker, message=seen["message"])
            if dialogue is not dialogues[-1]:
                dialogues.append(dialogue)
            asked.setdefault(id(self.policies[role]), []).append((run, dialogue))
        for group in asked.values():
            policy = self.policies[group[0][1].role]
            replies = policy.generate([dialogue for _, dialogue in group], seed=self.seed)
            if len(replies) != len(group):
                raise ConfigError(
                    f"{type(policy).__name__}.generate gave {len(replies)} replies to {len(group)} dialogues"
                )
            for (run, dialogue), generation in zip(group, replies, strict=True):
                dialogue.reply(generation)
                yield run, generation

    def _apply(self, run: _Running, generation: Generation) -> Step:
        env = run.env
        agent = env.agent_selection
        role = role_of(agent)
        seen = env.observe(agent)
        turn = sum(step.role == role for step in run.steps)
        env.step(self._agents[role].act(generation))
        payments = tuple(env.ledger.entries[run.paid :])
        run.paid += len(payments)
        run.tokens += len(generation.token_ids or ())
        step = Step(
            index=len(run.steps),
            agent=agent,
            role=role,
            turn=turn,
            observation={"message": seen["message"], "speaker": env.SPEAKERS[int(seen["speaker"])]},
            generation=generation,
            dialogue=len(run.dialogues[role]) - 1,
            payments=payments,
            verdict=env.last_verdict if role == "checker" else None,
            judgement=env.last_judgement if role == "checker" else None,
            info=dict(env.infos.get(agent, {})),
        )
        run.steps.append(step)
        return step

    def _ended(self, run: _Running) -> Trajectory | None:
        """The trajectory, if the episode is over or has met a limit."""
        outcome = run.env.outcome
        cut = None if outcome else self._cut(run)
        if not outcome and not cut:
            return None
        facts = outcome or {"success": False, "score": 0.0, "outcome": cut, "terminated": False, "truncated": True}
        return Trajectory(
            env_id=run.env.env_id,
            task_id=str(run.info.get("task_id", run.episode.seed)),
            task_type=str(run.info.get("task_type", "")),
            seed=run.episode.seed,
            steps=tuple(run.steps),
            dialogues={role: tuple(dialogues) for role, dialogues in run.dialogues.items()},
            payments=tuple(run.env.ledger.entries),
            success=bool(facts["success"]),
            score=float(facts["score"]),
            outcome=str(facts["outcome"]),
            terminated=bool(facts["terminated"]),
            truncated=bool(facts["truncated"]),
            seconds=time.perf_counter() - run.started,
            options=run.episode.options,
            sample=run.episode.sample,
        )

    def _cut(self, run: _Running) -> str | None:
        limits = self._limits
        if len(run.steps) >= limits.turns:
            return "turn limit"
        if limits.tokens is not None and run.tokens >= limits.tokens:
            return "token limit"
        if limits.seconds is not None and time.perf_counter() - run.started >= limits.seconds:
            return "time limit"
        return None

    def _release(self, run: _Running) -> None:
        """Let policies that keep something per dialogue forget it."""
        for role, dialogues in run.dialogues.items():
            release = getattr(self.policies[role], "release", None)
            if release:
                release(dialogues)


def role_of(agent: str) -> str:
    """The role of a PettingZoo agent: "checker_0" plays "checker"."""
    return agent.rpartition("_")[0]


def _close_quietly(env: Playable) -> None:
    """A crashed task may also fail to close; its episode is dropped either way."""
    try:
        env.close()
    except Exception:
        return
