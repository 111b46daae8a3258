"""The MySQL dialect: what statements that write leave behind, and which errors an agent sees."""

from __future__ import annotations

import copy

import pytest

from cmat_env.envs.database.backend import Limits, Table
from cmat_env.envs.database.sqlite import SQLiteBackend

TABLE = Table("t", ("a", "b", "c d"), (("x", "5", "p"), ("y", "10", "q"), ("Z", "7.5", "q")))
ROWS = list(TABLE.rows)
SYNTAX = (
    "1064 (42000): You have an error in your SQL syntax; check the manual that corresponds to your MySQL server "
    "version for the right syntax to use near "
)


@pytest.fixture
def backend() -> SQLiteBackend:
    """A MySQL backend that holds the table `t`."""
    backend = SQLiteBackend("mysql")
    backend.load([TABLE])
    return backend


def row(number: int, **cells: str | None) -> tuple[object, ...]:
    """A row of the table with some cells changed."""
    names = {"a": 0, "b": 1, "c": 2}
    changed: list[object] = list(ROWS[number])
    for name, cell in cells.items():
        changed[names[name]] = cell
    return tuple(changed)


WRITES: list[tuple[str, list[tuple[object, ...]]]] = [
    # number literals keep the look that MySQL gives them
    ("INSERT INTO t VALUES (007, 1.50, 1e3)", [*ROWS, ("7", "1.50", "1000")]),
    (
        "INSERT INTO t VALUES (TRUE, -5, .5), (NULL, DEFAULT, 12345678901234567890)",
        [*ROWS, ("1", "-5", "0.5"), (None, None, "12345678901234567890")],
    ),
    ("INSERT INTO t (a, `c d`) VALUES ('it''s', \"say \\\"hi\\\"\")", [*ROWS, ("it's", None, 'say "hi"')]),
    (
        "INSERT INTO t (a) VALUES (CONCAT('n', 1)), (1 + 1), (10/4), (0.1 + 0.2)",
        [*ROWS, ("n1", None, None), ("2", None, None), ("2.500000000", None, None), ("0.3", None, None)],
    ),
    ("INSERT INTO t SET a = 'q', b = 3", [*ROWS, ("q", "3", None)]),
    ("INSERT IGNORE INTO t (a) VALUES ('i') ON DUPLICATE KEY UPDATE a = 'j'", [*ROWS, ("i", None, None)]),
    ("REPLACE INTO t (a) VALUES ('r')", [*ROWS, ("r", None, None)]),
    ("INSERT INTO t (a, b) SELECT 'n', COUNT(*) FROM t", [*ROWS, ("n", "3", None)]),
    (
        "INSERT INTO t (a) SELECT b * 2 FROM t WHERE a = 'X' UNION ALL SELECT 'u'",
        [*ROWS, ("10", None, None), ("u", None, None)],
    ),
    # UPDATE: comparisons as in queries, assignments from left to right
    ("UPDATE t SET b = 'n' WHERE a = 'z'", [*ROWS[:2], row(2, b="n")]),
    ("UPDATE t SET b = b + 1 WHERE b > 6", [ROWS[0], row(1, b="11"), row(2, b="8.5")]),
    ("UPDATE t SET b = b / 2 WHERE b = 5", [row(0, b="2.5"), *ROWS[1:]]),
    ("UPDATE t SET a = b, b = a WHERE a = 'x'", [row(0, a="5", b="5"), *ROWS[1:]]),
    ("UPDATE t SET t.a = ROUND(2.567, 1), `c d` = 7 DIV 2 LIMIT 1", [row(0, a="2.6", c="3"), *ROWS[1:]]),
    ("UPDATE t SET a = 'top' ORDER BY b + 0 DESC LIMIT 2", [ROWS[0], row(1, a="top"), row(2, a="top")]),
    (
        "UPDATE t SET b = NULL, a = CASE WHEN b IS NULL THEN 'none' ELSE a END WHERE `c d` = 'P'",
        [row(0, b=None, a="none"), *ROWS[1:]],
    ),
    (
        "UPDATE t x JOIN (SELECT `c d` k, COUNT(*) n FROM t GROUP BY k) y ON x.`c d` = y.k SET x.b = y.n WHERE y.n > 1",
        [ROWS[0], row(1, b="2"), row(2, b="2")],
    ),
    ("UPDATE t SET a = (SELECT m FROM (SELECT MAX(b+0) m FROM t) q) WHERE a = 'y'", [ROWS[0], row(1, a="10"), ROWS[2]]),
    # DELETE
    ("DELETE FROM t WHERE b > 6", ROWS[:1]),
    ("DELETE FROM t ORDER BY b + 0 LIMIT 1", ROWS[1:]),
    ("DELETE x FROM t x JOIN t y ON x.`c d` = y.`c d` AND x.b < y.b", [ROWS[0], ROWS[2]]),
    ("DELETE FROM t WHERE b IN (SELECT * FROM (SELECT MAX(b + 0) FROM t) q)", [ROWS[0], ROWS[2]]),
    ("TRUNCATE TABLE t", []),
    ("DELETE FROM db.t", []),
    # nothing to do
    ("ROLLBACK", ROWS),
    ("SET autocommit = 0", ROWS),
]


