"""How an episode looks: every turn as rich renderables, safe to print whatever a model wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cmat_env.episode_text import HIDDEN, heard, is_right, is_verbatim, origin
from cmat_env.graph_path import path_at
from cmat_env.log_lines import EpisodeRecord
from cmat_env.look_rich import content
from cmat_env.terminal import printable
from cmat_env.types import Payment, Step, Trajectory

Lens = Callable[[EpisodeRecord, int], RenderableType | None]
"""An episode and a step's position -> a view of the step's tokens, None if it shows none."""

_COLOURS = {"user": "cyan", "assistant": "green", "checker": "magenta", "environment": "yellow", "system": "blue"}


def header(record: EpisodeRecord, *, number: int, count: int | None = None) -> RenderableType:
    """Who plays which task.

    Args:
        record: the episode.
        number: its place in the log, from 1.
        count: how many the log holds, if that is known.
    """
    episode = record.trajectory
    title = Text(f"episode {number}" + (f" of {count}" if count else ""), style="bold")
    facts = Text(f"{episode.env_id}  task {episode.task_id}  {episode.task_type}  seed {episode.seed}", style="bold")
    if episode.trial:
        facts.append(f"  trial {episode.trial + 1}", style="yellow")
    for name, value in record.notes.items():
        if name not in HIDDEN:
            facts.append(f"  {name} {value}", style="dim")
    team = Text()
    for role in episode.dialogues:
        played_by = record.policies.get(role)
        team.append(role, style=_colour(role)).append(f" {played_by}  " if played_by else "  ")
    return Group(Rule(title, align="left"), _safe(facts), _safe(team), *_recalled(episode))


def turn(
    steps: Sequence[Step], index: int, *, count: int | None = None, tokens: RenderableType | None = None
) -> RenderableType:
    """One step: what the role heard, what it said, the verdict, and what was paid for it.

    Args:
        steps: of an episode, as far as they are known.
        index: the step's position, from 0.
        count: how many steps the episode has, if that is known.
        tokens: a view of the step's tokens, shown below what was said.
    """
    step = steps[index]
    parts: list[RenderableType] = [Text(), _title(step, count)]
    parts += [Padding(part, (0, 0, 0, 2)) for part in (*_heard(steps, index), *_said(step))]
    if step.verdict is not None:
        parts.append(Padding(_verdict(step), (0, 0, 0, 2)))
    if tokens is not None:
        parts.append(Padding(tokens, (0, 0, 0, 2)))
    if step.payments:
        paid = [payment for earlier in steps[: index + 1] for payment in earlier.payments]
        parts.append(Padding(_ledger(step.payments, paid), (0, 0, 0, 2)))
    return Group(*parts)


def footer(episode: Trajectory) -> RenderableType:
    """How it ended, and what everybody earned."""
    mark, style = ("✔ solved", "bold green") if episode.success else ("✘ not solved", "bold red")
    line = Text.assemble((mark, style), f": {episode.outcome}  score {episode.score:g}")
    if episode.truncated:
        line.append("  cut off by a limit", style="yellow")
    returns = Text("returns")
    for role, amount in episode.returns().items():
        returns.append("  ").append(role, style=_colour(role)).append(f" {amount:+.2f}")
    return Group(Text(), Rule(style="dim"), _safe(line), _safe(returns), Text())


def whole(
    record: EpisodeRecord, *, number: int, count: int | None = None, lens: Lens | None = None
) -> Iterator[RenderableType]:
    """An episode from first to last, its tokens under a lens if one is given."""
    steps = record.trajectory.steps
    yield header(record, number=number, count=count)
    for index in range(len(steps)):
        yield turn(steps, index, count=len(steps), tokens=lens(record, index) if lens else None)
    yield footer(record.trajectory)


def _recalled(episode: Trajectory) -> Iterator[RenderableType]:
    """What each role was told of earlier trials and tasks."""
    for role, items in episode.recalled.items():
        for item in items:
            source = origin(item)
            line = Text.assemble((role, _colour(role)), (f" recalls, {source}: ", "dim"), item.text)
            yield _safe(line)


def _title(step: Step, count: int | None) -> RenderableType:
    role = (step.role, f"bold {_colour(step.role)}")
    title = Text.assemble(
        (f"{step.index + 1}{f'/{count}' if count else ''} ", "dim"), role, (f"  turn {step.turn + 1}", "dim")
    )
    if step.kind == "reflect":
        title.append("  reflection", style="yellow")
    tokens = step.generation.token_ids
    if tokens is not None:
        title.append(f"  {len(tokens)} tokens", style="dim")
    if step.generation.finish_reason != "stop":
        title.append(f"  {step.generation.finish_reason}", style="yellow")
    return _safe(title)


def _heard(steps: Sequence[Step], index: int) -> Iterator[RenderableType]:
    """What a role heard, unless the reader has just read the same words above."""
    speaker, message = heard(steps, index)
    if not message:
        return
    yield Text(f"{printable(speaker)}:", style=_colour(speaker))
    for part in content(message):
        yield Padding(part, (0, 0, 0, 2))
    if way := path_at(steps, index):
        yield Padding(Text(printable(way), style="cyan"), (0, 0, 0, 2))


def _said(step: Step) -> Iterator[RenderableType]:
    if step.verdict is not None:
        return
    yield Text(f"{printable(step.role)}:", style=_colour(step.role))
    same: list[RenderableType] = [Text("(the same, word for word)", style="dim")]
    for part in same if is_verbatim(step) else content(step.generation.text):
        yield Padding(part, (0, 0, 0, 2))


def _verdict(step: Step) -> RenderableType:
    assert step.verdict is not None
    verdict = step.verdict
    badge = (" ✔ approve ", "bold white on green") if verdict.approve else (" ✘ revise ", "bold white on red")
    line = Text.assemble(badge)
    if verdict.confidence != 1.0:
        line.append(f" confidence {verdict.confidence:.2f}")
    if not verdict.parsed:
        line.append(" (no verdict in the text)", style="yellow")
    if step.judgement is not None:
        right = is_right(step)
        opinion = "good" if step.judgement.good else "bad"
        line.append(f"  the task says {opinion}: ")
        line.append("rightly" if right else "wrongly", style="green" if right else "red")
    lines = [line]
    if verdict.reason or not verdict.parsed:
        lines.append(Text(printable(verdict.reason or step.generation.text)))
    return Group(*lines)


def _ledger(payments: Sequence[Payment], paid: Sequence[Payment]) -> RenderableType:
    """Entries with the payee's running total."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for column in ("who", "amount", "why", "total"):
        table.add_column(column, justify="right" if column == "amount" else "left", overflow="fold")
    before = list(paid[: len(paid) - len(payments)])
    for payment in payments:
        before.append(payment)
        total = sum(entry.amount for entry in before if entry.role == payment.role)
        table.add_row(
            Text(printable(payment.role), style=_colour(payment.role)),
            Text(f"{payment.amount:+.2f}", style="green" if payment.amount > 0 else "red"),
            Text(printable(payment.reason)),
            Text(f"total {total:+.2f}", style="dim"),
        )
    return table


def _colour(role: str) -> str:
    return _COLOURS.get(role, "white")


def _safe(text: Text) -> Text:
    """The same text, its letters made printable; each keeps its style, as a sign takes the place of a letter."""
    text.plain = printable(text.plain)
    return text
