"""The report of an evaluation, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cmat_env.terminal import printable

if TYPE_CHECKING:
    from rich.table import Table

    from cmat_env.report import EvalReport
    from cmat_env.scores import CheckerScore, MemoryUse, Score, TrialScore


def show_report(report: EvalReport) -> None:
    """Print a report."""
    from rich.console import Console  # noqa: PLC0415 - the command line starts without it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(title=printable(report.env), title_justify="left")
    for name in ("type", "episodes", "solved", "95 % interval", "reward"):
        table.add_column(name, justify="left" if name == "type" else "right")
    for kind, score in report.by_type.items():
        table.add_row(Text(printable(kind)), *_cells(score))
    table.add_section()
    for name, score in report.by_member.items():
        table.add_row(Text(printable(f"all of {name}")), *_cells(score))
    table.add_row("all", *_cells(report.total), style="bold")
    console = Console()
    console.print(table)
    outcomes = ", ".join(f"{printable(reason)} {count}" for reason, count in report.outcomes.items())
    console.print(Text(f"outcomes: {outcomes or 'none'}"))
    if report.parts:
        shown = (f"{name} {each.success_rate:.1%} of {each.parts}" for name, each in report.parts.items())
        console.print(Text(printable(f"parts: {', '.join(shown)}")))
    if report.checker is not None:
        console.print(Text(_checker_line(report.checker)))
    if len(report.trials) > 1:
        console.print(_trials(report.trials))
    if report.memory is not None:
        console.print(Text(_memory_line(report.memory)))
    if report.dropped:
        console.print(Text(printable(f"dropped {len(report.dropped)}, not scored; first: {report.dropped[0]}")))
    read, written = report.tokens
    if read or written:
        cost = "" if report.cost is None else f", cost {report.cost:.4f}"
        console.print(Text(f"tokens: {read} read, {written} written{cost}"))
    if report.calls is not None:
        console.print(Text(f"calls: {report.calls} of policies behind a menu"))
    if report.skipped:
        named = "; ".join(f"{task_id}: {reason}" for task_id, reason in report.skipped.items())
        console.print(Text(printable(f"skipped {len(report.skipped)} tasks, not scored; {named}")))
    console.print(Text(f"{report.seconds:.1f} s"))


def _cells(score: Score) -> list[str]:
    low, high = score.success_ci95
    return [
        str(score.episodes),
        _percent(score.success_rate),
        f"{low:.1%} to {high:.1%}",
        f"{score.mean_reward or 0:.3f}",
    ]


def _trials(scores: Sequence[TrialScore]) -> Table:
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="by trial", title_justify="left")
    for name in ("trial", "played", "solved", "solved so far", "95 % interval", "tokens read", "written"):
        table.add_column(name, justify="right")
    for score in scores:
        low, high = score.success_ci95
        about = "about " if score.tokens.estimated else ""
        cells = (score.trial, score.played, score.solved, _percent(score.success_rate), f"{low:.1%} to {high:.1%}",
                 f"{about}{score.tokens.read:,}", f"{about}{score.tokens.written:,}")  # fmt: skip
        table.add_row(*map(str, cells))
    return table


def _memory_line(use: MemoryUse) -> str:
    if not use.continual:
        return f"memory: read only, {use.before} memories, {use.recalled} recalled; episodes knew nothing of each other"
    return (
        f"memory: CONTINUAL, blocks of {use.block}; {use.before} memories before, {use.after} after, {use.recalled} "
        "recalled; later episodes knew what earlier ones had written"
    )


def _checker_line(score: CheckerScore) -> str:
    shares = {
        "asks for a revision": score.revision_rate,
        "precision": score.precision,
        "recall": score.recall,
        "false alarms": score.false_alarm_rate,
    }
    listed = ", ".join(f"{name} {_percent(share)}" for name, share in shares.items())
    unparsed = f", {score.unparsed} without a verdict" if score.unparsed else ""
    return f"checker: {score.verdicts} verdicts, {listed}{unparsed}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