@pytest.mark.parametrize(("sql", "expected"), WRITES)
def test_writes(backend: SQLiteBackend, sql: str, expected: list[tuple[object, ...]]) -> None:
    """A write leaves the texts that MySQL would leave, and shows no rows."""
    result = backend.execute(sql)

    assert (None, ()) == (result.error, result.rows)
    assert expected == backend.table_rows("t", TABLE.columns)


def test_statements_commit_by_themselves(backend: SQLiteBackend) -> None:
    """BEGIN and ROLLBACK bring nothing back, as upstream commits each statement."""
    for sql in ("BEGIN", "DELETE FROM t", "ROLLBACK"):
        assert backend.execute(sql).error is None

    assert [] == backend.table_rows("t", ("a",))


def test_tables_of_the_agent(backend: SQLiteBackend) -> None:
    """An agent may make tables, change and drop them; columns that it declares as numbers hold numbers."""
    for sql in (
        "CREATE TABLE u (id INT AUTO_INCREMENT PRIMARY KEY, v CHAR(9) NOT NULL DEFAULT 'd', n DECIMAL(5,2)) ENGINE=X",
        "INSERT INTO u (n) VALUES (1.5), ('2')",
        "ALTER TABLE u ADD COLUMN w TEXT, CHANGE v vv TEXT",
        "UPDATE u SET w = vv WHERE id = 2",
        "RENAME TABLE u TO `u 2`",
        "CREATE VIEW seen AS SELECT id, w FROM `u 2` WHERE n > 1.6",
        "CREATE TABLE copied AS SELECT * FROM seen",
        "CREATE TABLE alike LIKE t",
        "ALTER TABLE t DROP COLUMN b",
    ):
        assert backend.execute(sql).error is None, sql
    assert ((1, "d", 1.5, None), (2, "d", 2.0, "d")) == backend.execute("SELECT * FROM `u 2`").rows
    assert ((2, "d"),) == backend.execute("SELECT * FROM copied JOIN seen USING (id, w)").rows
    assert ("a", "c d") == backend.execute("SELECT * FROM t").columns
    assert {"u 2", "seen", "copied", "alike", "t"} == {row[0] for row in backend.execute("SHOW TABLES").rows}

    assert backend.execute("DROP TABLE copied, alike").error is None
    backend.load([TABLE])

    assert (("t",),) == backend.execute("SHOW TABLES").rows
    assert ROWS == backend.table_rows("t", TABLE.columns)


