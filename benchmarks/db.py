"""How fast are databases? Resets and statements a second, SQLite and MariaDB side by side in one run.

Each figure is the median of rounds that alternate between the backends. A server's own processor time is not in the
figures in brackets.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence

from benchmarks.report import Rate, measure
from benchmarks.report import table as report_table
from cmat_env.envs.database import Backend, DBEnv, DBTask, SQLiteBackend, generate
from cmat_env.envs.database.server.backend import ServerBackend

TASKS = 200
STATEMENTS = (
    "SELECT * FROM `{t}` LIMIT 5",
    "SELECT COUNT(*) FROM `{t}` WHERE `{c}` = 'x'",
    "SELECT `{c}`, COUNT(*) FROM `{t}` GROUP BY `{c}` ORDER BY COUNT(*) DESC LIMIT 3",
    "SELECT MAX(CAST(`{c}` AS SIGNED)) FROM `{t}` WHERE `{c}` LIKE '%1%'",
    "UPDATE `{t}` SET `{c}` = 'y' WHERE `{c}` = 'x'",
    "INSERT INTO `{t}` (`{c}`) VALUES ('x')",
)


def loading(backend: Backend, tasks: Sequence[DBTask], *, write: bool) -> Callable[[], int]:
    """A reset of the bare database to tables it has met; `write` = something was changed before."""
    turn: Iterator[DBTask] = itertools.cycle(tasks)
    for each in tasks:
        backend.load(each.tables)

    def job() -> int:
        task = next(turn)
        backend.load(task.tables)
        if write:
            backend.execute(f"DELETE FROM `{task.tables[0].name}`")
        return 1

    return job


def resetting(backend: Backend, tasks: Sequence[DBTask]) -> Callable[[], int]:
    """A reset of the environment on tasks that it has met."""
    env = DBEnv(tasks, backend=backend)
    seeds = itertools.cycle(range(len(tasks)))
    for seed in range(len(tasks)):
        env.reset(seed=seed)
    return lambda: len([env.reset(seed=next(seeds))])


def generating(backend: Backend) -> Callable[[], int]:
    """A reset of the environment on a task that nobody has met: it is generated too."""
    env = DBEnv(backend=backend)
    seeds = itertools.count(1_000_000)
    return lambda: len([env.reset(seed=next(seeds))])


def executing(backend: Backend, task: DBTask) -> Callable[[], int]:
    """One statement of an agent, from a mix that it repeats."""
    table = task.tables[0]
    turn = itertools.cycle([text.format(t=table.name, c=table.columns[0]) for text in STATEMENTS])
    backend.load(task.tables)
    count = itertools.count()

    def job() -> int:
        if next(count) % 600 == 0:  # so that the table does not grow
            backend.load(task.tables)
        backend.execute(next(turn))
        return 1

    return job


def rows(*, seconds: float, rounds: int, server: bool) -> list[tuple[str, list[Rate]]]:
    """Every row of the table: what was done, and the rates of the backends."""
    tasks = [generate("train", level=1, seed=seed) for seed in range(TASKS)]

    def backends() -> list[Backend]:
        embedded: list[Backend] = [SQLiteBackend("sqlite"), SQLiteBackend("mysql")]
        return [*embedded, ServerBackend()] if server else embedded

    kept = backends()
    kept[-1].load([])  # keeps the server from row to row
    plan: list[tuple[str, Callable[[Backend], Callable[[], int]]]] = [
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
        print(f"  databases: {name}: {', '.join(map(str, found[-1][1]))}", flush=True)
    for each in kept:
        each.close()
    return found


def report(*, quick: bool = False) -> str:
    """The table; quick = without MariaDB."""
    found = rows(seconds=0.05, rounds=1, server=False) if quick else rows(seconds=0.7, rounds=5, server=True)
    head = ["a second, by the clock (by CPU time)", "SQLite", "SQLite as MySQL", "MariaDB"]
    lines = [[name, *map(str, rates)] for name, rates in found]
    return (
        f"{report_table(head[: len(lines[0])], lines)}\n\n"
        f"SQLite {sqlite3.sqlite_version}, a private MariaDB with its data in memory. Bar for resets: 8,000 on SQLite."
    )
