"""A suite of environments played by one team, into a folder that a half-done run goes on from.

    DIR/suite.json             what is played, so that another run does not mix with it
    DIR/PART/episodes.jsonl    the episodes of a part; those that are there are not played again
    DIR/report.{json,md,html}  the paper's table with a row of ours

An episode that was under way when a run ended is played again; so is one that a crash dropped.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cmat_env import durable
from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate, plan_of, skipped_of
from cmat_env.log import LOG_NAME, EpisodeWriter, read_episodes
from cmat_env.registry import make
from cmat_env.report import EvalReport
from cmat_env.suite_report import Entry, PartReport, SuiteReport
from cmat_env.types import Policy, Trajectory

SUITE_NAME = "suite.json"

Tell = Callable[[int, int, Trajectory | None], None]
OnEpisode = Callable[[str, int, int, Trajectory | None], None]
"""Told a part's name, how many of its episodes are done, how many there are, and the one that just ended."""


@dataclass(frozen=True, slots=True)
class SuiteSettings:
    """How a suite is played; see `evaluate`.

    Attributes:
        episodes: of each part; None = all tasks of a file, or 100 generated ones.
        seed: of the run.
        workers: processes.
        width: episodes side by side in one process.
        greedy: models take the likeliest token.
        prompts: system prompts by role.
        base_url: of the endpoint, where a policy asks one; kept with the run.
    """

    episodes: int | None = None
    seed: int = 0
    workers: int = 1
    width: int = 64
    greedy: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict)
    base_url: str | None = None


def run_suite(
    entries: Sequence[Entry],
    team: Mapping[str, str],
    folder: Path,
    *,
    settings: SuiteSettings | None = None,
    policies: Mapping[str, Policy | str] | None = None,
    on_episode: OnEpisode | None = None,
) -> SuiteReport:
    """Play what is left to play of every part, and report on all of it.

    Args:
        entries: the parts.
        team: by role, who plays, as the user named it.
        folder: of the run; one of the same suite goes on.
        settings: how it is played.
        policies: by role, made already; by default those that `team` names.
        on_episode: told of each episode, those of an earlier session first.

    Raises:
        ConfigError: the folder holds another run.
    """
    how = settings or SuiteSettings()
    _claim(folder, entries, team, how)
    parts = []
    for entry in entries:
        tell = functools.partial(on_episode or _silent, entry.part.name)
        notes = {"seed": how.seed, "greedy": how.greedy}
        place = folder / entry.part.name / LOG_NAME
        with EpisodeWriter(place, policies=team, settings=entry.settings, notes=notes) as log:
            parts.append(_play(entry, policies or team, log, how, tell))
    report = SuiteReport(dict(team), tuple(parts))
    report.write(folder)
    return report


def _play(
    entry: Entry, policies: Mapping[str, Policy | str], log: EpisodeWriter, how: SuiteSettings, tell: Tell
) -> PartReport:
    """Play the episodes of a part that its log does not have yet."""
    began = time.perf_counter()
    make_env = functools.partial(make, entry.part.env, **entry.settings)
    plan = plan_of(make_env, how.episodes, seed=how.seed)
    wanted = {episode.seed for episode in plan}
    known = (record.trajectory for record in read_episodes(log.path))
    done = {episode.seed: episode for episode in known if episode.seed in wanted}
    tell(len(done), len(plan), None)

    def on_end(_: int, episode: Trajectory) -> None:
        log.write(episode)
        done[episode.seed] = episode
        tell(len(done), len(plan), episode)

    left = [episode for episode in plan if episode.seed not in done]
    dropped: tuple[str, ...] = ()
    if left:
        dropped = evaluate(
            make_env,
            policies,
            episodes=left,
            seed=how.seed,
            prompts=how.prompts,
            width=how.width,
            greedy=how.greedy,
            workers=how.workers,
            on_end=on_end,
        ).dropped
    episodes = [done[episode.seed] for episode in plan if episode.seed in done]
    report = EvalReport.of(
        entry.part.env,
        episodes,
        seconds=time.perf_counter() - began,
        dropped=dropped,
        skipped=skipped_of(make_env),
    )
    seconds = sum(episode.seconds for episode in episodes) / len(episodes) if episodes else 0.0
    return PartReport(entry, report, entry.part.score(episodes) if episodes else None, seconds)


def _claim(folder: Path, entries: Sequence[Entry], team: Mapping[str, str], how: SuiteSettings) -> None:
    """Say in the folder what is played there; refuse one where something else was."""
    wanted = {
        "team": dict(team),
        "seed": how.seed,
        "greedy": how.greedy,
        "base_url": how.base_url,
        "prompts": dict(how.prompts),
        "parts": {entry.part.name: {"tasks": entry.source, **entry.settings} for entry in entries},
    }
    wanted = json.loads(json.dumps(wanted, default=str))
    file = folder / SUITE_NAME
    try:
        if file.exists():
            found = json.loads(file.read_text(encoding="utf-8"))
            shared = {name: found["parts"][name] for name in wanted["parts"] if name in found["parts"]}
            changed = [
                name for name in ("team", "seed", "greedy", "base_url", "prompts") if found[name] != wanted[name]
            ]
            changed += [name for name, part in shared.items() if part != wanted["parts"][name]]
            if changed:
                raise ConfigError(f"{folder} holds another run: {', '.join(changed)} differ; choose another folder")
            wanted["parts"] = found["parts"] | wanted["parts"]
        folder.mkdir(parents=True, exist_ok=True)
        durable.write_file(file, json.dumps(wanted, indent=2).encode())
    except (OSError, ValueError, LookupError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{folder} cannot hold the run ({error}); choose another folder") from error


def _silent(*_: object) -> None:
    """Tell nobody."""
