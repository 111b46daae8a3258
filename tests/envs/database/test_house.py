"""Level 3: what is hidden in a house, that it is the same in all of its tasks, and that nothing else gives it away."""

from __future__ import annotations

from collections import defaultdict

import pytest

from cmat_env.envs.database.generate import SPLITS, Split, generate, words_of
from cmat_env.envs.database.generate.house import TASKS, house_of
from cmat_env.envs.database.tasks import DBTask


def tasks(split: Split, house: int) -> list[DBTask]:
    """All tasks of a house."""
    return [generate(split, level=3, seed=seed) for seed in range(house * TASKS, (house + 1) * TASKS)]


def meant(task: DBTask) -> str:
    """The number column that the reference reads and the error does not."""
    columns = set(words_of("train").numbers)
    [wrong] = task.slips
    right, other = (
        {word for word in sql.replace("(", " ").replace(")", " ").split() if word in columns}
        for sql in (task.reference or "", wrong.sql)
    )
    [column] = right - other
    return column


@pytest.mark.parametrize("split", [split for split in SPLITS if split != "unseen_words"])
def test_a_word_means_the_same_column_throughout_a_house(split: Split) -> None:
    """At each table; and no question names the column itself."""
    for house in range(5):
        found = defaultdict(set)
        for task in tasks(split, house):
            found[task.tables[0].name, task.jargon].add(meant(task))
            assert task.jargon in task.description.split()
            assert meant(task) not in task.description.split()

        assert [1] * len(found) == [len(columns) for columns in found.values()]
        assert 8 <= len(found) <= 12


def test_another_house_may_mean_the_other_column() -> None:
    """Tables and columns that come again in other houses are used either way, so that nothing is learned by heart."""
    meanings = defaultdict(set)
    for house in range(4000):
        for told in house_of("train", house * TASKS):
            columns = told.columns
            meanings[columns.table, told.word, frozenset((columns.num, columns.alt))].add(columns.num)

    often = [columns for columns in meanings.values() if len(columns) == 2]
    assert len(often) > 100


def test_halves_of_a_house_have_the_same_tables() -> None:
    """What the first half shows is what the second half needs."""
    shared = []
    for house in range(20):
        names = [task.tables[0].name for task in tasks("heldout", house)]
        first, second = set(names[: TASKS // 2]), names[TASKS // 2 :]
        shared.append(sum(name in first for name in second) / len(second))

    assert sum(shared) / len(shared) > 0.7


def test_held_out_houses_have_words_that_training_lacks_at_their_tables() -> None:
    """Of the pairs of table and word in held-out houses, some are never met in training."""
    pairs = {
        split: {(told.columns.table, told.word) for house in range(300) for told in house_of(split, house * TASKS)}
        for split in ("train", "heldout", "dev")
    }

    assert pairs["heldout"] - pairs["train"]
    assert not (pairs["heldout"] - pairs["train"]) & pairs["dev"]
