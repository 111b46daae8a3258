"""What the comparison with MariaDB found: every expectation here was read off MariaDB 10.11."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cmat_env.envs.database.backend import Limits, Table
from cmat_env.envs.database.sqlite import SQLiteBackend

ROWS = (
    ("a", "1", "2020-01-02", "x"),
    ("a", "5", "2020-02-02", "y"),
    ("b", "7", "2021-01-02", "x"),
    ("B", "", "2021-05-05", None),
)
TABLE = Table("t", ("w", "n", "d", "k"), ROWS)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT k FROM t ORDER BY k", [(None,), ("x",), ("x",), ("y",)]),
        ("SELECT k FROM t ORDER BY k DESC", [("y",), ("x",), ("x",), (None,)]),
        ("SELECT IFNULL(k, 0) FROM t WHERE n = ''", [("0",)]),
        ("SELECT COALESCE(k, 1.50), IF(k IS NULL, 2, k) FROM t WHERE n = ''", [("1.50", "2")]),
        ("SELECT CASE WHEN n > 5 THEN 1 ELSE w END FROM t", [("a",), ("a",), ("1",), ("B",)]),
        ("SELECT IFNULL(c, 0) FROM (SELECT COUNT(*) AS c FROM t) x", [(4,)]),
        ("SELECT IFNULL(NULL, 3), COALESCE(NULL, 2.5, 1)", [(3, 2.5)]),
        ("WITH s AS (SELECT IFNULL(k, 0) AS k FROM t WHERE n = '') SELECT IFNULL(k, 1) FROM s", [("0",)]),
        ("SELECT FORMAT(2.5, 0), FORMAT('2.5', 0), FORMAT('1.005', 2), FORMAT(1.005, 2)", [("3", "2", "1.00", "1.01")]),
        ("SELECT STR_TO_DATE('', '%Y-%m-%d'), STR_TO_DATE('x', '%Y')", [("0000-00-00", None)]),
        ("SELECT k, COUNT(*) FROM t WHERE k > '' GROUP BY k WITH ROLLUP", [("x", 2), ("y", 1), (None, 3)]),
        (
            "SELECT w AS v, k, COUNT(*) FROM t WHERE k > '' GROUP BY v, k WITH ROLLUP",
            [("a", "x", 1), ("a", "y", 1), ("a", None, 2), ("b", "x", 1), ("b", None, 1), (None, None, 3)],
        ),
        ("SELECT COALESCE(w, 'all') w, COUNT(*) FROM t GROUP BY w WITH ROLLUP", [("a", 2), ("b", 2), ("all", 4)]),
        ("SELECT YEAR(d), COUNT(*) FROM t GROUP BY YEAR(d) WITH ROLLUP HAVING COUNT(*) > 2", [(None, 4)]),
        ("SELECT k FROM t WHERE k = 'zzz' GROUP BY k WITH ROLLUP", []),
    ],
)
def test_it_gives_what_mariadb_gives(sql: str, rows: list[tuple[object, ...]]) -> None:
    """NULL is smallest; a branch that is text makes the whole text; doubles round as in C; ROLLUP adds the totals."""
    backend = SQLiteBackend("mysql")
    backend.load([TABLE])
    result = backend.execute(sql)

    assert (None, rows) == (
        result.error,
        [tuple(float(cell) if isinstance(cell, Decimal) else cell for cell in row) for row in result.rows],
    )


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT LEFT('a')", 1064),
        ("SELECT MOD(1)", 1064),
        ("SELECT LENGTH()", 1582),
        ("SELECT DISTINCT ON (w) * FROM t", 1064),
        ("CREATE INDEX i ON t (w(10), `k`(3))", None),
        ("CREATE INDEX i ON t (nothing(10))", 1072),
    ],
)
def test_it_fails_as_mariadb_fails(sql: str, code: int | None) -> None:
    """Error numbers of wrong counts of arguments, of other dialects' syntax, and of key parts."""
    backend = SQLiteBackend("mysql")
    backend.load([TABLE])

    assert code == backend.execute(sql).error_code


def test_tables_that_change_in_place_are_seen() -> None:
    """Images are found by identity only where tables cannot change: lists of rows are looked at again."""
    backend, row = SQLiteBackend(), ["a"]
    tables = (Table("t", ("x",), (row,)),)  # type: ignore[arg-type]
    for text in ("a", "b"):
        row[0] = text
        backend.load(tables)
        assert [(text,)] == backend.table_rows("t", ("x",))


def test_the_size_is_capped_from_the_first_write_on() -> None:
    """The cap of a database is set late, but no write comes before it: the first one already meets it."""
    backend = SQLiteBackend(limits=Limits(database_bytes=200_000))
    backend.load([Table("t", ("x",), tuple(("a" * 100,) for _ in range(100)))])
    assert ((100,),) == backend.execute("SELECT COUNT(*) FROM t").rows
    result = backend.execute("WITH b AS (SELECT t.x FROM t, t AS u) INSERT INTO t SELECT x FROM b")

    assert "database or disk is full" == result.error
