"""How a run at work looks: what `cmat watch` draws anew at every look."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cmat_env.charts import Plot
from cmat_env.run_charts import FIGURES, success
from cmat_env.run_log import RunLog
from cmat_env.run_page import stage
from cmat_env.run_tables import failures, latest, ledger
from cmat_env.tables import drawn
from cmat_env.terminal import printable
from cmat_env.tuning.curve import sparkline

_TREND = 12


def frame(run: RunLog) -> RenderableType:
    """The whole view; of what there is nothing yet, nothing is shown."""
    return Panel(Group(*_parts(run)), title=Text(printable(str(run.path))), title_align="left")


def line(run: RunLog) -> str:
    """The run in one line."""
    parts = [stage(run)]
    if run.metrics:
        parts.append(f"success {run.metrics[-1]['success']:.2f}")
    else:
        parts += [f"{tally.name}: {tally.score.success_rate:.1%} solved" for tally in run.groups]
    parts += [f"! {alarm['role']}: {alarm['text']}" for alarm in run.alarms]
    return printable("; ".join(parts))


def _parts(run: RunLog) -> Iterator[RenderableType]:
    age = max(0.0, time.time() - run.changed)
    written = "" if run.has_ended else f"  last written {_age(age)} ago"
    yield Text.assemble((printable(stage(run)), "bold"), (written, "dim"))
    yield from (Text(printable(f"! {alarm['role']}: {alarm['text']}"), style="bold red") for alarm in run.alarms)
    yield Plot(success(run))
    if run.metrics:
        yield _roles(run)
    found = [drawn(table) for table in (failures(run), ledger(run)) if table.rows]
    if found:
        yield Columns(found, padding=(0, 3))
    if run.latest:
        yield drawn(latest(run))


def _roles(run: RunLog) -> Table:
    """The latest figures of each role, with their trend."""
    roles = dict.fromkeys(role for each in run.metrics for role in each["roles"])
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("figure")
    for role in roles:
        table.add_column(Text(printable(role)), no_wrap=True)
    for figure, name in FIGURES.items():
        trends = [_trend([each["roles"].get(role, {}).get(figure) for each in run.metrics]) for role in roles]
        if any(trends):
            table.add_row(name, *trends)
    return table


def _trend(values: list[object]) -> str:
    """The latest value after a sparkline of all of them."""
    known = [float(value) for value in values if isinstance(value, int | float)]
    if not known:
        return ""
    size = max(1, -(-len(known) // _TREND))
    means = [sum(part) / len(part) for part in (known[start : start + size] for start in range(0, len(known), size))]
    return f"{sparkline(means, low=min(means), high=max(means))} {known[-1]:.3g}"


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
