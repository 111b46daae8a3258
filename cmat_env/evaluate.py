"""Evaluation: play episodes with given policies and count what came of them."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from cmat_env.agents.memory import ShortTermMemory
from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.memory_store import LongTermMemory
from cmat_env.errors import ConfigError
from cmat_env.experience import Experience
from cmat_env.game import make_playable
from cmat_env.plan import Playable
from cmat_env.policies.spec import parse_spec
from cmat_env.report import EvalReport
from cmat_env.rollout import Episode, Limits, Rollout, Trials
from cmat_env.scores import MemoryUse
from cmat_env.types import Policy, Trajectory

MakeEnv = Callable[[], Playable]
OnEnd = Callable[[int, Trajectory], None]
Outcome = tuple[Trajectory, ...] | str
"""The trials of a finished episode, or in words what ended it."""

GENERATED_EPISODES = 100
SEEDS_APART = 1_000_000
_CHUNKS_A_WORKER = 4


@dataclass(frozen=True, slots=True)
class Play:
    """How episodes are played; what a worker process is sent.

    Attributes:
        make_env: makes a fresh environment.
        policies: by role, a policy or a specification of one.
        prompts: system prompts by role.
        seed: of the run.
        width: how many episodes run side by side in one process.
        limits: when an episode is cut off.
        greedy: models named by a specification take the likeliest token instead of sampling.
        trials: how often a task that was not solved is tried again.
        budget: short-term memory of each role in tokens; None = no limit.
        digest: tokens of it that sum up what it leaves out.
        memory: file of the long-term memory; None = there is none.
        memory_settings: how it is read and kept.
        continual: is it written to after every block of episodes, and read by the next?
        block: episodes of a block.
    """

    make_env: MakeEnv
    policies: Mapping[str, Policy | str]
    prompts: Mapping[str, str] | None = None
    seed: int = 0
    width: int = 64
    limits: Limits | None = None
    greedy: bool = True
    trials: Trials | None = None
    budget: int | None = None
    digest: int = 0
    memory: Path | None = None
    memory_settings: MemorySettings | None = None
    continual: bool = False
    block: int = 1

    def open(self) -> Rollout:
        """Make the policies, and the rollout that plays with them."""
        policies = {
            role: parse_spec(policy, role=role, greedy=self.greedy) if isinstance(policy, str) else policy
            for role, policy in self.policies.items()
        }
        known = None
        if self.memory is not None:
            memory = LongTermMemory(self.memory, self.memory_settings, read_only=not self.continual)
            known = Experience(memory, writes=self.continual)
        return Rollout(
            self.make_env,
            policies,
            prompts=self.prompts,
            memory=dict.fromkeys(policies, ShortTermMemory(self.budget, digest=self.digest)),
            seed=self.seed,
            width=self.width,
            limits=self.limits,
            trials=self.trials,
            experience=known,
        )


def evaluate(
    env: str | MakeEnv,
    policies: Mapping[str, Policy | str],
    *,
    episodes: int | Sequence[Episode] | None = None,
    seed: int = 0,
    prompts: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    width: int = 64,
    greedy: bool = True,
    workers: int = 1,
    on_end: OnEnd | None = None,
    trials: Trials | None = None,
    budget: int | None = None,
    digest: int = 0,
    memory: Path | str | None = None,
    memory_settings: MemorySettings | None = None,
    continual: bool = False,
    block: int = 1,
) -> EvalReport:
    """Play episodes and report on them. The result depends on the seed, and not on width or workers.

    An episode knows what `memory` held before the evaluation, and its own earlier trials; nothing of any other episode
    reaches it, and nothing is written. Only where `continual` asks for it, episodes learn from those of earlier blocks;
    the report then says so.

    Args:
        env: an environment's id, or a function that makes it.
        policies: by role, a policy or its specification ("gold", "hf:PATH"); they are the roles of the environment.
        episodes: which ones, or how many; by default every task of a file once, or 100 of generated tasks.
        seed: of the run; another one gives other generated tasks.
        prompts: system prompts by role.
        limits: when an episode is cut off.
        width: how many episodes run side by side in one process.
        greedy: models named by a specification take the likeliest token instead of sampling.
        workers: processes; above 1, env and policies are sent to them, so name policies by specification.
        on_end: called with each finished episode's position and trajectory, in the order of the episodes; once for
            each of its trials.
        trials: how often a task that was not solved is tried again; by default it is not.
        budget: short-term memory of each role in tokens; None = no limit.
        digest: tokens of it that sum up what it leaves out.
        memory: file of a long-term memory.
        memory_settings: how it is read and kept.
        continual: write to it, and let later episodes read that.
        block: with `continual`, how many episodes are played before what they taught is written.

    Raises:
        ConfigError: a setting is out of range.
        UnknownNameError: there is no such environment, role or policy.
    """
    started = time.perf_counter()
    make_env: MakeEnv = functools.partial(make_playable, env, roles=tuple(policies)) if isinstance(env, str) else env
    if workers < 1:
        raise ConfigError(f"workers={workers} must be at least 1")
    env_id, task_count, skipped = _facts(make_env)
    if episodes is None or isinstance(episodes, int):
        plan = plan_episodes(task_count, episodes, seed=seed)
    else:
        plan = list(episodes)
    _check_memory(memory, continual=continual, workers=workers, block=block)
    play = Play(
        make_env, policies, prompts, seed, width, limits, greedy, trials, budget, digest,
        Path(memory) if memory else None, memory_settings, continual, block,
    )  # fmt: skip
    before = _count(play)
    ended = _InOrder(on_end)
    outcomes: dict[int, Outcome] = {}
    try:
        source = _here(play, plan, ended.add) if workers == 1 else _elsewhere(play, plan, workers)
        for index, outcome in source:
            outcomes[index] = outcome
            ended.add(index, outcome)
    finally:
        ended.flush()
    results = [outcomes[index] for index in range(len(plan))]
    finished = [result for result in results if not isinstance(result, str)]
    dropped = [result for result in results if isinstance(result, str)]
    use = MemoryUse.of(finished, before, _count(play), continual=continual, block=block) if memory else None
    seconds = time.perf_counter() - started
    return EvalReport.of_trials(env_id, finished, seconds=seconds, dropped=dropped, skipped=skipped, memory=use)


def plan_of(make_env: MakeEnv, episodes: int | None = None, *, seed: int = 0) -> list[Episode]:
    """Which episodes an evaluation of this environment plays; see `plan_episodes`."""
    return plan_episodes(_facts(make_env)[1], episodes, seed=seed)


def skipped_of(make_env: MakeEnv) -> dict[str, str]:
    """By id, why tasks of this environment's file are not played at all."""
    return _facts(make_env)[2]


