"""How fast are databases? Resets and statements a second, SQLite and MariaDB side by side in one run.

    make bench-db          or    python benchmarks/db.py [--seconds 1.0] [--rounds 5] [--no-write]

Each figure is the median of rounds that alternate between the backends. Beside the clock stands the processor's time of
this process: on a shared machine the clock also counts what others do. A server's own processor time is not in it. The
table is written to docs/performance.md.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmat_env.envs.database import Backend, DBEnv, DBTask, SQLiteBackend, generate
from cmat_env.envs.database.server.backend import ServerBackend

MARKS = ("<!-- bench-db -->", "<!-- /bench-db -->")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
TASKS = 200
STATEMENTS = (
    "SELECT * FROM `{t}` LIMIT 5",
    "SELECT COUNT(*) FROM `{t}` WHERE `{c}` = 'x'",
    "SELECT `{c}`, COUNT(*) FROM `{t}` GROUP BY `{c}` ORDER BY COUNT(*) DESC LIMIT 3",
    "SELECT MAX(CAST(`{c}` AS SIGNED)) FROM `{t}` WHERE `{c}` LIKE '%1%'",
    "UPDATE `{t}` SET `{c}` = 'y' WHERE `{c}` = 'x'",
    "INSERT INTO `{t}` (`{c}`) VALUES ('x')",
)


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something was done, in medians.

    Attributes:
        per_second: by the clock.
        per_cpu_second: by the processor's time of this process.
    """

    per_second: float
    per_cpu_second: float


def measure(jobs: Sequence[Callable[[], object]], *, seconds: float, rounds: int) -> list[Rate]:
    """Do each job over and over, round by round in turn."""
    seen: list[list[tuple[float, float]]] = [[] for _ in jobs]
    for job in jobs:
        job()
    for _ in range(rounds):
        for job, rates in zip(jobs, seen, strict=True):
            count, clock, cpu = 0, time.perf_counter(), time.process_time()
            while time.perf_counter() - clock < seconds:
                job()
                count += 1
            rates.append((count / (time.perf_counter() - clock), count / max(1e-9, time.process_time() - cpu)))
    return [Rate(*(statistics.median(each) for each in zip(*rates, strict=True))) for rates in seen]


def loading(backend: Backend, tasks: Sequence[DBTask], *, write: bool) -> Callable[[], object]:
    """A reset of the bare database to tables it has met; `write` = something was changed before."""
    turn: Iterator[DBTask] = itertools.cycle(tasks)
    for each in tasks:
        backend.load(each.tables)

    def job() -> object:
        task = next(turn)
        backend.load(task.tables)
        return backend.execute(f"DELETE FROM `{task.tables[0].name}`") if write else None

    return job


def resetting(backend: Backend, tasks: Sequence[DBTask]) -> Callable[[], object]:
    """A reset of the environment on tasks that it has met."""
    env = DBEnv(tasks, backend=backend)
    seeds = itertools.cycle(range(len(tasks)))
    for seed in range(len(tasks)):
        env.reset(seed=seed)
    return lambda: env.reset(seed=next(seeds))


def generating(backend: Backend) -> Callable[[], object]:
    """A reset of the environment on a task that nobody has met: it is generated too."""
    env = DBEnv(backend=backend)
    seeds = itertools.count(1_000_000)
    return lambda: env.reset(seed=next(seeds))


def executing(backend: Backend, task: DBTask) -> Callable[[], object]:
    """One statement of an agent, from a mix that it repeats."""
    table = task.tables[0]
    turn = itertools.cycle([text.format(t=table.name, c=table.columns[0]) for text in STATEMENTS])
    backend.load(task.tables)
    count = itertools.count()

    def job() -> object:
        if next(count) % 600 == 0:  # so that the table does not grow
            backend.load(task.tables)
        return backend.execute(next(turn))

    return job


def rows(*, seconds: float, rounds: int) -> list[tuple[str, list[Rate]]]:
    """Every row of the table: what was done, and the rates of the three backends."""
    tasks = [generate("train", level=1, seed=seed) for seed in range(TASKS)]

    def backends() -> list[Backend]:
        return [SQLiteBackend("sqlite"), SQLiteBackend("mysql"), ServerBackend()]

    kept = ServerBackend()
    kept.load([])  # keeps the server from row to row
    plan: list[tuple[str, Callable[[Backend], Callable[[], object]]]] = [
        ("resets of the bare database", lambda backend: loading(backend, tasks, write=False)),
        ("resets of the bare database, each after a change", lambda backend: loading(backend, tasks, write=True)),
        ("resets of the environment, known tasks", lambda backend: resetting(backend, tasks)),
        ("resets of the environment, each task new", generating),
        ("statements, in a mix that repeats", lambda backend: executing(backend, tasks[0])),
    ]
    found = []
    for name, make in plan:
        used = backends()
        found.append((name, measure([make(each) for each in used], seconds=seconds, rounds=rounds)))
        for each in used:
            each.close()
    kept.close()
    return found


def table(found: Sequence[tuple[str, Sequence[Rate]]], *, rounds: int) -> str:
    """The figures as Markdown, with where and when they were taken."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    lines = [
        "| a second, by the clock (by this process's CPU time) | SQLite | SQLite as MySQL | MariaDB |",
        "|---|--:|--:|--:|",
    ]
    for name, rates in found:
        cells = " | ".join(f"{each.per_second:,.0f} ({each.per_cpu_second:,.0f})" for each in rates)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(
        [
            *lines,
            "",
            f"`make bench-db`: medians of {rounds} rounds on {os.cpu_count()} cores that others shared (load {load}), "
            f"{platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, a private "
            "MariaDB with its data in memory.",
        ]
    )


def write(text: str, page: Path) -> None:
    """Put the figures between the marks of a page; a page without them gets them at its end."""
    start, end = MARKS
    whole = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
    if start not in whole:
        whole = f"{whole.rstrip()}\n\n## Databases\n\n{start}\n{end}\n"
    before, _, rest = whole.partition(start)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="resets and statements a second")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-write", action="store_true", help="leave docs/performance.md alone")
    options = parser.parse_args()
    text = table(rows(seconds=options.seconds, rounds=options.rounds), rounds=options.rounds)
    print(text)
    if not options.no_write:
        write(text, PAGE)


if __name__ == "__main__":
    main()
