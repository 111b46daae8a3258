"""Two runs over the same tasks, compared task by task: McNemar's exact test and the paired bootstrap."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cmat_env.errors import ConfigError, LogError
from cmat_env.log import LOG_NAME, read_episodes
from cmat_env.scores import EpisodeRow, wilson
from cmat_env.statistics import Interval, McNemar, mcnemar, paired_bootstrap
from cmat_env.tables import Table, notebook_tables, percent

_NAMED = 10

Runs = dict[str, list[EpisodeRow]]
"""Episodes by environment, or by part of a suite."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """B against A on the tasks that both played.

    Attributes:
        name: of the environment, or of a suite's part.
        tasks: that both played.
        unpaired: episodes of A and of B whose task the other did not play.
        solved: how many tasks A and B solved.
        test: McNemar's, on success.
        success: the difference of the success rates, B - A.
        reward: the difference of the mean rewards, B - A.
        only_a: tasks that A alone solved.
        only_b: tasks that B alone solved.
    """

    name: str
    tasks: int
    unpaired: tuple[int, int]
    solved: tuple[int, int]
    test: McNemar
    success: Interval
    reward: Interval
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    def _repr_html_(self) -> str:
        """The comparison in a notebook."""
        return notebook_tables(tables([self]))

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        rates = [solved / self.tasks for solved in self.solved]
        ranges = [list(wilson(solved, self.tasks)) for solved in self.solved]
        return json.loads(json.dumps(asdict(self) | {"success_rates": rates, "success_ci95": ranges}))  # type: ignore[no-any-return]


def read_runs(path: Path | str) -> Runs:
    """The episodes of a report, a log, a run folder, or the folder of a suite.

    Raises:
        LogError: there is nothing of that kind.
    """
    place = Path(path)
    if not place.exists():
        raise LogError(f"{place}: no such file or folder; wanted what cmat eval --record or --json has left")
    if place.is_dir() and not (place / LOG_NAME).exists():
        parts = sorted(part for part in place.iterdir() if (part / LOG_NAME).exists())
        if parts:
            return {part.name: next(iter(read_runs(part).values()), []) for part in parts}
        place /= "report.json"
    if place.suffix == ".json":
        return _from_report(place)
    runs: Runs = {}
    for record in read_episodes(place):
        runs.setdefault(record.trajectory.env_id, []).append(EpisodeRow.of(record.trajectory))
    return runs


def compare(a: Runs, b: Runs, *, seed: int = 0) -> list[Comparison]:
    """B against A, for each environment that both played.

    Args:
        a: episodes by environment.
        b: likewise.
        seed: of the bootstrap.

    Raises:
        ConfigError: they have no task in common.
    """
    found = [_compare(name, a[name], b[name], seed=seed) for name in a if name in b]
    compared = [each for each in found if each is not None]
    if not compared:
        raise ConfigError(
            f"the runs have no task in common (A: {', '.join(a) or 'nothing'}; B: {', '.join(b) or 'nothing'}); play "
            "both with the same environment, tasks, seed and episodes"
        )
    return compared


def tables(comparisons: Sequence[Comparison], names: tuple[str, str] = ("A", "B")) -> list[Table]:
    """The comparisons for a person."""
    notes = [f"A = {names[0]}; B = {names[1]}. Bootstrap over tasks, 10,000 resamples; p: McNemar exact, two-sided."]
    success, reward = [], []
    for each in comparisons:
        rates = (percent(solved / each.tasks) for solved in each.solved)
        test = (str(each.test.only_a), str(each.test.only_b), f"{each.test.p_value:.3g}")
        success.append((each.name, str(each.tasks), *rates, *_signed(each.success, 100, 1), *test))
        reward.append((each.name, str(each.tasks), *_signed(each.reward, 1, 3)))
        if any(each.unpaired):
            notes.append(
                f"{each.name}: not played by the other and left out: {each.unpaired[0]} of A, {each.unpaired[1]} of B."
            )
        for who, tasks in (("A", each.only_a), ("B", each.only_b)):
            if tasks:
                more = f" and {len(tasks) - _NAMED} more" if len(tasks) > _NAMED else ""
                notes.append(f"{each.name}, only {who} solved: {', '.join(tasks[:_NAMED])}{more}")
    head = ("solved", "tasks", "A", "B", "B - A", "95 %", "only A", "only B", "p")
    return [
        Table("Paired comparison: success, in percent", head, tuple(success)),
        Table("Mean reward", ("reward", "tasks", "B - A", "95 %"), tuple(reward), notes=tuple(notes)),
    ]


def _compare(name: str, a: Sequence[EpisodeRow], b: Sequence[EpisodeRow], *, seed: int) -> Comparison | None:
    in_a, in_b = _by_task(a), _by_task(b)
    shared = [key for key in in_a if key in in_b]
    if not shared:
        return None
    pairs = [(in_a[key], in_b[key]) for key in shared]
    won_a, won_b = [x.success for x, _ in pairs], [y.success for _, y in pairs]
    return Comparison(
        name=name,
        tasks=len(shared),
        unpaired=(len(in_a) - len(shared), len(in_b) - len(shared)),
        solved=(sum(won_a), sum(won_b)),
        test=mcnemar(won_a, won_b),
        success=paired_bootstrap(list(map(float, won_a)), list(map(float, won_b)), seed=seed),
        reward=paired_bootstrap([x.reward for x, _ in pairs], [y.reward for _, y in pairs], seed=seed),
        only_a=tuple(x.task_id for x, y in pairs if x.success and not y.success),
        only_b=tuple(y.task_id for x, y in pairs if y.success and not x.success),
    )


def _by_task(rows: Sequence[EpisodeRow]) -> dict[tuple[str, int], EpisodeRow]:
    """Episodes by task; one that was played often is paired first with first, second with second."""
    seen: Counter[str] = Counter()
    found = {}
    for row in rows:
        found[row.task_id, seen[row.task_id]] = row
        seen[row.task_id] += 1
    return found


def _from_report(file: Path) -> Runs:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        reports: Mapping[str, Any] = (
            {name: part["report"] for name, part in data["parts"].items()} if "suite" in data else {data["env"]: data}
        )
        return {name: [EpisodeRow(**row) for row in report["per_episode"]] for name, report in reports.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise LogError(f"{file}: no report of cmat eval ({type(error).__name__}: {error})") from error


def _signed(difference: Interval, scale: int, digits: int) -> tuple[str, str]:
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in (difference.mean, difference.low, difference.high))
    return mean, f"{low} to {high}"