def plan_episodes(task_count: int | None, episodes: int | None, *, seed: int) -> list[Episode]:
    """Which episodes an evaluation plays, by the number of tasks.

    Args:
        task_count: how many tasks there are; None = they are generated from the seed.
        episodes: how many to play; None = every task once, or 100 generated ones. More than there are begins anew.
        seed: of the run.
    """
    count = (GENERATED_EPISODES if task_count is None else task_count) if episodes is None else episodes
    if count < 1:
        raise ConfigError(f"episodes={count} must be at least 1")
    first = seed * SEEDS_APART
    if task_count is None:
        return [Episode(first + index) for index in range(count)]
    return [Episode(first + index, {"task": index % task_count}) for index in range(count)]


def _facts(make_env: MakeEnv) -> tuple[str, int | None, dict[str, str]]:
    """The environment's id, how many tasks it has (None = they are generated), and why others are not played, by id."""
    env = make_env()
    try:
        task = getattr(env.task, "unwrapped", env.task)
        task_ids = getattr(task, "task_ids", None)
        return env.env_id, None if task_ids is None else len(task_ids), dict(getattr(task, "skipped", None) or {})
    finally:
        env.close()


def _check_memory(memory: Path | str | None, *, continual: bool, workers: int, block: int) -> None:
    if continual and not memory:
        raise ConfigError("continual=True needs a memory to write to; name its file, such as memory='memory.sqlite'")
    if continual and workers > 1:
        raise ConfigError(f"continual=True plays one block after the other: workers={workers} must be 1")
    if block < 1:
        raise ConfigError(f"block={block} must be at least 1")
    if memory and not continual and not Path(memory).is_file():
        raise ConfigError(f"{memory}: no such memory; it is made by an evaluation with continual=True, or by training")


