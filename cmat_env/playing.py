"""How an evaluation plays its episodes: in this process or in workers, and handed on in order, whoever ends first."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from cmat_env.agents.memory import ShortTermMemory
from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.memory_store import Embed, LongTermMemory
from cmat_env.errors import ConfigError
from cmat_env.experience import Experience
from cmat_env.plan import Playable
from cmat_env.policies.spec import parse_spec
from cmat_env.rollout import Episode, Limits, Rollout, Trials
from cmat_env.types import Policy, Trajectory

MakeEnv = Callable[[], Playable]
OnEnd = Callable[[int, Trajectory], None]
Outcome = tuple[Trajectory, ...] | str
"""The trials of a finished episode, or in words what ended it."""

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
        embed: likeness in long-term memory is that of these vectors; None = of words.
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
    embed: Embed | None = None

    def open(self) -> Rollout:
        """Make the policies, and the rollout that plays with them."""
        policies = {
            role: parse_spec(policy, role=role, greedy=self.greedy) if isinstance(policy, str) else policy
            for role, policy in self.policies.items()
        }
        known = None
        if self.memory is not None:
            memory = LongTermMemory(self.memory, self.memory_settings, embed=self.embed, read_only=not self.continual)
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

    def remembered(self) -> int:
        """How many memories there are."""
        if self.memory is None or not self.memory.is_file():
            return 0
        with LongTermMemory(self.memory, read_only=True) as memory:
            return len(memory)


def _run(rollout: Rollout, plan: Sequence[Episode], on_end: OnEnd | None = None) -> Iterator[tuple[int, Outcome]]:
    """Play, and give each episode's outcome by its position."""
    result = rollout.run(plan, on_end=on_end)
    errors = {id(dropped.episode): dropped.error for dropped in result.dropped}
    for index, (episode, earlier, last) in enumerate(zip(plan, result.earlier, result.trajectories, strict=True)):
        yield index, f"seed {episode.seed}: {errors[id(episode)]}" if last is None else (*earlier, last)


def here(play: Play, plan: Sequence[Episode], add: Callable[[int, Outcome], None]) -> Generator[tuple[int, Outcome]]:
    """Play in this process, in blocks where one is to learn from those before it.

    What they learn is one transaction: if this is closed or killed before the last episode, the memory is as it was.
    """
    rollout = play.open()
    learns = rollout.experience if play.continual else None
    most = play.trials.trials if play.trials else 1
    size = play.block if play.continual else max(1, len(plan))
    try:
        with learns.memory.transaction() if learns else nullcontext():
            for start in range(0, len(plan), size):
                outcomes = list(_run(rollout, plan[start : start + size], _whole(add, start, most)))
                if learns:
                    known = [trial for _, trials in outcomes if not isinstance(trials, str) for trial in trials]
                    learns.learn(known, roles=rollout.minds)
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


def elsewhere(play: Play, plan: Sequence[Episode], workers: int) -> Generator[tuple[int, Outcome]]:
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


class InOrder:
    """Hands on finished episodes in the order of their positions, each once."""

    def __init__(self, on_end: OnEnd | None) -> None:
        self._on_end = on_end
        self._waiting: dict[int, Outcome] = {}
        self._next = 0

    def add(self, index: int, outcome: Outcome) -> None:
        """An episode has ended; once more is fine."""
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
