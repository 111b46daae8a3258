"""How an episode looks: every turn as rich renderables, safe to print whatever a model wrote."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence

from rich.box import ROUNDED
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from cmat_env.log_lines import EpisodeRecord
from cmat_env.replay_page import is_page, page
from cmat_env.terminal import printable
from cmat_env.types import Payment, Recalled, Step, Trajectory

Lens = Callable[[EpisodeRecord, int], RenderableType | None]
"""An episode and a step's position -> a view of the step's tokens, None if it shows none."""

_COLOURS = {"user": "cyan", "assistant": "green", "checker": "magenta", "environment": "yellow", "system": "blue"}
_SQL = re.compile(
    r"\s*(select|insert|update|delete|replace|with|create|drop|alter|show|describe|explain)\b", re.IGNORECASE
)
_FENCE = re.compile(r"```(\w*)\n(.*?)\n?```", re.DOTALL)
HIDDEN = ("seed", "greedy")
"""Notes for `--fork`, which a reader need not see."""
DRY_RUN = "\nDry run: "
_MENU = re.compile(r"Observation: \[([^\[\]]*)\]")
_CALL = r"(?m)^(Action: .*|Final Answer: .*)$"
_LONGEST_TABLE = 20_000
_MOST_ROWS = 12
_MOST_OFFERED = 36


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


def content(text: str) -> list[RenderableType]:
    """What somebody wrote: SQL highlighted, rows as a table, anything else as plain text."""
    parts: list[RenderableType] = []
    end = 0
    for block in _FENCE.finditer(text):
        parts += _prose(text[end : block.start()])
        parts.append(_code(block[2], block[1] or "sql"))
        end = block.end()
    rest = _prose(text[end:])
    return parts + rest or [Text("(nothing)", style="dim")]


def rows_of(text: str) -> list[tuple[object, ...]] | None:
    """The rows in a text such as "[(1, 'a'), (2, 'b')]"; None if it is not that."""
    text = text.strip()
    if not (text.startswith("[(") or text.startswith("[[")) or len(text) > _LONGEST_TABLE:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not all(isinstance(row, list | tuple) and row for row in value):
        return None
    return [tuple(row) for row in value]


def _recalled(episode: Trajectory) -> Iterator[RenderableType]:
    """What each role was told of earlier trials and tasks."""
    for role, items in episode.recalled.items():
        for item in items:
            source = origin(item)
            line = Text.assemble((role, _colour(role)), (f" recalls, {source}: ", "dim"), item.text)
            yield _safe(line)


def origin(item: Recalled) -> str:
    """Where something that is recalled comes from."""
    return "an earlier trial" if item.memory is None else f"memory {item.memory}"


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
    step = steps[index]
    message, speaker = step.observation["message"], step.observation["speaker"]
    if step.role == "checker":
        _, mark, dry_run = message.rpartition(DRY_RUN)
        message, speaker = (dry_run, "dry run") if mark else ("", "")
    if not message or (index and message == steps[index - 1].generation.text):
        return
    yield Text(f"{printable(speaker)}:", style=_colour(speaker))
    for part in content(message):
        yield Padding(part, (0, 0, 0, 2))


def _said(step: Step) -> Iterator[RenderableType]:
    if step.verdict is not None:
        return
    yield Text(f"{printable(step.role)}:", style=_colour(step.role))
    verbatim = step.generation.text == step.observation["message"] and step.generation.text
    for part in [Text("(the same, word for word)", style="dim")] if verbatim else content(step.generation.text):
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
        right = step.judgement.good == verdict.approve
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


def _prose(text: str) -> list[RenderableType]:
    text = text.strip("\n")
    if not text.strip():
        return []
    rows = rows_of(text)
    if rows is not None:
        return [_table(rows)]
    if is_page(text):
        return [page(text)]
    if _SQL.match(text):
        return [_code(text, "sql")]
    if text.lstrip().startswith("{"):
        return _call(text)
    plain = [_menu(line) if _MENU.fullmatch(line) else _words(line) for line in text.split("\n")]
    return plain if _MENU.search(text) else [_words(text)]


def _words(text: str) -> Text:
    """Plain text, with what it does set off."""
    words = Text(printable(text))
    words.highlight_regex(_CALL, "bold")
    return words


def _menu(line: str) -> RenderableType:
    """What a tool offers, in columns."""
    items = [item for item in line.partition("[")[2].removesuffix("]").split(", ") if item]
    shown = Columns([Text(printable(item)) for item in items[:_MOST_OFFERED]], padding=(0, 2))
    left = f", the first {_MOST_OFFERED}" if len(items) > _MOST_OFFERED else ""
    return Group(Text(f"{len(items)} offered{left}", style="dim"), shown) if items else Text("nothing offered")


def _call(text: str) -> list[RenderableType]:
    """A tool call in JSON: its name, and SQL among its arguments as SQL; short texts as in a call of Python's."""
    try:
        call = json.loads(text)
        name, arguments = call["name"], dict(call["arguments"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return [_code(text, "json")]
    query = arguments.get("query")
    if isinstance(query, str):
        return [Text(printable(str(name)), style="bold"), _code(query, "sql")]
    if not arguments or not all(isinstance(value, str) and "\n" not in value for value in arguments.values()):
        return [_code(text, "json")]
    return [Text(printable(f"{name}({', '.join(arguments.values())})"), style="bold")]


def _code(text: str, language: str) -> RenderableType:
    return Syntax(printable(text), language, theme="ansi_dark", background_color="default", word_wrap=True)


def _table(rows: Sequence[tuple[object, ...]]) -> RenderableType:
    """Rows without names, the first dozen of them."""
    table = Table(box=ROUNDED, show_header=False, border_style="dim")
    for _ in range(max((len(row) for row in rows), default=0)):
        table.add_column(overflow="fold")
    for row in rows[:_MOST_ROWS]:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    if len(rows) <= _MOST_ROWS:
        return table
    return Group(table, Text(f"... {len(rows) - _MOST_ROWS} more rows", style="dim"))


def _colour(role: str) -> str:
    return _COLOURS.get(role, "white")


def _safe(text: Text) -> Text:
    """The same text, its letters made printable; each keeps its style, as a sign takes the place of a letter."""
    text.plain = printable(text.plain)
    return text
