"""Evaluation: play episodes with given policies and count what came of them."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.memory_store import Embed
from cmat_env.errors import ConfigError
from cmat_env.game import make_playable
from cmat_env.playing import InOrder, MakeEnv, OnEnd, Outcome, Play, elsewhere, here
from cmat_env.report import EvalReport
from cmat_env.rollout import Episode, Limits, Trials
from cmat_env.scores import MemoryUse
from cmat_env.types import Policy
from cmat_env.vector_seeds import SEEDS_APART

GENERATED_EPISODES = 100


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
    embed: Embed | None = None,
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
        continual: write to it, and let later episodes read that. Others see it when all episodes are over, and wait
            with their own writes; an evaluation that is interrupted leaves the file as it was.
        block: with `continual`, how many episodes are played before what they taught is written.
        embed: texts to vectors; what is like the task in the memory is then told by their cosine.

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
        Path(memory) if memory else None, memory_settings, continual, block, embed,
    )  # fmt: skip
    before = play.remembered()
    ended = InOrder(on_end)
    outcomes: dict[int, Outcome] = {}
    try:
        source = here(play, plan, ended.add) if workers == 1 else elsewhere(play, plan, workers)
        with closing(source):
            for index, outcome in source:
                outcomes[index] = outcome
                ended.add(index, outcome)
    finally:
        ended.flush()
    results = [outcomes[index] for index in range(len(plan))]
    finished = [result for result in results if not isinstance(result, str)]
    dropped = [result for result in results if isinstance(result, str)]
    use = MemoryUse.of(finished, before, play.remembered(), continual=continual, block=block) if memory else None
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
