"""Attacks on the embedded backend: what the agent sees, that the host is untouched, and that the next episode works.

Time is bounded by the deadline of the settings, not measured here: the short deadline below is what ends the endless
statements, and everything else ends by itself.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmat_env.envs.database.backend import Limits, Result, Table
from cmat_env.envs.database.guards import open_guarded
from cmat_env.envs.database.sqlite import SQLiteBackend

TABLE = Table("t", ("a", "b"), tuple((str(number), "x" * number) for number in range(40)))
LIMITS = Limits(seconds=0.2, rows=50, database_bytes=1_000_000)
MANY = ", ".join(f"t t{number}" for number in range(8))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; nothing may appear in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sqlite(folder: Path) -> Iterator[SQLiteBackend]:
    """A backend in SQLite's dialect that is checked to work after the attack."""
    yield from _survivor("sqlite", folder)


@pytest.fixture
def mysql(folder: Path) -> Iterator[SQLiteBackend]:
    """A backend in MySQL's dialect that is checked to work after the attack."""
    yield from _survivor("mysql", folder)


def _survivor(dialect: str, folder: Path) -> Iterator[SQLiteBackend]:
    backend = SQLiteBackend(dialect, limits=LIMITS)  # type: ignore[arg-type]
    backend.load([TABLE])
    yield backend
    assert [] == list(folder.iterdir())
    assert ((1,),) == backend.execute("SELECT 1").rows
    backend.load([TABLE])
    assert ((40,),) == backend.execute("SELECT COUNT(*) FROM t").rows
    assert list(TABLE.rows) == backend.table_rows("t", TABLE.columns)
    backend.close()


def _seen(result: Result) -> tuple[object, str | None]:
    return result.rows, result.error


DENIED = [
    "ATTACH 'host.db' AS host",
    "ATTACH DATABASE 'file:host.db?mode=rwc' AS host",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO 'host.db'",
    "SELECT load_extension('host.so')",
    "SELECT printf('%.*c', 900000000, 'x')",
    "SELECT format('%.*c', 900000000, 'x')",
    "SELECT hex(zeroblob(1000000000))",
    "SELECT zeroblob(1000000000)",
    "SELECT randomblob(500000000)",
    "SELECT fts3_tokenizer('simple')",
    "PRAGMA writable_schema = ON",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA journal_mode = WAL",
    "PRAGMA database_list",
    "PRAGMA max_page_count = 1000000",
    "PRAGMA hard_heap_limit = 1",
    "SELECT * FROM pragma_database_list",
    "CREATE TRIGGER trap AFTER INSERT ON t BEGIN DELETE FROM t; END",
    "CREATE VIRTUAL TABLE v USING fts5(x)",
    "CREATE TEMP TABLE left_behind (x)",
    "CREATE TEMPORARY VIEW left_behind AS SELECT 1",
    "CREATE TABLE temp.left_behind (x)",
    "ANALYZE",
    "ALTER TABLE t ADD COLUMN c CHECK (length(printf('%.*c', 900000000, 'x')) > 0)",
]


@pytest.mark.parametrize("sql", DENIED)
def test_what_reaches_out_is_not_authorized(sqlite: SQLiteBackend, sql: str) -> None:
    """Files, extensions, pragmas, triggers, temporary tables and allocating functions are refused when compiled."""
    result = sqlite.execute(sql)

    assert () == result.rows
    assert result.error is not None
    assert any(words in result.error for words in ("authorized", "authorization", "prohibited", "no such function"))


@pytest.mark.parametrize(
    "sql", ["SELECT readfile('/etc/passwd')", "SELECT writefile('host.txt', 'x')", "SELECT edit('x')"]
)
def test_functions_of_the_shell_are_not_there(sqlite: SQLiteBackend, sql: str) -> None:
    """SQLite's command line knows functions that read and write files; the library does not."""
    assert "no such function" in str(sqlite.execute(sql).error)


