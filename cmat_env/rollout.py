"""Episodes side by side in one process: the one place where a Step is made.

Every wave asks each policy once for all dialogues that wait for it, whatever episode and role they belong to. What an
episode becomes depends on its own seed and on the run's, not on its neighbours. A task that crashes, or a policy that
fails to answer, loses its own episode: it is dropped and counted, never scored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cmat_env.agents.agent import Agent
from cmat_env.agents.memory import ShortTermMemory
from cmat_env.agents.reflection import request
from cmat_env.errors import CmatError, ConfigError, PolicyError
from cmat_env.experience import Experience
from cmat_env.plan import Dropped, Episode, Limits, Playable, RolloutResult, Trials
from cmat_env.trials import credited, reflections, who_reflects
from cmat_env.types import Dialogue, Generation, Oracle, Policy, Recalled, Step, Trajectory

__all__ = ["Dropped", "Episode", "Limits", "OnEnd", "OnStep", "Rollout", "RolloutResult", "Trials", "role_of"]

OnStep = Callable[[int, Step], None]
OnEnd = Callable[[int, Trajectory], None]
_SAMPLES_APART = 0x9E3779B97F4A7C15
_TRIALS_APART = 0xD1B54A32D192ED03


@dataclass(slots=True)
class _Running:
    """One episode in progress.

    Attributes:
        past: its trials that are over.
        noted: by role, the reflections on them.
        reflecting: the roles that are still to reflect on the running trial, which has failed; None = not asked yet.
        cut: which limit has ended the running trial.
    """

    index: int
    episode: Episode
    env: Playable
    dialogues: dict[str, list[Dialogue]]
    info: Mapping[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    paid: int = 0
    tokens: int = 0
    started: float = field(default_factory=time.perf_counter)
    recalled: dict[str, tuple[Recalled, ...]] = field(default_factory=dict)
    past: list[Trajectory] = field(default_factory=list)
    noted: dict[str, tuple[Recalled, ...]] = field(default_factory=dict)
    reflecting: list[str] | None = None
    cut: str | None = None


class Rollout:
    """Plays episodes of one environment with one policy per role.

    Args:
        make_env: makes a fresh environment; called at most `width` times, and once more after each crash.
        policies: by role.
        prompts: system prompts by role; see `cmat_env.agents.prompts`.
        memory: short-term memory by role; without one, and for an oracle, a dialogue is never shortened.
        seed: of the run.
        width: how many episodes run side by side.
        limits: when a trial is cut off.
        trials: how often a task that was not solved is tried again.
        experience: what roles are told of earlier episodes; it is the caller's to let it `learn`.

    Attributes:
        minds: the roles whose words may be remembered: they reflect, and recall.
        experience: as given.

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
        trials: Trials | None = None,
        experience: Experience | None = None,
    ) -> None:
        if width < 1:
            raise ConfigError(f"width={width} must be at least 1")
        self.policies = dict(policies)
        self.seed = seed
        self._make_env = make_env
        self._width = width
        self._limits = limits or Limits()
        self._trials = trials or Trials()
        self.experience = experience
        self._open: list[Playable] = []
        self._idle: list[Playable] = []
        roles = self._fresh_env().roles
        missing = [role for role in roles if role not in self.policies]
        if missing:
            self.close()
            raise ConfigError(f"no policy for role {missing[0]!r}; give one for each of {', '.join(roles)}")
        self.minds = who_reflects(self.policies, roles, self._trials.roles)
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
            on_end: called with the episode's position and the Trajectory of each of its trials, in the order in which
                episodes end.
        """
        self._idle = list(self._open)
        waiting = iter(enumerate(episodes))
        running: list[_Running] = []
        done: dict[int, list[Trajectory]] = {}
        dropped: list[Dropped] = []

        def drop(run: _Running, error: Exception) -> None:
            done[run.index] = []
            dropped.append(Dropped(run.episode, f"{type(error).__name__}: {error}"))
            self._release(run)
            self._open.remove(run.env)
            _close_quietly(run.env)

        while True:
            running.extend(self._start(waiting, self._width - len(running), drop))
            if not running:
                break
            for run, generation in self._answers(running):
                if generation.finish_reason == "error":
                    drop(run, PolicyError(generation.text))
                    continue
                try:
                    step = self._apply(run, generation)
                    trials = self._ended(run)
                except CmatError:
                    raise
                except Exception as error:
                    drop(run, error)
                    continue
                if on_step:
                    on_step(run.index, step)
                if trials:
                    done[run.index] = trials
                    self._idle.append(run.env)
                    if on_end:
                        for trajectory in trials:
                            on_end(run.index, trajectory)
            running = [run for run in running if run.index not in done]
        ended = [done[index] for index in sorted(done)]
        return RolloutResult(
            tuple(trials[-1] if trials else None for trials in ended),
            tuple(dropped),
            tuple(tuple(trials[:-1]) for trials in ended),
        )

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
                self._begin(run)
            except CmatError:
                raise
            except Exception as error:
                drop(run, error)
                continue
            started.append(run)
        return started

    def _begin(self, run: _Running) -> None:
        """Begin the next trial of an episode."""
        env, episode = run.env, run.episode
        env.reset(seed=episode.seed, options=dict(episode.options) if episode.options else None)
        run.steps, run.dialogues, run.recalled, run.reflecting = [], {}, {}, None
        run.cut, run.paid, run.tokens = None, 0, 0
        run.started = time.perf_counter()
        run.info = dict(env.infos[env.agent_selection])
        instructions = str(getattr(env.task, "instructions", "") or "")
        seed = episode.seed + episode.sample * _SAMPLES_APART + (episode.trial + len(run.past)) * _TRIALS_APART
        for role, agent in self._agents.items():
            if recalled := self._recalled(run, role):
                run.recalled[role] = recalled
            dialogue = agent.begin(seed=seed, instructions=instructions, recalled=recalled)
            run.dialogues[role] = [dialogue]
            policy = self.policies[role]
            if isinstance(policy, Oracle):
                policy.begin(dialogue, env.task)

    def _recalled(self, run: _Running, role: str) -> tuple[Recalled, ...]:
        """What a role is told of earlier tasks, and of earlier trials of this one."""
        if role not in self.minds:
            return ()
        known = self.experience
        remembered = known.recall(role, run.env.env_id, run.env.statement) if known else ()
        return (*remembered, *run.noted.get(role, ()))

    def _answers(self, running: Sequence[_Running]) -> Iterator[tuple[_Running, Generation]]:
        """Show each waiting agent its observation and ask every policy once."""
        asked: dict[int, list[tuple[_Running, Dialogue]]] = {}
        for run in running:
            role, seen = self._shown(run)
            dialogues = run.dialogues[role]
            dialogue = self._agents[role].observe(dialogues[-1], speaker=seen["speaker"], message=seen["message"])
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

    def _shown(self, run: _Running) -> tuple[str, dict[str, str]]:
        """Whose turn it is, and what it is shown."""
        env = run.env
        if not run.reflecting:
            seen = env.observe(env.agent_selection)
            return role_of(env.agent_selection), _observation(env, seen)
        role = run.reflecting[0]
        last = str(env.observe(f"{role}_0")["message"]) if env.outcome else ""
        outcome = str(self._facts(run)["outcome"])
        asked = request(self._trials.requests[role], outcome=outcome, observation=last)
        return role, {"message": asked, "speaker": "environment"}

    def _reflect(self, run: _Running, generation: Generation) -> Step:
        """The step of a role that was asked to reflect; the environment takes no part."""
        role, seen = self._shown(run)
        assert run.reflecting
        run.reflecting.pop(0)
        step = Step(
            index=len(run.steps),
            agent=f"{role}_0",
            role=role,
            turn=sum(step.role == role for step in run.steps),
            observation=seen,
            generation=generation,
            dialogue=len(run.dialogues[role]) - 1,
            kind="reflect",
        )
        run.steps.append(step)
        return step

    def _apply(self, run: _Running, generation: Generation) -> Step:
        if run.reflecting:
            return self._reflect(run, generation)
        env = run.env
        agent = env.agent_selection
        role = role_of(agent)
        seen = _observation(env, env.observe(agent))
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
            observation=seen,
            generation=generation,
            dialogue=len(run.dialogues[role]) - 1,
            payments=payments,
            verdict=env.last_verdict if role == "checker" else None,
            judgement=env.last_judgement if role == "checker" else None,
            info=dict(env.infos.get(agent, {})),
        )
        run.steps.append(step)
        return step

    def _ended(self, run: _Running) -> list[Trajectory] | None:
        """All trials, if the episode is over; otherwise what comes next is made ready, and None returned."""
        facts = self._facts(run)
        if not facts or run.reflecting:
            return None
        if not facts["success"] and run.reflecting is None:
            run.reflecting = list(self.minds) if self._reflects(run) else []
            if run.reflecting:
                return None
        run.past.append(self._trajectory(run, facts))
        self._release(run)
        if facts["success"] or len(run.past) >= self._trials.trials:
            return credited(run.past, reward=self._trials.reward)
        for role, noted in reflections(run.steps).items():
            run.noted[role] = (*run.noted.get(role, ()), noted)
        self._begin(run)
        return None

    def _reflects(self, run: _Running) -> bool:
        """Would a reflection on the running trial be read by anybody?"""
        again = len(run.past) + 1 < self._trials.trials
        return self._trials.reflect and (again or (self.experience is not None and self.experience.writes))

    def _facts(self, run: _Running) -> Mapping[str, Any]:
        """How the running trial ended, or was cut off by a limit; empty if it goes on."""
        cut = None if run.env.outcome or run.reflecting is not None else self._cut(run)
        run.cut = run.cut or cut
        if run.env.outcome:
            return run.env.outcome
        cut_off = {"success": False, "score": 0.0, "outcome": run.cut, "terminated": False, "truncated": True}
        return cut_off if run.cut else {}

    def _trajectory(self, run: _Running, facts: Mapping[str, Any]) -> Trajectory:
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
            trial=run.episode.trial + len(run.past),
            recalled=dict(run.recalled),
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


def _observation(env: Playable, seen: Mapping[str, Any]) -> dict[str, str]:
    return {"message": seen["message"], "speaker": env.SPEAKERS[int(seen["speaker"])]}


def role_of(agent: str) -> str:
    """The role of a PettingZoo agent: "checker_0" plays "checker"."""
    return agent.rpartition("_")[0]


def _close_quietly(env: Playable) -> None:
    """A crashed task may also fail to close; its episode is dropped either way."""
    try:
        env.close()
    except Exception:
        return
