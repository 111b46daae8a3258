"""Which share of a tuning iteration does the environment take?

The preset's team and model play and learn one iteration; the environment's part is what the same number of episodes
takes when nobody generates: gold SQL (the longest real statements), a checker, dry runs and judgements.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import table
from cmat_env.collab import CollabEnv
from cmat_env.policies.scripted import ApprovePolicy, EchoPolicy, GoldPolicy
from cmat_env.rollout import Episode, Rollout
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.presets import settings_of
from cmat_env.tuning.run import Run
from cmat_env.tuning.team import make_env
from cmat_env.types import Policy

PRESET = "tinyagent-nano-db"


def environment_seconds(settings: RunSettings, *, rounds: int) -> float:
    """Processor seconds of an iteration's episodes, played with ready words: the median of some rounds."""

    def make() -> CollabEnv:
        return make_env(settings, settings.task.train)

    policies: dict[str, Policy] = {"user": EchoPolicy(), "assistant": GoldPolicy(), "checker": ApprovePolicy()}
    rollout = Rollout(make, policies, width=settings.episodes)
    found = []
    for number in range(rounds + 1):
        started = time.process_time()
        rollout.run([Episode(number * settings.episodes + index) for index in range(settings.episodes)])
        found.append(time.process_time() - started)
    rollout.close()
    return statistics.median(found[1:])


def iteration_seconds(settings: RunSettings, folder: Path) -> tuple[float, float]:
    """Processor seconds of rollout and update, medians of the iterations of a short run."""
    seen: list[tuple[float, float]] = []

    def note(event: str, figures: object) -> None:
        if event == "iteration":
            assert isinstance(figures, dict)
            seen.append((figures["rollout_seconds"], figures["update_seconds"]))

    run = Run(settings, folder, report=note)
    run.train(run.policy(run.warm_start(resume=False)))
    rollout, update = zip(*seen[1:] or seen, strict=True)
    return statistics.median(rollout), statistics.median(update)


def report(*, quick: bool = False) -> str:
    """The table."""
    rounds = 1 if quick else 3
    overrides = [f"iterations={rounds}", "evaluate_every=0", "record_every=0", "checkpoint_every=1000"]
    overrides += [f"warm_start.sft.steps={2 if quick else 300}", f"warm_start.episodes={50 if quick else 1500}"]
    overrides += ["warm_start.sft.warmup=1", *(["episodes=8"] if quick else [])]
    settings = settings_of(PRESET, overrides)
    with TemporaryDirectory() as folder:
        rollout, update = iteration_seconds(settings, Path(folder))
    environment = environment_seconds(settings, rounds=rounds)
    head = (f"an iteration of `{PRESET}`, {settings.episodes} episodes, CPU-seconds", "measured", "share")
    whole = rollout + update
    rows = [
        ("rollout: generating and environment", f"{rollout:.2f}", f"{rollout / whole:.0%}"),
        ("update of two roles", f"{update:.2f}", f"{update / whole:.0%}"),
        ("environment: three roles, dry runs, judgements, SQL", f"{environment:.3f}", f"**{environment / whole:.1%}**"),
    ]
    return table(head, rows) + "\n\nBar: 5 %. The model had a short warm start only, so that its SQL is half junk."
