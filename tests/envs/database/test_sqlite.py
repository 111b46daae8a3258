"""The embedded backend in SQLite's own dialect: loading, isolation, limits of results, copies."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmat_env.envs.database.backend import Backend, Limits, Table
from cmat_env.envs.database.sqlite import SQLiteBackend
from cmat_env.errors import CmatError, ConfigError

PEOPLE = Table("people", ("name", "age", "height"), (("Ann", 30, 1.5), ("Bob", 41, 2.0), ("Cy", None, 1.75)))
TOWNS = Table("towns", ("town",), (("Oslo",),))


@pytest.fixture
def backend() -> SQLiteBackend:
    """A backend that holds the table `people`."""
    backend = SQLiteBackend()
    backend.load([PEOPLE])
    return backend


def test_it_is_a_backend(backend: SQLiteBackend) -> None:
    """The class fits the protocol that other backends share."""
    assert isinstance(backend, Backend)


def test_a_query_gives_rows_and_columns(backend: SQLiteBackend) -> None:
    """Rows come typed, with the names of their columns."""
    result = backend.execute("SELECT name, age AS years FROM people WHERE height < 1.8 ORDER BY name")

    assert (("Ann", 30), ("Cy", None)) == result.rows
    assert ("name", "years") == result.columns
    assert result.error is None


def test_a_write_counts_what_it_changed(backend: SQLiteBackend) -> None:
    """A write gives no rows and says how many it changed."""
    result = backend.execute("UPDATE people SET age = age + 1 WHERE age IS NOT NULL")

    assert ((), (), 2) == (result.rows, result.columns, result.changed)
    assert [("Ann", 31), ("Bob", 42), ("Cy", None)] == backend.table_rows("people", ("name", "age"))


def test_an_error_is_data(backend: SQLiteBackend) -> None:
    """What an agent wrote never raises: the engine's message is the result."""
    assert backend.execute("SELEKT 1").error == 'near "SELEKT": syntax error'
    assert backend.execute("SELECT salary FROM people").error == "no such column: salary"


@pytest.mark.parametrize("sql", ["", "  ", "-- nothing", "/* nothing */", ";;", "/* open"])
def test_a_blank_statement_says_so(backend: SQLiteBackend, sql: str) -> None:
    """A statement of blanks and comments is answered."""
    assert backend.execute(sql).error == "empty statement"


@pytest.mark.parametrize("sql", ["\x00", "SELECT '\ud800'", "SELECT ?", "SELECT 'é\x00'", "'" * 999, "💥", "(" * 5000])
def test_junk_never_raises(backend: SQLiteBackend, sql: str) -> None:
    """Null characters, halves of surrogate pairs, placeholders: data, and the next statement works."""
    backend.execute(sql)

    assert ((3,),) == backend.execute("SELECT COUNT(*) FROM people").rows


def test_load_leaves_nothing_behind(backend: SQLiteBackend) -> None:
    """A load makes exactly its tables, whatever was written, created, dropped or begun before."""
    for sql in (
        "BEGIN",
        "DELETE FROM people",
        "CREATE TABLE extra (x)",
        "CREATE VIEW seen AS SELECT * FROM people",
        "CREATE INDEX ages ON people (age)",
        "DROP TABLE people",
        "SAVEPOINT s",
    ):
        assert backend.execute(sql).error is None

    backend.load([TOWNS, PEOPLE])

    assert (("towns",), ("people",)) == backend.execute("SELECT name FROM sqlite_master").rows
    assert list(PEOPLE.rows) == backend.table_rows("people", PEOPLE.columns)


def test_statements_commit_by_themselves(backend: SQLiteBackend) -> None:
    """Transaction statements do nothing: a ROLLBACK brings nothing back, as with upstream's backend."""
    backend.execute("BEGIN")
    backend.execute("DELETE FROM people")
    backend.execute("/* no */ rollback;")

    assert [] == backend.table_rows("people", ("name",))


def test_grading_sees_no_missing_column(backend: SQLiteBackend) -> None:
    """A missing table or column reads as None, not as the text of its own name; nor does a view stand in for it."""
    assert backend.table_rows("people", ("nothing",)) is None
    assert backend.table_rows("nothing", ("name",)) is None
    backend.execute("ALTER TABLE people RENAME TO persons")
    backend.execute("CREATE VIEW people AS SELECT * FROM persons")
    assert backend.table_rows("people", ("name",)) is None


def test_types_come_from_the_content() -> None:
    """Equal numbers of different types make different tables, also through the cache of images."""
    backend = SQLiteBackend()
    for cell, kind in ((1, "integer"), (1.0, "real"), ("1", "text")):
        backend.load([Table("t", ("x",), ((cell,),))])
        assert ((cell, kind),) == backend.execute("SELECT x, typeof(x) FROM t").rows


def test_a_statement_is_compiled_anew_for_new_tables() -> None:
    """The same statement after another load, or after CREATE TABLE, sees the columns that are there now."""
    backend = SQLiteBackend()
    for columns in (("a", "b"), ("b",), ("c", "b", "a")):
        backend.load([Table("t", columns, ((*columns,),))])
        result = backend.execute("SELECT * FROM t")
        assert (columns, (columns,)) == (result.columns, result.rows)
    for columns in (("x",), ("y", "z")):
        backend.load([])
        backend.execute(f"CREATE TABLE own ({', '.join(columns)})")
        assert columns == backend.execute("SELECT * FROM own").columns


