"""The emulation of MySQL against MariaDB: thousands of agent-like statements, live or as they were recorded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from cmat_env.envs.database.backend import Limits
from cmat_env.envs.database.differential.cases import TEMPLATES, Case, case, cases
from cmat_env.envs.database.differential.compare import Outcome, difference, play, read, save
from cmat_env.envs.database.differential.known import MISSED, NOT_EMULATED, NOT_MYSQL
from cmat_env.envs.database.server.backend import ServerBackend
from cmat_env.envs.database.sqlite import DialectName, SQLiteBackend
from cmat_env.errors import ConfigError

RECORDED = Path(__file__).with_name("differential.jsonl.gz")


@pytest.fixture(scope="module")
def recorded() -> dict[str, Outcome]:
    """What MariaDB 10.11 gave; made by `python -m cmat_env.envs.database.differential --record FILE`."""
    return read(RECORDED)


def test_there_are_enough_statements(recorded: dict[str, Outcome]) -> None:
    """More than 2,000 statements over more than 40 templates, the same on every machine, in a small file."""
    assert len(TEMPLATES) >= 40
    assert {each.id: each.statements for each in cases()} == {id: seen.statements for id, seen in recorded.items()}
    assert len({seen.statements for seen in recorded.values()}) >= 2000
    assert RECORDED.stat().st_size < 600_000


def test_most_statements_do_something(recorded: dict[str, Outcome]) -> None:
    """Agreement means something: most outcomes are rows or changes, and errors are of many kinds."""
    results = [result for seen in recorded.values() for result in seen.results]
    errors = [result for result in results if isinstance(result, int)]

    assert 0.05 < len(errors) / len(results) < 0.2
    assert len(set(errors)) >= 10
    assert sum(bool(result) for result in results if not isinstance(result, int)) > 1500


def disagreements(dialect: DialectName, played: Iterable[Case], recorded: dict[str, Outcome]) -> dict[str, str]:
    """By case, where an emulation does not do what MariaDB did."""
    backend = SQLiteBackend(dialect, limits=Limits(seconds=60.0))
    told = {each.id: difference(play(each, backend), recorded[each.id], ordered=each.ordered) for each in played}
    backend.close()
    return {id: wrong for id, wrong in told.items() if wrong is not None}


def test_the_emulation_of_mariadb_agrees_with_mariadb(recorded: dict[str, Outcome]) -> None:
    """Values, error numbers and final tables agree in at least 99 % of all cases; the misses are those that we name."""
    wrong = disagreements("mariadb", cases(), recorded)

    assert set(NOT_EMULATED) == set(wrong), "\n".join(wrong.values())
    assert len(wrong) / len(recorded) <= 0.01


def test_the_emulation_of_mysql_agrees_where_mariadb_stands_for_it(recorded: dict[str, Outcome]) -> None:
    """It differs in each of the cases in which MariaDB is not MySQL 8, in those that are missed, and in no other."""
    wrong = disagreements("mysql", cases(), recorded)

    assert {*NOT_MYSQL, *MISSED} == set(wrong), "\n".join(wrong.values())


def test_what_was_recorded_is_what_mariadb_gives(mariadb: ServerBackend, recorded: dict[str, Outcome]) -> None:
    """A tenth of the cases, run now, give the recorded outcomes."""
    backend = ServerBackend(limits=Limits(seconds=60.0))
    for each in list(cases())[::10]:
        told = difference(play(each, backend), recorded[each.id], ordered=each.ordered)
        assert told is None, told
    backend.close()


def one(results: list[list[str | float | None]] | int, *final: str) -> Outcome:
    """An outcome of one statement."""
    return Outcome(("SELECT",), (results,), final)


@pytest.mark.parametrize(
    ("ours", "theirs", "ordered", "agree"),
    [
        (one([["a"], ["b"]]), one([["b"], ["a"]]), False, True),
        (one([["a"], ["b"]]), one([["b"], ["a"]]), True, False),
        (one([[1.0]]), one([[1.0000001]]), True, True),
        (one([[1.0]]), one([[1.001]]), True, False),
        (one([["1"]]), one([[1.0]]), True, False),
        (one([[None]]), one([[""]]), True, False),
        (one([["a"]]), one([["A"]]), True, False),
        (one([["a"], ["a"]]), one([["a"]]), False, False),
        (one(1064), one(1064), True, True),
        (one(1064), one(1054), True, False),
        (one(1064), one([]), True, False),
        (one([], "x"), one([], "y"), True, False),
    ],
)
def test_what_counts_as_agreement(ours: Outcome, theirs: Outcome, *, ordered: bool, agree: bool) -> None:
    """Numbers within a millionth, texts exactly, kinds of values, error numbers, order where asked, final tables."""
    assert agree is (difference(ours, theirs, ordered=ordered) is None)


def test_outcomes_are_kept_in_a_file(tmp_path: Path) -> None:
    """What is saved is read back, the same outcomes give the same bytes, and another file is refused by name."""
    played: Case = case("insert_all", 0)
    backend = SQLiteBackend("mysql")
    outcomes = {played.id: play(played, backend)}
    for name in ("a", "b"):
        save(tmp_path / name, outcomes)

    assert outcomes == read(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    (tmp_path / "c").write_text("no")
    with pytest.raises(ConfigError, match="no recorded outcomes"):
        read(tmp_path / "c")
