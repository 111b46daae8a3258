"""Episodes side by side in one process; `cmat_env.running` has one of them.

Every wave asks each policy once for all dialogues that wait for it, whatever episode and role they belong to. What an
episode becomes depends on its own seed and on the run's, not on its neighbours. A task that crashes, or a policy that
fails to answer, loses its own episode: it is dropped and counted, never scored.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cmat_env.agents.agent import Agent
from cmat_env.agents.memory import ShortTermMemory
from cmat_env.errors import CmatError, ConfigError, ContractError, PolicyError
from cmat_env.experience import Experience
from cmat_env.plan import Dropped, Episode, Limits, Playable, RolloutResult, Trials
from cmat_env.running import Running, role_of
from cmat_env.trials import credited, reflections, who_reflects
from cmat_env.types import Dialogue, Generation, Oracle, Policy, Recalled, Step, Trajectory

__all__ = ["Dropped", "Episode", "Limits", "OnEnd", "OnStep", "Rollout", "RolloutResult", "Trials", "role_of"]

OnStep = Callable[[int, Step], None]
OnEnd = Callable[[int, Trajectory], None]


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
        _check_trained_for(self.policies, self._open[0].env_id)
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
        running: list[Running] = []
        done: dict[int, list[Trajectory]] = {}
        dropped: list[Dropped] = []

        def drop(run: Running, error: Exception) -> None:
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
        self, waiting: Iterator[tuple[int, Episode]], room: int, drop: Callable[[Running, Exception], None]
    ) -> list[Running]:
        """Reset an environment for each of the next episodes."""
        started: list[Running] = []
        while len(started) < room:
            index, episode = next(waiting, (-1, None))
            if episode is None:
                break
            env = self._idle.pop() if self._idle else self._fresh_env()
            run = Running(index, episode, env, self._limits, self._trials)
            try:
                self._begin(run)
            except CmatError:
                raise
            except Exception as error:
                drop(run, error)
                continue
            started.append(run)
        return started

    def _begin(self, run: Running) -> None:
        """Begin the next trial of an episode."""
        run.begin()
        task = run.env.task
        instructions = str(getattr(task, "instructions", "") or "")
        for role, agent in self._agents.items():
            if recalled := self._recalled(run, role):
                run.recalled[role] = recalled
            dialogue = agent.begin(seed=run.seed, instructions=instructions, recalled=recalled)
            run.dialogues[role] = [dialogue]
            policy = self.policies[role]
            if isinstance(policy, Oracle):
                policy.begin(dialogue, task)

    def _recalled(self, run: Running, role: str) -> tuple[Recalled, ...]:
        """What a role is told of earlier tasks, and of earlier trials of this one."""
        if role not in self.minds:
            return ()
        known = self.experience
        remembered = known.recall(role, run.env.env_id, run.env.statement) if known else ()
        return (*remembered, *run.noted.get(role, ()))

    def _answers(self, running: Sequence[Running]) -> Iterator[tuple[Running, Generation]]:
        """Show each waiting agent its observation and ask every policy once."""
        asked: dict[int, list[tuple[Running, Dialogue]]] = {}
        for run in running:
            role, seen = run.shown()
            dialogues = run.dialogues[role]
            dialogue = self._agents[role].observe(dialogues[-1], speaker=seen["speaker"], message=seen["message"])
            if dialogue is not dialogues[-1]:
                dialogues.append(dialogue)
            asked.setdefault(id(self.policies[role]), []).append((run, dialogue))
        for group in asked.values():
            policy = self.policies[group[0][1].role]
            replies = policy.generate([dialogue for _, dialogue in group], seed=self.seed)
            _check_replies(policy, replies, len(group))
            for (run, dialogue), generation in zip(group, replies, strict=True):
                dialogue.reply(generation)
                yield run, generation

    def _apply(self, run: Running, generation: Generation) -> Step:
        if run.reflecting:
            return run.reflect(generation)
        return run.act(self._agents[role_of(run.env.agent_selection)].act(generation), generation)

    def _ended(self, run: Running) -> list[Trajectory] | None:
        """All trials, if the episode is over; otherwise what comes next is made ready, and None returned."""
        facts = run.facts()
        if not facts or run.reflecting:
            return None
        if not facts["success"] and run.reflecting is None:
            run.reflecting = list(self.minds) if self._reflects(run) else []
            if run.reflecting:
                return None
        run.past.append(run.trajectory(facts))
        self._release(run)
        if facts["success"] or len(run.past) >= self._trials.trials:
            return credited(run.past, reward=self._trials.reward)
        for role, noted in reflections(run.steps).items():
            run.noted[role] = (*run.noted.get(role, ()), noted)
        self._begin(run)
        return None

    def _reflects(self, run: Running) -> bool:
        """Would a reflection on the running trial be read by anybody?"""
        again = len(run.past) + 1 < self._trials.trials
        return self._trials.reflect and (again or (self.experience is not None and self.experience.writes))

    def _release(self, run: Running) -> None:
        """Let policies that keep something per dialogue forget it."""
        for role, dialogues in run.dialogues.items():
            release = getattr(self.policies[role], "release", None)
            if release:
                release(dialogues)


def _check_replies(policy: Policy, replies: Sequence[Generation], count: int) -> None:
    name = f"{type(policy).__name__}.generate"
    if not isinstance(replies, Sequence) or isinstance(replies, str):
        raise ContractError(f"{name} gave a {type(replies).__name__}; it must give a list of one Generation a dialogue")
    if len(replies) != count:
        raise ConfigError(f"{name} gave {len(replies)} replies to {count} dialogues")
    for reply in replies:
        if not isinstance(reply, Generation):
            raise ContractError(f"{name} gave {reply!r:.80} as a reply; wrap the text: Generation(text)")


def _check_trained_for(policies: Mapping[str, Policy], env_id: str) -> None:
    """Warn of a policy that says where it was trained, and plays elsewhere: such as an SB3 model of a menu."""
    for role, policy in policies.items():
        trained = getattr(policy, "env_id", "")
        if trained and trained != env_id:
            warnings.warn(
                f"the {role} was trained in {trained} and plays in {env_id}; train one there with cmat sb3 {env_id}",
                stacklevel=3,
            )


def _close_quietly(env: Playable) -> None:
    """A crashed task may also fail to close; its episode is dropped either way."""
    try:
        env.close()
    except Exception:
        return
