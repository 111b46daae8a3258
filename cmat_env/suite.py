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
from typing import Any

from cmat_env import durable
from cmat_env.agentbench import AGENTBENCH_GPT35, COLUMNS, NOTES, PAPER, Part
from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate, plan_of, skipped_of
from cmat_env.log import LOG_NAME, EpisodeWriter, read_episodes
from cmat_env.registry import make
from cmat_env.report import EvalReport
from cmat_env.statistics import Interval
from cmat_env.tables import Table, interval, percent, to_html, to_markdown
from cmat_env.types import Policy, Trajectory

SUITE_NAME = "suite.json"
REPORT_NAME = "report.json"

Tell = Callable[[int, int, Trajectory | None], None]
OnEpisode = Callable[[str, int, int, Trajectory | None], None]
"""Told a part's name, how many of its episodes are done, how many there are, and the one that just ended."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A part of a suite as it is played.

    Attributes:
        part: which.
        source: of its tasks, as the user named it.
        settings: what its environment is made with.
    """

    part: Part
    source: str
    settings: Mapping[str, Any]


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


@dataclass(frozen=True, slots=True)
class PartReport:
    """How a part went.

    Attributes:
        entry: what was played.
        report: success by type, outcomes, tokens, as `cmat eval` has them; seconds are this session's.
        score: AgentBench's own score with its interval; None if nothing was finished.
        episode_seconds: mean wall time of an episode, while others were played beside it.
    """

    entry: Entry
    report: EvalReport
    score: Interval | None
    episode_seconds: float


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """How the whole suite went.

    Attributes:
        team: by role, who played, as the user named it.
        parts: in order.
    """

    team: Mapping[str, str]
    parts: tuple[PartReport, ...]

    def tables(self) -> list[Table]:
        """The paper's table with ours beside it, and what ours took."""
        return [self._beside_the_paper(), self._ours(), self._cost()]

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "suite": "agentbench",
            "team": dict(self.team),
            "parts": {
                each.entry.part.name: {
                    "column": each.entry.part.column,
                    "tasks": each.entry.source,
                    "metric": each.entry.part.metric,
                    "score": None if each.score is None else each.score.mean,
                    "score_ci95": None if each.score is None else [each.score.low, each.score.high],
                    "episode_seconds": each.episode_seconds,
                    "prompt_tokens": each.report.tokens[0],
                    "reply_tokens": each.report.tokens[1],
                    "cost": each.report.cost,
                    "report": each.report.to_json(),
                }
                for each in self.parts
            },
            "paper": {name: dict(zip(COLUMNS, scores, strict=True)) for name, scores in PAPER},
            "agentbench_gpt35": dict(zip(COLUMNS, AGENTBENCH_GPT35[1], strict=True)),
            "notes": self._notes(),
        }

    def write(self, folder: Path) -> None:
        """Leave the report in a folder, in all three forms."""
        title = "AgentBench suite: " + ", ".join(f"{role} {policy}" for role, policy in self.team.items())
        text = json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n"
        for name, content in (
            (REPORT_NAME, text),
            ("report.md", to_markdown(title, self.tables())),
            ("report.html", to_html(title, self.tables())),
        ):
            durable.write_file(folder / name, content.encode())

    def _beside_the_paper(self) -> Table:
        ours = {each.entry.part.column: each.score for each in self.parts}
        shared = [column for column in COLUMNS if ours.get(column) is not None]
        places = [COLUMNS.index(column) for column in shared]

        def mean(scores: Sequence[float]) -> str:
            return f"{sum(scores[place] for place in places) / len(places):.1f}" if places else "-"

        rows = []
        for name, scores in (PAPER[0], AGENTBENCH_GPT35, *PAPER[1:]):
            rows.append((name, *(f"{score:.1f}" for score in scores), mean(scores)))
        found = [ours.get(column) for column in COLUMNS]
        means = [score.mean for score in ours.values() if score is not None]
        total = percent(sum(means) / len(means)) if means else "-"
        who = ", ".join(f"{role} {policy}" for role, policy in self.team.items())
        rows.append((f"ours: {who}", *(percent(None if score is None else score.mean) for score in found), total))
        intervals = [interval(score.low, score.high) if score else "" for score in found]
        rows.append(("95 % interval", *intervals, ""))
        head = ("model", *COLUMNS, f"mean of {', '.join(shared) or 'none'}")
        marked = frozenset({len(rows) - 2, len(rows) - 1})
        return Table("AgentBench, in percent", head, tuple(rows), marked, tuple(self._notes()))

    def _notes(self) -> list[str]:
        made = [each.entry.part.column for each in self.parts if each.entry.source.startswith("generated:")]
        other = [f"Ours on {', '.join(made)}: generated tasks, not AgentBench's; not comparable."] if made else []
        fewer = [
            f"{each.entry.part.column} on {each.report.episodes} of {_name_of(each.entry.source)}"
            for each in self.parts
            if each.entry.part.column not in made
        ]
        played = [f"Ours: {'; '.join(fewer)}."] if fewer else []
        return [*other, *played, *NOTES]

    def _ours(self) -> Table:
        head = ("task", "episodes", "solved", "95 % (Wilson)", "score", "95 % of it")
        rows, notes = [], []
        for each in self.parts:
            report = each.report
            score = ("-", "-") if each.score is None else _score(each.score)
            solved = (percent(report.success_rate), interval(*report.total.success_ci95))
            rows.append((each.entry.part.column, str(report.episodes), *solved, *score))
            counts = ", ".join(f"{reason} {count}" for reason, count in report.outcomes.items())
            notes.append(
                f"{each.entry.part.column}: the score is the {each.entry.part.metric}; outcomes: {counts or 'none'}"
            )
        return Table("Ours, by AgentBench's own scores, in percent", head, tuple(rows), notes=tuple(notes))

    def _cost(self) -> Table:
        head = ("task", "tokens read", "written", "cost", "s an episode", "dropped", "skipped")
        rows = []
        for each in self.parts:
            cost = "-" if each.report.cost is None else f"{each.report.cost:.4f}"
            lost = (str(len(each.report.dropped)), str(len(each.report.skipped)))
            seconds = f"{each.episode_seconds:.2f}"
            rows.append((each.entry.part.column, *map(str, each.report.tokens), cost, seconds, *lost))
        notes = ["An episode's time is that between its begin and its end while others were played beside it."]
        for each in self.parts:
            why = "; ".join(f"{task_id}: {reason}" for task_id, reason in each.report.skipped.items())
            notes += [f"{each.entry.part.column}, not played and not scored: {why}"] if why else []
        return Table("What ours took", head, tuple(rows), notes=tuple(notes))


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


def _score(score: Interval) -> tuple[str, str]:
    return percent(score.mean), interval(score.low, score.high)


def _name_of(source: str) -> str:
    return "/".join(Path(source).parts[-2:])
