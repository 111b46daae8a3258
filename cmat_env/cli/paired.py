"""What `cmat eval --paired` shows: every arm, and what the checker is worth."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from cmat_env.paired import PairedReport


def show(paired: PairedReport) -> None:
    """Print the arms and their differences."""
    arms = Table(title="the same episodes", title_justify="left")
    for name in ("team", "solved", "95 % interval", "proposals", "verdicts", "tokens"):
        arms.add_column(name, justify="left" if name == "team" else "right")
    for name, arm in paired.arms.items():
        total = arm.report.total
        rate = "-" if total.success_rate is None else f"{total.success_rate:.1%}"
        low, high = total.success_ci95
        arms.add_row(
            name, rate, f"{low:.1%} to {high:.1%}", f"{arm.proposals}", f"{arm.verdicts}", f"{arm.tokens or '-'}"
        )
    differences = Table()
    for name in ("difference", "points", "95 % interval", "won", "lost", "McNemar p"):
        differences.add_column(name, justify="left" if name == "difference" else "right")
    for name, each in paired.differences.items():
        low, high = (100 * end for end in each.ci95)
        points = f"{100 * each.gain:+.1f}"
        differences.add_row(
            name, points, f"{low:+.1f} to {high:+.1f}", f"{each.won}", f"{each.lost}", f"{each.p_value:.3g}"
        )
    console = Console()
    console.print(arms)
    console.print(differences)