def _count(play: Play) -> int:
    """How many memories there are."""
    if play.memory is None or not play.memory.is_file():
        return 0
    with LongTermMemory(play.memory, read_only=True) as memory:
        return len(memory)


def _run(rollout: Rollout, plan: Sequence[Episode], on_end: OnEnd | None = None) -> Iterator[tuple[int, Outcome]]:
    """Play, and give each episode's outcome by its position."""
    result = rollout.run(plan, on_end=on_end)
    errors = {id(dropped.episode): dropped.error for dropped in result.dropped}
    for index, (episode, earlier, last) in enumerate(zip(plan, result.earlier, result.trajectories, strict=True)):
        yield index, f"seed {episode.seed}: {errors[id(episode)]}" if last is None else (*earlier, last)


def _here(play: Play, plan: Sequence[Episode], add: Callable[[int, Outcome], None]) -> Iterator[tuple[int, Outcome]]:
    """Play in this process, in blocks where one is to learn from those before it."""
    rollout = play.open()
    most = play.trials.trials if play.trials else 1
    size = play.block if play.continual else max(1, len(plan))
    try:
        for start in range(0, len(plan), size):
            outcomes = list(_run(rollout, plan[start : start + size], _whole(add, start, most)))
            if play.continual and rollout.experience:
                known = [trial for _, trials in outcomes if not isinstance(trials, str) for trial in trials]
                rollout.experience.learn(known, roles=rollout.minds)
            yield from ((start + index, outcome) for index, outcome in outcomes)
    finally:
        rollout.close()
        if rollout.experience:
            rollout.experience.memory.close()


def _whole(add: Callable[[int, Outcome], None], start: int, most: int) -> OnEnd:
    """Hands on an episode when its last trial has ended."""
    ended: list[Trajectory] = []

    def on_end(index: int, trial: Trajectory) -> None:
        ended.append(trial)
        if trial.success or len(ended) == most:
            add(start + index, tuple(ended))
            ended.clear()

    return on_end


def _elsewhere(play: Play, plan: Sequence[Episode], workers: int) -> Iterator[tuple[int, Outcome]]:
    """Play in worker processes."""
    try:
        sent = pickle.dumps(play)
    except Exception as error:
        raise ConfigError(
            f"workers={workers}: the environment or a policy cannot be sent to another process ({error}); "
            "give the environment's id and the policies' specifications, or workers=1"
        ) from error
    size = max(1, min(play.width, len(plan) // (workers * _CHUNKS_A_WORKER)))
    chunks = [range(start, min(start + size, len(plan))) for start in range(0, len(plan), size)]
    context = multiprocessing.get_context("spawn")
    deaf = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops the workers without their tracebacks
    with ProcessPoolExecutor(
        min(workers, len(chunks)), mp_context=context, initializer=signal.signal, initargs=deaf
    ) as pool:
        try:
            jobs = {pool.submit(_work, sent, [plan[index] for index in chunk]): chunk for chunk in chunks}
            for job in as_completed(jobs):
                yield from zip(jobs[job], job.result(), strict=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _work(play: bytes, plan: Sequence[Episode]) -> list[Outcome]:
    """In a worker: the outcomes of some episodes."""
    return [outcome for _, outcome in _run(_opened(play), plan)]


@functools.lru_cache(maxsize=1)
def _opened(play: bytes) -> Rollout:
    """In a worker: policies are made once, for all its chunks."""
    opened: Play = pickle.loads(play)
    return opened.open()


class _InOrder:
    """Hands on finished episodes in the order of their positions, each once."""

    def __init__(self, on_end: OnEnd | None) -> None:
        self._on_end = on_end
        self._waiting: dict[int, Outcome] = {}
        self._next = 0

    def add(self, index: int, outcome: Outcome) -> None:
        if index >= self._next:
            self._waiting[index] = outcome
        while self._next in self._waiting:
            self._hand_on(self._next)

    def flush(self) -> None:
        """Hand on what is left, in order, also behind gaps."""
        for index in sorted(self._waiting):
            self._hand_on(index)

    def _hand_on(self, index: int) -> None:
        outcome = self._waiting.pop(index)
        self._next = index + 1
        if self._on_end is not None and not isinstance(outcome, str):
            for trial in outcome:
                self._on_end(index, trial)