@pytest.mark.parametrize(
    "expression",
    [
        "printf('%.*c', 900000000, 'x')",
        "format('%.*c', 900000000, 'x')",
        "zeroblob(900000000)",
        "randomblob(900000000)",
    ],
)
@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE t ADD COLUMN c AS ({})",
        "ALTER TABLE t ADD COLUMN c DEFAULT ({})",
        "CREATE TABLE g (a, c AS ({}) STORED)",
        "CREATE TABLE g (a, c DEFAULT ({}))",
        "CREATE TABLE g (a CHECK (length({}) > 0), c)",
        "CREATE INDEX g ON t (length({}))",
        "CREATE VIEW g AS SELECT length({}) AS c, 1 AS a FROM t",
    ],
)
def test_a_schema_cannot_hide_an_allocation(sqlite: SQLiteBackend, sql: str, expression: str) -> None:
    """A denied function in the schema is refused, or does nothing where SQLite does not ask."""
    sqlite.execute(sql.format(expression))
    sqlite.execute("INSERT INTO g (a) VALUES (1)")

    for read in ("SELECT length(c) FROM t", "SELECT length(c) FROM g"):
        assert {None} >= {row[0] for row in sqlite.execute(read).rows}


def test_columns_can_be_added(sqlite: SQLiteBackend) -> None:
    """ALTER TABLE works although it calls a denied function itself."""
    sqlite.execute("CREATE TABLE é (`ü` TEXT DEFAULT 'ö')")

    assert sqlite.execute("ALTER TABLE é ADD COLUMN ß INTEGER DEFAULT 5").error is None
    assert sqlite.execute("INSERT INTO é (ü) VALUES (1)").error is None
    assert (("1", 5),) == sqlite.execute("SELECT * FROM é").rows
    assert "not authorized" in str(sqlite.execute("SELECT printf('%d', 1)").error)


ENDLESS = [
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c",
    f"SELECT COUNT(*) FROM {MANY} WHERE t0.a < t7.a",
    f"UPDATE t SET b = (SELECT COUNT(*) FROM {MANY} WHERE t0.a < t7.a)",
]


@pytest.mark.parametrize("sql", ENDLESS)
def test_what_never_ends_is_interrupted(sqlite: SQLiteBackend, sql: str) -> None:
    """The deadline interrupts endless statements, and a write that is interrupted changes nothing."""
    result = sqlite.execute(sql)

    assert (True, "interrupted", ()) == (result.timed_out, result.error, result.rows)
    assert list(TABLE.rows) == sqlite.table_rows("t", TABLE.columns)


@pytest.mark.parametrize(
    "sql", ["WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c", f"SELECT * FROM {MANY}"]
)
def test_endless_rows_are_cut(sqlite: SQLiteBackend, sql: str) -> None:
    """Only so many rows are taken out of an endless result."""
    result = sqlite.execute(sql)

    assert (50, True, None) == (len(result.rows), result.truncated, result.error)


def test_wide_rows_are_cut_by_bytes(sqlite: SQLiteBackend) -> None:
    """A result of few but large rows is cut as well."""
    sql = "SELECT replace(hex(a), '3', (SELECT group_concat(t1.b) FROM t t1, t t2)) FROM t WHERE a > '30'"

    assert sum(len(cell) for row in sqlite.execute(sql).rows for cell in row if isinstance(cell, str)) <= 1_000_000


def test_a_sorter_runs_into_the_heap_limit_or_the_deadline(sqlite: SQLiteBackend) -> None:
    """A sort of a huge join ends."""
    assert sqlite.execute(f"SELECT t0.a FROM {MANY} ORDER BY t1.b").error in ("out of memory", "interrupted")


def test_the_heap_is_limited() -> None:
    """SQLite's memory has a hard limit; it can be lowered by nobody but us."""
    connection, _ = open_guarded(Limits())
    limit = connection.execute("PRAGMA hard_heap_limit").fetchone()[0]
    connection.close()

    assert 0 < limit <= 268_435_456


@pytest.mark.parametrize(
    "sql",
    [
        f"CREATE TABLE big AS SELECT t0.b FROM {MANY}",
        f"INSERT INTO t SELECT t0.b, t1.b FROM {MANY}",
    ],
)
def test_the_database_cannot_outgrow_its_pages(sqlite: SQLiteBackend, sql: str) -> None:
    """What fills the disk fails, and leaves the table as it was."""
    assert sqlite.execute(sql).error in ("database or disk is full", "out of memory", "interrupted")
    assert list(TABLE.rows) == sqlite.table_rows("t", TABLE.columns)


def test_the_page_limit_outlives_a_load(sqlite: SQLiteBackend) -> None:
    """Deserialising an image lifts SQLite's page limit; it is set again each time."""
    for _ in range(2):
        sqlite.load([TABLE])
        assert sqlite.execute(f"CREATE TABLE big AS SELECT t0.b FROM {MANY}").error == "database or disk is full"
        sqlite.restore(sqlite.snapshot())


