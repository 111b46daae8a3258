"""Tables of what evaluations found: success with its interval, by type, the checker, outcomes, trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cmat_env.scores import CheckerScore, Score
from cmat_env.tables import Table, interval, percent

if TYPE_CHECKING:
    from cmat_env.report import EvalReport

_MAIN = "team, greedy"
"""What the evaluation of a whole team is called in a training run."""


@dataclass(frozen=True, slots=True)
class Group:
    """Episodes that are reported on together.

    Attributes:
        name: of the evaluation, or of what was recorded.
        total: how all went.
        by_type: the same by type of task.
        checker: how well the checker judged, if there was one.
    """

    name: str
    total: Score
    by_type: Mapping[str, Score]
    checker: CheckerScore | None = None

    @classmethod
    def of(cls, name: str, report: EvalReport) -> Self:
        """The episodes of a report."""
        return cls(name, report.total, report.by_type, report.checker)


def tables_of(report: EvalReport) -> list[Table]:
    """All that one evaluation found; tables without rows are left out."""
    groups = [Group.of(report.env, report)]
    found = [results(groups), by_type(groups), checker(groups), _outcomes(report), _trials(report)]
    return [table for table in found if table.rows]


def results(groups: Sequence[Group]) -> Table:
    """How often each solved its tasks."""
    rows = [
        (
            group.name,
            str(group.total.episodes),
            percent(group.total.success_rate),
            interval(*group.total.success_ci95),
            "-" if group.total.mean_reward is None else f"{group.total.mean_reward:.3f}",
        )
        for group in groups
    ]
    main = frozenset(place for place, group in enumerate(groups) if group.name.endswith(_MAIN))
    head = ("episodes", "number", "solved", "95 % interval", "reward")
    return Table("Results, in percent, with Wilson intervals", head, tuple(rows), main)


def by_type(groups: Sequence[Group]) -> Table:
    """The evaluations of the whole team, or all there are."""
    shown = [group for group in groups if group.name.endswith(_MAIN)] or groups
    kinds = sorted({kind for group in shown for kind in group.by_type})
    rows = [(kind, *(_solved(group.by_type.get(kind)) for group in shown)) for kind in kinds]
    return Table("Solved by type of task, in percent", ("type", *(group.name for group in shown)), tuple(rows))


def checker(groups: Sequence[Group]) -> Table:
    """How well the checker judged; without rows where there was none."""
    rows = [
        (
            group.name, str(each.verdicts), percent(each.revision_rate), percent(each.precision), percent(each.recall),
            percent(each.false_alarm_rate), str(each.unparsed),
        )
        for group in groups
        if (each := group.checker) is not None and each.verdicts
    ]  # fmt: skip
    head = ("episodes", "verdicts", "asks to revise", "precision", "recall", "false alarms", "no verdict")
    return Table("The checker, in percent where the task could judge", head, tuple(rows))


def _outcomes(report: EvalReport) -> Table:
    rows = [(reason, str(count), percent(count / report.episodes)) for reason, count in report.outcomes.items()]
    notes = tuple(f"dropped, not scored: {line}" for line in report.dropped[:3])
    return Table("Why episodes ended", ("outcome", "episodes", "percent"), tuple(rows), notes=notes)


def _trials(report: EvalReport) -> Table:
    """Success by trial, where there was more than one."""
    rows = [
        (str(each.trial), str(each.played), percent(each.success_rate), interval(*each.success_ci95))
        for each in report.trials
    ]
    head = ("trial", "played", "solved by then", "95 % interval")
    return Table("Solved by trial, in percent", head, tuple(rows) if len(rows) > 1 else ())


def _solved(score: Score | None) -> str:
    if score is None or not score.episodes:
        return "-"
    return f"{percent(score.success_rate)} ({interval(*score.success_ci95)}) of {score.episodes}"
