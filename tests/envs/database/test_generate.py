"""The generator: right by an independent count, disjoint splits, errors that never succeed by accident."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from cmat_env.envs.database.env import DBEnv
from cmat_env.envs.database.generate import LEVELS, SPLITS, Split, families, generate, words_of
from cmat_env.envs.database.generate.words import allowed, is_new, new_values
from cmat_env.envs.database.tasks import DBTask
from cmat_env.errors import ConfigError, UnknownNameError

COUNT = 500
FIRST = [
    "how many books have coach copper | Table books (coach, weight, price, country). | "
    "SELECT COUNT(*) FROM books WHERE coach = 'copper'",
    "which coach has the most lakes | Table lakes (captain, power, coach). Table books (age, coach, maker). | "
    "SELECT coach FROM lakes GROUP BY coach ORDER BY COUNT(*) DESC LIMIT 1",
    "which maker has the lowest tier | Table parks (maker, coach, height, age). | "
    "SELECT maker FROM parks ORDER BY height ASC LIMIT 1",
]


def tasks(split: Split, level: int, *, count: int = COUNT) -> Iterator[DBTask]:
    """The first tasks of a split."""
    return (generate(split, level=level, seed=seed) for seed in range(count))


def ends_right(task: DBTask, sql: str) -> bool:
    """Does a statement end right in plain SQLite? The generator itself never runs SQL."""
    database = sqlite3.connect(":memory:")
    for table in task.tables:
        kinds = ("INTEGER" if isinstance(cell, int) else "TEXT" for cell in table.rows[0])
        columns = ", ".join(f"{column} {kind}" for column, kind in zip(table.columns, kinds, strict=True))
        database.execute(f"CREATE TABLE {table.name} ({columns})")
        marks = ", ".join("?" * len(table.columns))
        database.executemany(f"INSERT INTO {table.name} VALUES ({marks})", table.rows)
    rows = database.execute(sql).fetchall()
    if task.gold_rows is not None:
        rows = database.execute(f"SELECT * FROM {task.tables[0].name}").fetchall()
    database.close()
    if task.gold_rows is not None:
        return Counter(rows) == Counter(task.gold_rows)
    return Counter(str(cell) for row in rows for cell in row) == Counter(task.answers)


def table_columns(task: DBTask) -> set[tuple[str, str]]:
    """Every (table, column) of a task."""
    return {(table.name, column) for table in task.tables for column in table.columns}


def column_values(task: DBTask) -> set[tuple[str, str]]:
    """Every (column, text) that stands in the data of a task."""
    return {
        (column, cell)
        for table in task.tables
        for row in table.rows
        for column, cell in zip(table.columns, row, strict=True)
        if isinstance(cell, str)
    }


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("split", SPLITS)
def test_the_reference_ends_as_python_worked_out(split: Split, level: int) -> None:
    """Two ways to the answer agree: the reference SQL run by SQLite, and the generator's plain Python."""
    assert [] == [task.id for task in tasks(split, level) if not ends_right(task, task.reference or "")]


@pytest.mark.parametrize("level", LEVELS)
def test_no_systematic_error_ends_right_by_accident(level: int) -> None:
    """The data are drawn so that the demonstrator's wrong statements stay wrong, in every family."""
    wrong = [(task, slip.sql) for task in tasks("train", level, count=2000) for slip in task.slips]

    assert len(wrong) > 1500
    assert [] == [(task.id, sql) for task, sql in wrong if ends_right(task, sql)]


@pytest.mark.parametrize("level", LEVELS)
def test_every_family_comes_with_several_wordings(level: int) -> None:
    """As many families as are promised, each asked in two ways or more; shares of errors sum to one."""
    first_words: dict[str, set[str]] = {family: set() for family in families(level)}
    for task in tasks("train", level, count=1000):
        first_words[task.family].add(task.description.split()[0])
        assert not task.slips or abs(sum(slip.weight for slip in task.slips) - 1) < 1e-9

    assert {1: 16, 2: 16, 3: 8}[level] == len(first_words)
    assert 2 == min(len(words) for words in first_words.values())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("split", ["dev", "heldout"])
def test_every_task_of_a_held_out_split_has_pairs_that_training_lacks(split: Split, level: int) -> None:
    """In each task a column is new to its table, and a value, among them the first one named, to its column."""
    seen = set().union(*(table_columns(task) | column_values(task) for task in tasks("train", level, count=3000)))
    pools = {(table, column) for table in words_of("train").tables for column in allowed("train", table, "texts")}
    pools |= {(table, column) for table in words_of("train").tables for column in allowed("train", table, "numbers")}
    pools |= {(column, value) for column in words_of("train").texts for value in allowed("train", column, "values")}

    assert seen <= pools
    for task in tasks(split, level):
        assert table_columns(task) - pools
        assert column_values(task) - pools


