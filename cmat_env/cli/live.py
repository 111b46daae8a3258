"""A training run as it happens: on a terminal a view that is drawn anew, elsewhere a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cmat_env.log import read_episodes
from cmat_env.log_lines import EpisodeRecord
from cmat_env.replay_view import whole
from cmat_env.report import EvalReport
from cmat_env.run_charts import FIGURES
from cmat_env.scores import Score
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.curve import smooth, sparkline

PLAIN_STEPS = 100


class Live:
    """Shows the events of a `cmat_env.tuning.run.Run`; use it as a context."""

    def __init__(self, settings: RunSettings, console: Console | None = None) -> None:
        self._settings = settings
        self._console = console or Console()
        self._live = RichLive(console=self._console, refresh_per_second=4, transient=False)
        self._drawn = self._console.is_terminal
        self._started = time.monotonic()
        self._stage = ("starting", 0, 1)
        self._loss: list[float] = []
        self._success: list[float] = []
        self._roles: Mapping[str, Mapping[str, float]] = {}
        self._alarms: Sequence[Mapping[str, Any]] = ()
        self._evaluations: list[tuple[str, str, EvalReport]] = []

    def __enter__(self) -> Self:
        if self._drawn:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._live.update(self._view())
            self._live.stop()

    def show(self, event: str, figures: Mapping[str, Any]) -> None:
        """Take in one event of the run."""
        line = getattr(self, f"_on_{event}")(figures)
        if self._drawn:
            self._live.update(self._view())
        elif line:
            print(f"[{time.monotonic() - self._started:6.1f} s] {line}", flush=True)

    def _on_notice(self, figures: Mapping[str, Any]) -> str:
        text = f"note: {figures['text']}"
        if self._drawn:
            self._console.print(Text(text))
        return text

    def _on_resumed(self, figures: Mapping[str, Any]) -> str:
        done, total = figures["iteration"], self._settings.iterations
        self._stage = ("tuning from reward", done, total)
        return f"going on from the checkpoint of iteration {done}/{total}"

    def _on_demonstrations(self, figures: Mapping[str, Any]) -> str | None:
        done, total = figures["episodes"], figures["of"]
        self._stage = ("playing demonstrations", done, total)
        return f"{done} demonstrations played" if done == total else None

    def _on_model(self, figures: Mapping[str, Any]) -> str:
        name = self._settings.model.path or "TinyAgent"
        return f"{name}: {figures['parameters']:,} parameters, {figures['vocabulary']} tokens"

    def _on_warm_start(self, figures: Mapping[str, Any]) -> str | None:
        step, steps = figures["step"], figures["steps"]
        self._stage = ("warm start on demonstrations", step, steps)
        self._loss.append(figures["loss"])
        due = step % PLAIN_STEPS == 0 or step == steps
        return f"warm start, step {step}/{steps}: loss {figures['loss']:.3f}" if due else None

    def _on_evaluation(self, figures: Mapping[str, Any]) -> str:
        when, title, report = figures["when"], figures["title"], figures["report"]
        if when != "now":
            self._stage = (f"evaluating, {when} tuning", 1, 1)
            self._evaluations.append((when, title, report))
        return f"{when}: {title}: success {_rate(report.total)}"

    def _on_iteration(self, figures: Mapping[str, Any]) -> str:
        done, total = figures["iteration"], self._settings.iterations
        self._stage = ("tuning from reward", done, total)
        self._success.append(figures["success"])
        self._roles = figures["roles"]
        self._alarms = figures.get("alarms", ())
        roles = "; ".join(
            f"{role} loss {values.get('loss', 0):+.3f} KL {values.get('kl_per_sequence', 0):.2f}"
            for role, values in self._roles.items()
        )
        warnings = "".join(f"\n  {_warning(alarm)}" for alarm in self._alarms)
        return f"iteration {done}/{total}: success {figures['success']:.2f}; {roles}{warnings}"

    def _on_finished(self, figures: Mapping[str, Any]) -> str:
        self._stage = (f"finished: {figures['episodes']} episodes", 1, 1)
        curve = f"success while training {sparkline(smooth(self._success))}\n" if self._success else ""
        checker = "".join(f"\n{_worth(name, found)}" for name, found in figures["checker"].items())
        return f"\n{curve}\n{_as_text(self._results(), self._console)}{checker}"

    # -- the view ------------------------------------------------------------------------------------------------

    def _view(self) -> RenderableType:
        label, done, total = self._stage
        head = Table.grid(padding=(0, 1))
        head.add_row(Text(label, style="bold"), ProgressBar(total=max(1, total), completed=done, width=30),
                     f"{done}/{total}", f"{time.monotonic() - self._started:.0f} s")  # fmt: skip
        parts: list[RenderableType] = [head]
        if self._loss and not self._success:
            recent = smooth(self._loss[-400:], 10)[::8]
            parts.append(Text(f"loss {self._loss[-1]:.3f} {sparkline(recent, high=max(recent))}"))
        if self._success:
            rates = smooth(self._success)
            parts.append(Text(f"success while training {rates[-1]:.2f} {sparkline(rates)}", style="green"))
            parts.append(self._statistics())
            parts.extend(Text(_warning(alarm), style="bold red") for alarm in self._alarms)
        if self._evaluations:
            parts.append(self._results())
        return Panel(Group(*parts), title=f"{self._settings.task.env}, seed {self._settings.seed}", expand=False)

    def _statistics(self) -> RenderableType:
        table = Table(box=None, padding=(0, 1))
        table.add_column("role")
        shown = [name for name in FIGURES if any(name in values for values in self._roles.values())]
        for name in shown:
            table.add_column(FIGURES[name], justify="right")
        for role, values in self._roles.items():
            table.add_row(role, *(f"{values[name]:.3f}" if name in values else "-" for name in shown))
        return table

    def _results(self) -> Table:
        table = Table(title=f"success on {self._settings.task.evaluate}, 95 % intervals", title_justify="left")
        for column in ("team", "before", "after"):
            table.add_column(column)
        titles = dict.fromkeys(title for _, title, _ in self._evaluations)
        for title in titles:
            reports = {when: report for when, name, report in self._evaluations if name == title}
            self._add_row(table, title, {when: report.total for when, report in reports.items()})
            for member in dict.fromkeys(name for report in reports.values() for name in report.by_member):
                self._add_row(table, f"  {member}", {when: each.by_member[member] for when, each in reports.items()})
        return table

    @staticmethod
    def _add_row(table: Table, title: str, scores: Mapping[str, Score]) -> None:
        table.add_row(title, *(_rate(scores[when]) if when in scores else "" for when in ("before", "after")))


def show_change(folder: Path) -> None:
    """Print an episode that failed before tuning and succeeds after it, both times."""
    episodes: dict[str, dict[int, EpisodeRecord]] = {"before": {}, "after": {}}
    for record in read_episodes(folder):
        episodes[str(record.notes["phase"])][record.trajectory.seed] = record
    console = Console()
    pairs = [
        (record, episodes["after"][seed])
        for seed, record in episodes["before"].items()
        if not record.trajectory.success and seed in episodes["after"] and episodes["after"][seed].trajectory.success
    ]
    if not pairs:
        console.print("no episode failed before and succeeds now")
        return
    before, after = min(pairs, key=lambda pair: sum(len(record.trajectory.steps) for record in pair))
    for title, record in (("before tuning: failed", before), ("after tuning: succeeds", after)):
        console.rule(title)
        for part in whole(record, number=record.trajectory.seed):
            console.print(part)


def _worth(name: str, found: Mapping[str, Any]) -> str:
    """What a checker adds as a line."""
    low, high = found["ci95"]
    return (
        f"checker, same episodes, {name}: {found['gain']:+.3f} [{low:+.3f}, {high:+.3f}], "
        f"won {found['won']}, lost {found['lost']}"
    )


def _warning(alarm: Mapping[str, Any]) -> str:
    """An alarm as a line."""
    return f"! {alarm['role']}: {alarm['text']}"


def _rate(score: Score) -> str:
    low, high = score.success_ci95
    return f"{score.success_rate or 0:.3f} [{low:.3f}, {high:.3f}]"


def _as_text(renderable: RenderableType, console: Console) -> str:
    with console.capture() as captured:
        console.print(renderable)
    return captured.get().rstrip()
