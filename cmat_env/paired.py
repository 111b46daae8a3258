"""What a checker is worth: the same episodes with it, without it, with random verdicts of its rate, and with an oracle.

The assistant samples from the same seeds in every arm, so that the first proposals of an episode are the same ones.
Each has its own copy of the memory, as it was at the start; no arm writes to the file.
"""

from __future__ import annotations

import functools
import inspect
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cmat_env.agents.memory_store import LongTermMemory
from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate, plan_of
from cmat_env.plan import Playable
from cmat_env.registry import make
from cmat_env.report import EvalReport
from cmat_env.rollout import Episode
from cmat_env.statistics import mcnemar, paired_bootstrap
from cmat_env.types import Policy, Trajectory

CHECKER, NONE, RANDOM, ORACLE = "checker", "no checker", "random verdicts", "oracle"
_ARMS = (CHECKER, NONE, RANDOM, ORACLE)
_COMPARED = ((CHECKER, NONE), (CHECKER, RANDOM), (ORACLE, NONE))

OnEnd = Callable[[str, int, Trajectory], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Success in one arm over success in another, on the same episodes.

    Attributes:
        episodes: how many both arms finished.
        gain: difference of the success rates.
        ci95: its 95 % interval; see `cmat_env.statistics.paired_bootstrap`.
        won, lost: episodes that only the first arm solved, and only the second.
        p_value: of McNemar's exact test, two-sided: how likely so uneven a split is if both are as good.
    """

    episodes: int
    gain: float
    ci95: tuple[float, float]
    won: int
    lost: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Arm:
    """How one team did, and what it cost.

    Attributes:
        report: as of any evaluation.
        proposals: replies of the assistant.
        verdicts: replies of the checker.
        tokens: sampled by all roles; 0 for policies without tokens.
    """

    report: EvalReport
    proposals: int
    verdicts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class PairedReport:
    """All arms, and what is between them.

    Attributes:
        arms: by name, the team's own first; no oracle where the task judges nothing.
        differences: by "ARM - ARM".
    """

    arms: dict[str, Arm]
    differences: dict[str, Difference]

    def to_json(self) -> dict[str, Any]:
        """In JSON's types, without the rows of each episode but for the team's own."""
        arms = {}
        for name, arm in self.arms.items():
            found = arm.report.to_json()
            found.pop("per_episode")
            arms[name] = {**found, "proposals": arm.proposals, "verdicts": arm.verdicts, "tokens": arm.tokens}
        differences = {name: asdict(each) | {"ci95": list(each.ci95)} for name, each in self.differences.items()}
        return {"arms": arms, "differences": differences}


def compare(first: Sequence[bool], second: Sequence[bool], *, seed: int = 0) -> Difference:
    """Compare the successes of two arms, episode by episode.

    Args:
        first, second: of the same episodes.
        seed: of the resampling.

    Raises:
        ConfigError: they differ in length, or are empty.
    """
    test, gain = mcnemar(first, second), paired_bootstrap(second, first, seed=seed)
    return Difference(len(first), gain.mean, (gain.low, gain.high), test.only_a, test.only_b, test.p_value)


def evaluate_paired(
    env: str | Callable[..., Playable],
    policies: Mapping[str, Policy | str],
    *,
    episodes: int | Sequence[Episode] | None = None,
    seed: int = 0,
    on_end: OnEnd | None = None,
    memory: Path | str | None = None,
    **settings: Any,
) -> PairedReport:
    """Play the same episodes in every arm.

    Args:
        env: an environment's id, or a function of `roles` that makes it.
        policies: by role, the checker among them.
        episodes: which ones, or how many; see `evaluate`.
        seed: of the run, and of the random verdicts.
        on_end: called with the arm's name, an episode's position and its trajectory.
        memory: file of a long-term memory, which every arm begins with and none writes to: with `continual`, each arm
            learns from its own episodes, in a copy.
        settings: further ones of `evaluate`, the same for all arms.

    Raises:
        ConfigError: there is no checker to measure, or a setting is out of range.
    """
    if "checker" not in policies:
        raise ConfigError("a paired evaluation measures the checker, and there is none; name its policy")
    for name in settings:
        if name not in inspect.signature(evaluate).parameters:
            raise ConfigError(f"evaluate has no setting {name!r}")
    make_env: Callable[..., Playable] = functools.partial(make, env) if isinstance(env, str) else env
    here = functools.partial(make_env, roles=tuple(policies))
    plan = plan_of(here, episodes, seed=seed) if episodes is None or isinstance(episodes, int) else list(episodes)
    solved: dict[str, dict[int, bool]] = {}
    arms: dict[str, Arm] = {}
    with _copies(memory, continual=bool(settings.get("continual"))) as known:

        def play(name: str, team: Mapping[str, Policy | str]) -> None:
            solved[name], arms[name] = _play(
                functools.partial(make_env, roles=tuple(team)),
                team,
                functools.partial(on_end, name) if on_end else None,
                episodes=plan,
                seed=seed,
                memory=known[name],
                **settings,
            )

        play(CHECKER, policies)
        play(NONE, {role: policy for role, policy in policies.items() if role != "checker"})
        score = arms[CHECKER].report.checker
        rate = (score.revision_rate or 0.0) if score else 0.0
        play(RANDOM, {**policies, "checker": f"coin:{rate!r}"})
        if _judges(here):
            play(ORACLE, {**policies, "checker": "oracle"})
    return PairedReport(arms, _differences(solved, seed))


@contextmanager
def _copies(memory: Path | str | None, *, continual: bool) -> Iterator[Mapping[str, Path | str | None]]:
    """By arm, a copy of the memory as it is now, or, where it is still to be made, the place of one."""
    if memory is None or not (continual or Path(memory).is_file()):
        yield dict.fromkeys(_ARMS, memory)  # a file that is missing is named by `evaluate`
        return
    with tempfile.TemporaryDirectory(prefix="cmat-paired-") as folder:
        files = {name: Path(folder) / name for name in _ARMS}
        if Path(memory).is_file():
            with LongTermMemory(memory, read_only=True) as known:
                known.copy_to(files[CHECKER])
            for name in _ARMS[1:]:
                shutil.copyfile(files[CHECKER], files[name])
        yield files


def _play(
    make_env: Callable[[], Playable],
    team: Mapping[str, Policy | str],
    on_end: Callable[[int, Trajectory], None] | None,
    **settings: Any,
) -> tuple[dict[int, bool], Arm]:
    solved: dict[int, bool] = {}
    spoken = {"assistant": 0, "checker": 0, "user": 0}
    tokens = 0

    def count(index: int, episode: Trajectory) -> None:
        nonlocal tokens
        solved[index] = episode.success
        for step in episode.steps:
            spoken[step.role] += 1
            tokens += len(step.generation.token_ids or ())
        if on_end:
            on_end(index, episode)

    report = evaluate(make_env, team, on_end=count, **settings)
    return solved, Arm(report, spoken["assistant"], spoken["checker"], tokens)


def _differences(solved: Mapping[str, Mapping[int, bool]], seed: int) -> dict[str, Difference]:
    """Between the arms that were played, over the episodes that both finished."""
    found = {}
    for first, second in _COMPARED:
        both = sorted(solved.get(first, {}).keys() & solved.get(second, {}).keys())
        if both:
            ours, theirs = [solved[first][i] for i in both], [solved[second][i] for i in both]
            found[f"{first} - {second}"] = compare(ours, theirs, seed=seed)
    return found


def _judges(make_env: Callable[[], Playable]) -> bool:
    env = make_env()
    try:
        return getattr(getattr(env.task, "unwrapped", env.task), "judge", None) is not None
    finally:
        env.close()
