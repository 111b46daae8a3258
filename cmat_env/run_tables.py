"""The tables of a run: results with intervals, by type, failures by reason, the ledger by role, settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from cmat_env.errors import LogError
from cmat_env.report import EvalReport
from cmat_env.report_tables import Group, by_type, checker, results
from cmat_env.run_log import RunLog, Tally
from cmat_env.tables import Table, percent
from cmat_env.tuning.config import RunSettings


def tables(run: RunLog) -> list[Table]:
    """All that a report shows, but for the settings; tables without rows are left out."""
    groups = _groups(run)
    found = [results(groups), by_type(groups), checker(groups), failures(run), ledger(run), _took(run)]
    return [table for table in found if table.rows]


def failures(run: RunLog) -> Table:
    """Why recorded episodes were not solved, the most frequent reason first."""
    groups = run.groups
    counts = {tally.name: tally.failures for tally in groups}
    reasons = sorted(
        {reason for found in counts.values() for reason in found},
        key=lambda reason: (-sum(found[reason] for found in counts.values()), reason),
    )
    rows = [(reason, *(_count(counts[tally.name][reason], len(tally.rows)) for tally in groups)) for reason in reasons]
    head = ("reason", *(f"{tally.name} ({len(tally.rows)})" for tally in groups))
    return Table(
        "Failures by reason", head, tuple(rows), notes=("Of recorded episodes; in brackets their percentage.",)
    )


def ledger(run: RunLog) -> Table:
    """What each role was paid for, a recorded episode."""
    groups = run.groups
    paid = sorted({key for tally in groups for key in tally.payments})
    rows: list[tuple[str, ...]] = []
    ours = set()
    for role in dict.fromkeys(role for role, _ in paid):
        ours.add(len(rows))
        rows.append((role, "all", *(_paid(tally, role) for tally in groups)))
        rows += [("", reason, *(_paid(tally, role, reason) for tally in groups)) for who, reason in paid if who == role]
    head = ("role", "for", *(tally.name for tally in groups))
    notes = ("A recorded episode; in brackets how many payments.",)
    return Table("Ledger by role", head, tuple(rows), frozenset(ours), notes)


def latest(run: RunLog) -> Table:
    """The latest episodes, the newest first."""
    rows = []
    for name, number, record in reversed(run.latest):
        episode = record.trajectory
        returns = ", ".join(f"{role} {amount:+.2f}" for role, amount in episode.returns().items())
        mark = "✔" if episode.success else "✘"
        where = f"{name} {number}" + (f", iteration {record.notes['iteration']}" if "iteration" in record.notes else "")
        rows.append((where, episode.task_id, f"{mark} {episode.outcome}", str(len(episode.steps)), returns))
    return Table("Latest recorded episodes", ("episode", "task", "outcome", "steps", "returns"), tuple(rows))


def settings(run: RunLog) -> Table:
    """What the run was started with; those of a training run that are not the defaults stand out."""
    known = dict(_flat(run.settings))
    usual = dict(_flat(dataclasses.asdict(RunSettings()))) if run.is_training else known
    rows = tuple(known.items())
    changed = frozenset(place for place, (name, value) in enumerate(rows) if usual.get(name) != value)
    notes = ("What is not the default stands out.",) if changed else ()
    return Table("Settings", ("setting", "value"), rows, changed, notes)


def _took(run: RunLog) -> Table:
    rows = []
    for tally in run.groups:
        count = len(tally.rows)
        costs = [row.cost for row in tally.rows if row.cost is not None]
        rows.append((
            tally.name, str(count), f"{sum(row.turns for row in tally.rows) / count:.1f}",
            _each(sum(row.prompt_tokens for row in tally.rows), count),
            _each(sum(row.reply_tokens for row in tally.rows), count), f"{sum(costs):.4f}" if costs else "-",
        ))  # fmt: skip
    head = ("episodes", "recorded", "assistant's turns", "tokens read", "written", "cost in all")
    return Table("What a recorded episode took", head, tuple(rows))


def _each(tokens: int, count: int) -> str:
    """Tokens an episode; none at all means that the policies count none."""
    return f"{tokens / count:.0f}" if tokens else "-"


def _groups(run: RunLog) -> list[Group]:
    """What the report says, and what was recorded beside it.

    Raises:
        LogError: the report is none of ours.
    """
    try:
        reports = dict(_reports(run.report or {}))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise LogError(f"{run.path}: its report.json is none of cmat's ({error!r}); move it away") from error
    told = {"before tuning", "after tuning"} if run.is_training and reports else set(reports)
    found = [Group.of(name, each) for name, each in reports.items()]
    return found + [_of_tally(tally) for tally in run.groups if tally.name not in told]


def _reports(report: Mapping[str, Any]) -> Iterator[tuple[str, EvalReport]]:
    """The evaluations in a report, of whatever kind it is."""
    if "evaluations" in report:
        for name, each in report["evaluations"].items():
            yield name, EvalReport.from_json({"per_episode": (), **each})
    elif "suite" in report:
        for name, each in report["parts"].items():
            yield name, EvalReport.from_json(each["report"])
    elif report:
        yield report["env"], EvalReport.from_json(report)


def _of_tally(tally: Tally) -> Group:
    kinds = sorted({row.task_type for row in tally.rows})
    return Group(f"{tally.name}, recorded", tally.score, {kind: tally.of_type(kind) for kind in kinds})


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _count(count: int, of: int) -> str:
    return f"{count} ({percent(count / of)})" if count else "-"


def _paid(tally: Tally, role: str, reason: str | None = None) -> str:
    amounts = [
        amount
        for (who, why), paid in tally.payments.items()
        if who == role and reason in (None, why)
        for amount in paid
    ]
    return f"{sum(amounts) / len(tally.rows):+.3f} ({len(amounts)})" if amounts else "-"