ERRORS: list[tuple[str, int, str]] = [
    ("", 1065, "1065 (42000): Query was empty"),
    ("-- nothing", 1065, "1065 (42000): Query was empty"),
    ("SELEC a FROM t", 1064, SYNTAX),
    ("SELECT a FROM 't'", 1064, SYNTAX + "''t'' at line 1"),
    ("SELECT a FROM [t]", 1064, SYNTAX + "'[t]' at line 1"),
    ("SELECT a\nFROM t WHERE a == 'x'", 1064, SYNTAX + "'== 'x'' at line 2"),
    ("SELECT a, FROM t", 1064, SYNTAX + "'FROM t' at line 1"),
    ("SELECT 1; SELECT 2", 1064, SYNTAX + "' SELECT 2' at line 1"),
    ("BEGIN; DELETE FROM t", 1064, SYNTAX),
    ("SELECT a AS rank FROM t", 1064, SYNTAX + "'rank FROM t' at line 1"),
    ("SELECT a FROM t GROUP BY a WHERE b = 1", 1064, SYNTAX + "'WHERE b = 1' at line 1"),
    ("SELECT a FROM t FULL OUTER JOIN t u ON 1", 1064, SYNTAX),
    ("SELECT a FROM t LIMIT -1", 1064, SYNTAX),
    ("SELECT a::int FROM t", 1064, SYNTAX),
    ("SELECT CAST(a AS INT) FROM t", 1064, SYNTAX),
    ("SELECT a FROM t WHERE a ILIKE 'x'", 1064, SYNTAX),
    ("SELECT 'open FROM t", 1064, SYNTAX),
    ("SELECT SUM(*) FROM t", 1064, SYNTAX),
    ("SHOW ME", 1064, SYNTAX),
    ("SELECT * FROM u", 1146, "1146 (42S02): Table 'db.u' doesn't exist"),
    ("SELECT * FROM T", 1146, "1146 (42S02): Table 'db.T' doesn't exist"),
    ("SELECT * FROM sqlite_master", 1146, "1146 (42S02): Table 'db.sqlite_master' doesn't exist"),
    ("UPDATE u SET a = 1", 1146, "1146 (42S02): Table 'db.u' doesn't exist"),
    ("DESCRIBE u", 1146, "1146 (42S02): Table 'db.u' doesn't exist"),
    ("SELECT * FROM mysql.user", 1049, "1049 (42000): Unknown database 'mysql'"),
    ("USE test", 1049, "1049 (42000): Unknown database 'test'"),
    ("SELECT z FROM t", 1054, "1054 (42S22): Unknown column 'z' in 'field list'"),
    ("SELECT a FROM t WHERE z = 1", 1054, "1054 (42S22): Unknown column 'z' in 'where clause'"),
    ("SELECT a FROM t ORDER BY z", 1054, "1054 (42S22): Unknown column 'z' in 'order clause'"),
    ("SELECT a FROM t GROUP BY z", 1054, "1054 (42S22): Unknown column 'z' in 'group statement'"),
    ("SELECT x.z FROM t x", 1054, "1054 (42S22): Unknown column 'x.z' in 'field list'"),
    ("SELECT a AS z FROM t WHERE z = 'x'", 1054, "1054 (42S22): Unknown column 'z' in 'where clause'"),
    ("SELECT rowid FROM t", 1054, "1054 (42S22): Unknown column 'rowid' in 'field list'"),
    ("INSERT INTO t (z) VALUES (1)", 1054, "1054 (42S22): Unknown column 'z' in 'field list'"),
    ("INSERT INTO t VALUES (1)", 1136, "1136 (21S01): Column count doesn't match value count at row 1"),
    ("INSERT INTO t (a, b) VALUES (1)", 1136, "1136 (21S01): Column count doesn't match value count at row 1"),
    ("INSERT INTO t (a, A) VALUES (1, 2)", 1110, "1110 (42000): Column 'A' specified twice"),
    (
        "SELECT a, MAX(b) FROM t",
        1140,
        "1140 (42000): In aggregated query without GROUP BY, expression #1 of SELECT list contains "
        "nonaggregated column 'db.t.a'; this is incompatible with sql_mode=only_full_group_by",
    ),
    (
        "SELECT a, b FROM t GROUP BY a",
        1055,
        "1055 (42000): Expression #2 of SELECT list is not in GROUP BY clause and contains nonaggregated "
        "column 'db.t.b' which is not functionally dependent on columns in GROUP BY clause; this is incompatible with "
        "sql_mode=only_full_group_by",
    ),
    ("SELECT DISTINCT a FROM t ORDER BY b", 3065, "3065 (HY000): Expression #1 of ORDER BY clause is not in"),
    ("SELECT a FROM t WHERE COUNT(*) > 1", 1111, "1111 (HY000): Invalid use of group function"),
    ("SELECT a FROM t WHERE b = (SELECT b FROM t)", 1242, "1242 (21000): Subquery returns more than 1 row"),
    ("SELECT a FROM t WHERE b IN (SELECT a, b FROM t)", 1241, "1241 (21000): Operand should contain 1 column(s)"),
    (
        "SELECT a FROM t WHERE b IN (SELECT b FROM t LIMIT 1)",
        1235,
        "1235 (42000): This version of MySQL doesn't yet support 'LIMIT & IN/ALL/ANY/SOME subquery'",
    ),
    ("SELECT * FROM (SELECT a FROM t)", 1248, "1248 (42000): Every derived table must have its own alias"),
    (
        "SELECT a FROM t UNION SELECT a, b FROM t",
        1222,
        "1222 (21000): The used SELECT statements have a different number of columns",
    ),
    ("SELECT a FROM t x, t y", 1052, "1052 (23000): Column 'a' in field list is ambiguous"),
    (
        "DELETE FROM t WHERE b = (SELECT MAX(b) FROM t)",
        1093,
        "1093 (HY000): You can't specify target table 't' for update in FROM clause",
    ),
    ("SELECT NOPE(a) FROM t", 1305, "1305 (42000): FUNCTION db.NOPE does not exist"),
    ("SELECT strftime('%Y', a) FROM t", 1305, "1305 (42000): FUNCTION db.strftime does not exist"),
    ("SELECT my_eq(a, a) FROM t", 1305, "1305 (42000): FUNCTION db.my_eq does not exist"),
    ("SELECT MD5() FROM t", 1582, "1582 (42000): Incorrect parameter count in the call to native function 'MD5'"),
    ("SELECT a REGEXP '(' FROM t", 3685, "3685 (HY000): Illegal argument to a regular expression."),
    ("SELECT @@nope", 1193, "1193 (HY000): Unknown system variable 'nope'"),
    ("CREATE TABLE t (x INT)", 1050, "1050 (42S01): Table 't' already exists"),
    ("DROP TABLE u", 1051, "1051 (42S02): Unknown table 'db.u'"),
    ("CREATE DATABASE x", 1044, "1044 (42000): Access denied for user 'agent'@'localhost' to database 'db'"),
]