TOO_MUCH = [
    "SELECT 1 WHERE 'a' LIKE '" + "%a" * 1000 + "'",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT 1" + " UNION SELECT 1" * 3000,
    "SELECT " + ", ".join(["1"] * 3000),
    "SELECT " + "+".join(["1"] * 3000),
    "SELECT '" + "x" * 2_000_000 + "'",
    "SELECT replace(hex(hex(hex((SELECT group_concat(b) FROM t)))), '3', (SELECT group_concat(b || b) FROM t))",
    "SELECT 1; DROP TABLE t",
]


@pytest.mark.parametrize("sql", TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_sizes_and_depths_are_limited(sqlite: SQLiteBackend, sql: str) -> None:
    """SQLite's own limits answer what is too long, too deep, too wide, or more than one statement."""
    result = sqlite.execute(sql)

    assert () == result.rows
    assert result.error is not None


def test_invalid_text_is_replaced(sqlite: SQLiteBackend) -> None:
    """Bytes that are no UTF-8 are shown with the replacement character; blobs and NUL come as they are."""
    result = sqlite.execute("SELECT CAST(X'ff41' AS TEXT), X'00ff', char(0)")

    assert (("\ufffdA", b"\x00\xff", "\0"),) == result.rows


def test_a_view_cannot_hang_the_grader(sqlite: SQLiteBackend) -> None:
    """A table that was replaced by an endless view counts as gone."""
    sqlite.execute("DROP TABLE t")
    sqlite.execute("CREATE VIEW t AS WITH RECURSIVE c(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM c) SELECT a FROM c")

    assert sqlite.table_rows("t", ("a",)) is None


def test_the_schema_can_be_read(sqlite: SQLiteBackend) -> None:
    """Reading is harmless: sqlite_master and the pragmas that describe a table."""
    assert (("t",),) == sqlite.execute("SELECT name FROM sqlite_master").rows
    assert ["a", "b"] == [row[1] for row in sqlite.execute("PRAGMA table_info(t)").rows]
    assert sqlite.execute("UPDATE sqlite_master SET sql = ''").error == "table sqlite_master may not be modified"


# MySQL: the translation stands before the guards, and our own functions must not allocate or run for ever.

NULLS = [
    "REPEAT(REPEAT('a', 1000000), 1000000)",
    "SPACE(999999999)",
    "LPAD('a', 999999999, 'b')",
    "CONCAT(REPEAT('a', 1000000), REPEAT('a', 1000000))",
    "CONCAT_WS(REPEAT('a', 600000), 'a', 'b', 'c')",
    "REPLACE(REPEAT('a', 100000), 'a', REPEAT('b', 100000))",
    "HEX(REPEAT('a', 1000000))",
    "INSERT(REPEAT('a', 1000000), 1, 0, REPEAT('a', 1000000))",
    "REGEXP_REPLACE(REPEAT('a', 100000), 'a', REPEAT('b', 100000))",
    "LOAD_FILE('/etc/passwd')",
]


@pytest.mark.parametrize("expression", NULLS)
def test_our_functions_measure_before_they_allocate(mysql: SQLiteBackend, expression: str) -> None:
    """A result beyond max_allowed_packet is NULL, as in MySQL, and was never made."""
    mysql.execute("SELECT REPEAT('a', 1)")
    tracemalloc.start()
    try:
        result = mysql.execute(f"SELECT {expression}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (((None,),), None) == _seen(result)
    assert peak < 20_000_000


@pytest.mark.parametrize("expression", ["SLEEP(1000)", "BENCHMARK(1000000000, MD5('a'))"])
def test_nobody_sleeps(mysql: SQLiteBackend, expression: str) -> None:
    """SLEEP and BENCHMARK answer at once."""
    assert ((0,),) == mysql.execute(f"SELECT {expression}").rows


@pytest.mark.parametrize(
    "condition",
    [
        "CONCAT(REPEAT('a', 5000), 'c') REGEXP '^(a+)+$'",
        "REGEXP_LIKE(CONCAT(REPEAT('a', 5000), 'c'), '^(a|a)*$')",
        "CONCAT(REPEAT('a', 100000), 'c') LIKE '" + "%a" * 400 + "'",
        "REPEAT('a', 100000) LIKE CONCAT('%', REPEAT('a_', 400), 'b%')",
    ],
)
def test_patterns_end(mysql: SQLiteBackend, condition: str) -> None:
    """A pattern that would backtrack for ever does not match."""
    assert ((0,),) == mysql.execute(f"SELECT {condition}").rows


@pytest.mark.parametrize("sql", ENDLESS)
def test_mysql_too_is_interrupted(mysql: SQLiteBackend, sql: str) -> None:
    """The deadline's error is MySQL's."""
    result = mysql.execute(sql.replace("c(n) AS (SELECT 1", "c AS (SELECT 1 n"))

    if "UPDATE" in sql:
        assert result.error_code == 1093
    else:
        assert (True, 3024) == (result.timed_out, result.error_code)


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT GROUP_CONCAT(REPEAT('a', 100000) ORDER BY t0.a) FROM {MANY}",
        f"SELECT COUNT(DISTINCT t0.b, t1.b, t2.b, t3.b, t4.b) FROM {MANY}",
        f"SELECT 1 IN (SELECT CONCAT(t0.b, t1.b, t2.b) FROM {MANY})",
        "SELECT " + ", ".join(["GROUP_CONCAT(t0.b ORDER BY t1.b)"] * 100) + f" FROM {MANY}",
    ],
)
def test_aggregates_share_a_budget(mysql: SQLiteBackend, sql: str) -> None:
    """What aggregates gather is capped, all of them together, or the deadline comes first."""
    tracemalloc.start()
    try:
        result = mysql.execute(sql)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert result.error_code in (1038, 3024)
    assert peak < 60_000_000