def test_equal_databases_have_equal_snapshots() -> None:
    """A snapshot depends on what is in the database, not on how often it was reset."""
    first, second = SQLiteBackend(), SQLiteBackend()
    first.load([TOWNS])
    for backend in (first, second):
        backend.load([PEOPLE])
        backend.execute("DELETE FROM people WHERE name = 'Bob'")

    assert first.snapshot() == second.snapshot()


def test_rows_beyond_the_limits_are_cut() -> None:
    """A result is cut by rows and by bytes, and says so."""
    backend = SQLiteBackend(limits=Limits(rows=2, result_bytes=30))
    backend.load([Table("t", ("x",), (("a",), ("b" * 20,), ("c" * 20,)))])

    assert ((("a",), ("b" * 20,)), True) == (backend.execute("SELECT x FROM t").rows, True)
    assert backend.execute("SELECT x FROM t").truncated
    assert backend.execute("SELECT x FROM t WHERE x <> 'a'").truncated
    assert not backend.execute("SELECT x FROM t LIMIT 2").truncated


def test_snapshot_and_restore(backend: SQLiteBackend) -> None:
    """A restored backend goes on as it would have gone on: data, schema and random numbers."""
    backend.execute("SELECT random()")
    backend.execute("CREATE TABLE extra AS SELECT name FROM people")
    snapshot = backend.snapshot()
    after = backend.execute("SELECT random()").rows
    backend.execute("DROP TABLE people")

    backend.restore(snapshot)

    assert after == backend.execute("SELECT random()").rows
    assert list(PEOPLE.rows) == backend.table_rows("people", PEOPLE.columns)
    assert ((3,),) == backend.execute("SELECT COUNT(*) FROM extra").rows


def test_random_numbers_and_the_clock_can_be_replayed(backend: SQLiteBackend) -> None:
    """The same statements after the same load give the same numbers and the same time."""
    sql = "SELECT random(), date('now'), datetime('now', '+1 day'), CURRENT_DATE, strftime('%Y'), abs(random())"
    first = [backend.execute(sql).rows for _ in range(2)]
    backend.load([PEOPLE])

    assert first == [backend.execute(sql).rows for _ in range(2)]
    assert first[0] != first[1]
    assert ("2026-01-01", "2026-01-02 12:00:00", "2026-01-01", "2026") == first[0][0][1:5]


@pytest.mark.parametrize("make", [copy.deepcopy, lambda backend: pickle.loads(pickle.dumps(backend))])
def test_copies_hold_the_data_and_part_ways(backend: SQLiteBackend, make: object) -> None:
    """A copy begins with the same data, and neither sees what the other does next."""
    backend.execute("DELETE FROM people WHERE name = 'Ann'")
    other: SQLiteBackend = make(backend)  # type: ignore[operator]
    other.execute("DELETE FROM people")

    assert [("Bob",), ("Cy",)] == backend.table_rows("people", ("name",))
    assert [] == other.table_rows("people", ("name",))
    assert (backend.dialect, backend.limits) == (other.dialect, other.limits)


def test_close_twice_and_use_after() -> None:
    """Closing twice is fine, using a closed backend is a mistake that is named, and a closed one can be copied."""
    backend = SQLiteBackend()
    backend.close()
    backend.close()

    with pytest.raises(CmatError, match="closed"):
        backend.execute("SELECT 1")
    copy.deepcopy(backend).close()


@pytest.mark.parametrize(
    "tables",
    [
        [PEOPLE, PEOPLE],
        [Table("t", ("x", "X"))],
        [Table("t", ())],
        [Table("sqlite_x", ("x",))],
        [Table("\x00", ("x",))],
    ],
)
def test_tables_that_cannot_be_made(tables: list[Table]) -> None:
    """Tables that no database can hold are the caller's mistake, named; the backend lives on."""
    backend = SQLiteBackend()
    with pytest.raises(ConfigError, match="cannot be made"):
        backend.load(tables)

    backend.load([PEOPLE])
    assert list(PEOPLE.rows) == backend.table_rows("people", PEOPLE.columns)


def test_bad_settings_are_named() -> None:
    """A row of the wrong width, an unknown dialect and a limit of zero are refused with what was wanted."""
    with pytest.raises(ConfigError, match="row 1 has 1 cells, wanted 2"):
        Table("t", ("a", "b"), ((1, 2), (3,)))
    with pytest.raises(ConfigError, match="wanted 'sqlite', 'mysql' or 'mariadb'"):
        SQLiteBackend("postgres")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rows=0"):
        Limits(rows=0)


NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=8)
CELLS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_loaded_is_read_back(data: st.DataObject) -> None:
    """Any table that can be made reads back as it was: values in one dialect, their texts in the other."""
    columns = tuple(data.draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=str.casefold)))
    rows = tuple(data.draw(st.lists(st.tuples(*[CELLS] * len(columns)), max_size=5)))
    table = Table("t " + data.draw(NAMES), columns, rows)
    backend = SQLiteBackend()
    backend.load([table])

    loaded = backend.table_rows(table.name, columns)

    assert loaded is not None
    assert [tuple(map(_number, row)) for row in rows] == [tuple(map(_number, row)) for row in loaded]
    backend.close()


def _number(cell: object) -> object:
    """The cell, with -0.0 as 0.0 and whole floats as ints: columns of mixed numbers are REAL."""
    return int(cell) if isinstance(cell, float) and math.isfinite(cell) and cell == int(cell) else cell
