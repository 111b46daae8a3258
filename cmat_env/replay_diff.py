"""Two logs compared: which episodes are in both, where each pair parts, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cmat_env.log_lines import EpisodeRecord
from cmat_env.look_rich import content
from cmat_env.reexecution import facts, first_difference
from cmat_env.replay_view import turn
from cmat_env.terminal import printable
from cmat_env.types import Step

_LISTED = 20
_RESULTS = ("both", "only A", "only B", "neither")
Key = tuple[str, str, int, int, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same episode in two logs.

    Attributes:
        number: its place in A, from 1.
        a: as A has it.
        b: as B has it.
        step: the first step that differs, from 0; the number of steps that both have if one goes on; None = none.
        field: what differs there.
    """

    number: int
    a: EpisodeRecord
    b: EpisodeRecord
    step: int | None
    field: str

    @property
    def solved(self) -> str:
        """Who solved the task."""
        ours, theirs = self.a.trajectory.success, self.b.trajectory.success
        return _RESULTS[0 if ours and theirs else 1 if ours else 2 if theirs else 3]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two logs.

    Attributes:
        pairs: episodes of the same environment, task, seed and sample, in the order of A.
        only_a: how many A alone has.
        only_b: how many B alone has.
    """

    pairs: tuple[Pair, ...]
    only_a: int
    only_b: int

    @property
    def different(self) -> list[Pair]:
        """The pairs that part."""
        return [pair for pair in self.pairs if pair.step is not None]


def compare(a: Iterable[EpisodeRecord], b: Iterable[EpisodeRecord]) -> Comparison:
    """Pair the episodes of two logs and look where each pair parts."""
    others = dict(_keyed(b))
    count = len(others)
    pairs, alone = [], 0
    for number, (key, record) in enumerate(_keyed(a), start=1):
        other = others.pop(key, None)
        if other is None:
            alone += 1
            continue
        step, field = parting(record, other)
        pairs.append(Pair(number, record, other, step, field))
    return Comparison(tuple(pairs), alone, count - len(pairs))


def parting(a: EpisodeRecord, b: EpisodeRecord) -> tuple[int | None, str]:
    """The first step in which two episodes differ, and in what; (None, "") if in none."""
    for index, (one, other) in enumerate(zip_longest(a.trajectory.steps, b.trajectory.steps)):
        if one is None or other is None:
            return index, "length"
        difference = first_difference(_said(one), _said(other)) or first_difference(facts(one), facts(other))
        if difference:
            return index, difference[0]
    ends = [
        {name: getattr(record.trajectory, name) for name in ("success", "score", "outcome", "terminated", "truncated")}
        for record in (a, b)
    ]
    difference = first_difference(*ends)
    return (len(a.trajectory.steps), difference[0]) if difference else (None, "")


def table(comparison: Comparison) -> RenderableType:
    """The comparison in a few lines: how many agree, who solved what, and the pairs that part."""
    same = len(comparison.pairs) - len(comparison.different)
    lines = [
        Text(f"{len(comparison.pairs)} episodes in both: {same} the same, {len(comparison.different)} part"),
        Text(f"only in A: {comparison.only_a}, only in B: {comparison.only_b}"),
        Text("solved by " + ", ".join(f"{who}: {_count(comparison, who)}" for who in _RESULTS)),
    ]
    if not comparison.different:
        return Group(*lines)
    listed = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("episode", "task", "parts at step", "in", "A", "B"):
        listed.add_column(name, overflow="fold")
    for pair in comparison.different[:_LISTED]:
        assert pair.step is not None
        cells = (
            str(pair.number),
            pair.a.trajectory.task_id,
            str(pair.step + 1),
            pair.field,
            _end(pair.a),
            _end(pair.b),
        )
        listed.add_row(*(Text(printable(cell)) for cell in cells))
    more = len(comparison.different) - _LISTED
    return Group(*lines, listed, *([Text(f"... {more} more", style="dim")] if more > 0 else []))


def detail(pair: Pair) -> Iterator[RenderableType]:
    """Where a pair parts: what both still shared, then A's and B's own step."""
    yield Rule(Text(printable(f"episode {pair.number}, task {pair.a.trajectory.task_id}"), style="bold"), align="left")
    if pair.step is None:
        yield Text("the same in both")
        return
    steps = pair.a.trajectory.steps, pair.b.trajectory.steps
    if pair.step:
        yield Text(f"\nshared up to step {pair.step}", style="dim")
        yield turn(steps[0], pair.step - 1, count=len(steps[0]))
    for name, record, own in zip("AB", (pair.a, pair.b), steps, strict=True):
        players = ", ".join(f"{role} {spec}" for role, spec in record.policies.items())
        yield Text(printable(f"\n{name}  ({players})"), style="bold reverse")
        if pair.step < len(own):
            yield turn(own, pair.step, count=len(own))
            if pair.field.startswith("observation"):
                yield Padding(Group(*content(own[pair.step].observation["message"])), (0, 0, 0, 2))
        yield Text(f"  in the end: {printable(_end(record))} after {len(own)} steps", style="dim")


def _said(step: Step) -> dict[str, Any]:
    return {"agent": step.agent, "observation.message": step.observation["message"], "text": step.generation.text}


def _keyed(records: Iterable[EpisodeRecord]) -> Iterator[tuple[Key, EpisodeRecord]]:
    """Each episode with what tells it apart; the last part counts those that nothing else tells apart."""
    seen: dict[tuple[str, str, int, int], int] = {}
    for record in records:
        episode = record.trajectory
        key = episode.env_id, episode.task_id, episode.seed, episode.sample
        seen[key] = seen.get(key, -1) + 1
        yield (*key, seen[key]), record


def _count(comparison: Comparison, who: str) -> int:
    return sum(pair.solved == who for pair in comparison.pairs)


def _end(record: EpisodeRecord) -> str:
    return ("✔ " if record.trajectory.success else "✘ ") + record.trajectory.outcome