@pytest.mark.parametrize(("sql", "code", "text"), ERRORS)
def test_errors(backend: SQLiteBackend, sql: str, code: int, text: str) -> None:
    """An error has MySQL's number, state and words, and changes nothing."""
    result = backend.execute(sql)

    assert code == result.error_code, result.error
    assert text == str(result.error)[: len(text)]
    assert ROWS == backend.table_rows("t", TABLE.columns)


def test_grouping_follows_what_the_condition_fixes(backend: SQLiteBackend) -> None:
    """A column that is grouped, fixed by the condition, or equal to such a one may be selected."""
    for sql, rows in (
        ("SELECT a, MAX(b) FROM t WHERE a = 'x'", (("x", "5"),)),
        ("SELECT x.a, y.a, COUNT(*) FROM t x JOIN t y ON x.a = y.a WHERE x.a = 'x' GROUP BY x.a", (("x", "x", 1),)),
        ("SELECT UPPER(a), COUNT(*) FROM t WHERE b = 5 GROUP BY UPPER(a)", (("X", 1),)),
        ("SELECT a, b FROM t WHERE `c d` = 'p' GROUP BY 1, 2", (("x", "5"),)),
    ):
        result = backend.execute(sql)
        assert rows == result.rows, result.error


def test_the_first_unknown_name_is_named_before_the_grouping(backend: SQLiteBackend) -> None:
    """MySQL resolves names first."""
    assert backend.execute("SELECT a, MAX(z) FROM t").error_code == 1054
    assert backend.execute("SELECT a, MAX(b) FROM u").error_code == 1146


def test_copies_and_snapshots_speak_mysql_too(backend: SQLiteBackend) -> None:
    """A copy and a restored snapshot know the tables that were made since the load."""
    backend.execute("CREATE TABLE u (x TEXT)")
    snapshot = backend.snapshot()
    other = copy.deepcopy(backend)
    backend.load([TABLE])

    assert backend.execute("SELECT COUNT(*) FROM u").error_code == 1146
    backend.restore(snapshot)
    assert ((0,),) == backend.execute("SELECT COUNT(*) FROM u").rows
    assert ((0,),) == other.execute("SELECT COUNT(*) FROM u WHERE x = 'É'").rows


def test_cells_become_texts() -> None:
    """Every cell is stored as its str(); NULL stays."""
    backend = SQLiteBackend("mysql", limits=Limits(rows=10))
    backend.load([Table("t", ("x",), ((1,), (1.5,), ("é",), (None,)))])

    assert [("1",), ("1.5",), ("é",), (None,)] == backend.table_rows("t", ("x",))
    assert (("1",), ("1.5",), ("é",), (None,)) == backend.execute("SELECT x FROM t").rows