@pytest.mark.parametrize("level", LEVELS)
def test_dev_and_heldout_share_no_new_pair(level: int) -> None:
    """Settings chosen on dev have met nothing of what is new in heldout, nor the other way round."""
    both: tuple[tuple[Split, Split], ...]
    both = (("dev", "heldout"), ("heldout", "dev"), ("train", "dev"), ("train", "heldout"))
    for split, other in both:
        pairs = set().union(*(table_columns(task) | column_values(task) for task in tasks(split, level)))
        assert set() == {pair for pair in pairs if is_new(other, *pair)}


@pytest.mark.parametrize("level", LEVELS)
def test_unseen_words_are_unseen(level: int) -> None:
    """No table, column or value of unseen_words stands in another split."""
    seen, unseen = words_of("train"), words_of("unseen_words")
    everything = {*seen.tables, *seen.texts, *seen.numbers, *seen.values}

    assert not everything & {*unseen.tables, *unseen.texts, *unseen.numbers, *unseen.values}
    for task in tasks("unseen_words", level):
        words = {word for pair in table_columns(task) | column_values(task) for word in pair}
        assert not words & everything


def test_a_value_that_is_named_is_new_to_its_column() -> None:
    """Held-out questions name a value that training never has in that column."""
    for task in tasks("heldout", 1):
        if task.family in ("count_where", "lookup", "max_where", "sum_where", "update", "delete"):
            named = {(column, value) for column, value in column_values(task) if value in task.description.split()}
            assert named
            assert all(value in new_values("heldout", column) for column, value in named)


@pytest.mark.parametrize("level", LEVELS)
def test_a_task_is_a_function_of_split_level_and_seed(level: int) -> None:
    """The same seed gives the same task, another seed or split another one; no global random state matters."""
    again = [generate("train", level=level, seed=seed) for seed in range(50)]

    assert again == list(tasks("train", level, count=50))
    assert 50 == len({(task.description, task.tables) for task in again})
    assert all(ours.tables != theirs.tables for ours, theirs in zip(again, tasks("dev", level, count=50), strict=True))


def test_the_first_tasks_stay_what_they_are() -> None:
    """Figures are compared over versions, so the stream of tasks must not drift unnoticed."""
    first = [generate("heldout", level=level, seed=0) for level in LEVELS]

    assert FIRST == [f"{task.description} | {task.add_description} | {task.reference}" for task in first]


def test_numbers_of_a_table_all_differ() -> None:
    """No two numbers of a task are alike, so that a wrong column or row shows."""
    for level in LEVELS:
        for task in tasks("train", level):
            numbers = [cell for table in task.tables for row in table.rows for cell in row if isinstance(cell, int)]
            assert len(set(numbers)) == len(numbers)
            assert 8 <= len(task.tables[0].rows) <= 12


@pytest.mark.parametrize("level", LEVELS)
def test_generating_is_fast(level: int) -> None:
    """A task costs a fraction of a millisecond of CPU time; the bound is ten times that or more."""
    begin = time.process_time()
    generate_all = list(tasks("train", level))

    assert (time.process_time() - begin) / len(generate_all) < 0.003


def test_an_unknown_split_or_level_is_told() -> None:
    """The nearest split is named; levels are listed."""
    with pytest.raises(UnknownNameError, match="did you mean 'heldout'"):
        generate("heldot", level=1, seed=0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="level=7: wanted one of 1, 2"):
        generate("train", level=7, seed=0)


def test_families_can_be_chosen() -> None:
    """Only the families that were asked for are drawn, and the same seed still gives the same task."""
    env = DBEnv("generated:train", families=["max", "sum"])

    drawn = {env.reset(seed=seed)[1]["task_type"] for seed in range(30)}

    assert {"max", "sum"} == drawn
    assert generate("train", level=1, seed=3, only=["max"]) == generate("train", level=1, seed=3, only=["max"])


def test_an_unknown_family_is_named() -> None:
    """A misspelt family is the user's mistake; the nearest one is suggested."""
    with pytest.raises(UnknownNameError, match="did you mean 'count_below'"):
        DBEnv("generated:train", families=["count_bellow"])