REFUSED = [
    ("SELECT 1 INTO OUTFILE 'host.txt'", 1290),
    ("SELECT a FROM t INTO DUMPFILE 'host.txt'", 1290),
    ("LOAD DATA INFILE '/etc/passwd' INTO TABLE t", 1290),
    ("SELECT 1; SELECT 2", 1064),
    ("SET SESSION max_statement_time = 0; SELECT SLEEP(3)", 1064),
    ("ATTACH 'host.db' AS host", 1064),
    ("VACUUM INTO 'host.db'", 1064),
    ("PRAGMA database_list", 1064),
    ("SELECT load_extension('x')", 1305),
    ("SELECT printf('%.*c', 900000000, 'x')", 1305),
    ("SELECT zeroblob(1000000000)", 1305),
    ("SELECT * FROM mysql.user", 1049),
    ("SELECT * FROM temp.t", 1049),
    ("GRANT ALL ON *.* TO me", 1227),
    ("KILL 1", 1227),
    ("CALL p()", 1227),
    ("DROP DATABASE db", 1044),
    ("CREATE FUNCTION f() RETURNS INT RETURN 1", 1044),
    ("SELECT " + "(" * 5000 + "1" + ")" * 5000, 1436),
    ("SELECT " + "(" * 30 + "1" + ")" * 30, 1436),
    ("SELECT " + "NOT " * 3000 + "1", 1436),
    ("SELECT 1" + " + 1" * 3000, 1436),
    ("SELECT 1" + " UNION SELECT 1" * 3000, 1436),
    ("SELECT " + ", ".join(["1"] * 3000), 1117),
    ("SELECT '" + "x" * 2_000_000 + "'", 1153),
    (f"CREATE TABLE big AS SELECT t0.b FROM {MANY}", 1114),
]


@pytest.mark.parametrize(("sql", "code"), REFUSED, ids=range(len(REFUSED)))
def test_mysql_refuses(mysql: SQLiteBackend, sql: str, code: int) -> None:
    """Files, servers, other databases, functions of SQLite and statements too deep are refused with MySQL's error."""
    result = mysql.execute(sql)

    assert (code, ()) == (result.error_code, result.rows), result.error


@pytest.mark.parametrize("depth", [0, 250])
def test_depth_does_not_depend_on_the_caller(mysql: SQLiteBackend, depth: int) -> None:
    """The deepest statement that is allowed translates, however deep the caller stands in its own stack."""

    def call(levels: int) -> Result:
        return call(levels - 1) if levels else mysql.execute(sql)

    sql = f"SELECT {depth} + " + "(" * 18 + "1" + ")" * 18

    assert ((depth + 1,),) == call(depth).rows


@pytest.mark.parametrize(
    "sql",
    ["\0", "\ud800", "SELECT '\0'", "?", ")", "SELECT", "`", "/*", "é" * 100, "[]" * 1000, "DELIMITER //", ";;", "%s"],
)
def test_mysql_junk_is_an_error(mysql: SQLiteBackend, sql: str) -> None:
    """Junk never raises; it is answered with an error."""
    assert mysql.execute(sql).error_code in (1064, 1065, 1054, None)
