"""What a suite found: the paper's table with a row of ours, and what ours took; as tables, JSON, Markdown and HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmat_env import durable
from cmat_env.agentbench import AGENTBENCH_GPT35, COLUMNS, NOTES, PAPER, Part
from cmat_env.report import EvalReport
from cmat_env.statistics import Interval
from cmat_env.tables import Table, interval, notebook_tables, percent, to_html, to_markdown

REPORT_NAME = "report.json"


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

    def _repr_html_(self) -> str:
        """The report in a notebook."""
        return notebook_tables(self.tables())

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
            tokens = (str(count or "-") for count in each.report.tokens)  # 0: its policies count none
            rows.append((each.entry.part.column, *tokens, cost, seconds, *lost))
        notes = ["An episode's time is that between its begin and its end while others were played beside it."]
        for each in self.parts:
            why = "; ".join(f"{task_id}: {reason}" for task_id, reason in each.report.skipped.items())
            notes += [f"{each.entry.part.column}, not played and not scored: {why}"] if why else []
        return Table("What ours took", head, tuple(rows), notes=tuple(notes))


def _score(score: Interval) -> tuple[str, str]:
    return percent(score.mean), interval(score.low, score.high)


def _name_of(source: str) -> str:
    return "/".join(Path(source).parts[-2:])
