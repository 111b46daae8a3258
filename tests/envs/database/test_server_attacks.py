"""What an agent may try on a real server, and what it may not reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cmat_env.envs.database.backend import Limits, Table
from cmat_env.envs.database.server.backend import ServerBackend
from cmat_env.envs.database.server.refuse import refusal, writes

Make = Callable[..., ServerBackend]
TABLE = Table("t", ("x",), (("a",), ("b",)))

REFUSED = [
    "SET SESSION max_statement_time = 0",
    "SET GLOBAL max_connections = 1",
    "SET PASSWORD = PASSWORD('x')",
    "SET @@global.general_log = 1",
    "SET STATEMENT max_statement_time = 0 FOR SELECT SLEEP(9)",
    "/* look */ SET sql_mode = ''",
    "# look\nSET sql_mode = ''",
    "-- look\nSET sql_mode = ''",
    "/*!50000 SET sql_mode = '' */",
    "/*M! SET sql_mode = '' */",
    "SELECT 1 /*! INTO OUTFILE '/tmp/x' */",
    "SELECT * FROM t INTO OUTFILE '/tmp/cmat_x'",
    "SELECT * FROM t INTO DUMPFILE '/tmp/cmat_x'",
    "SELECT LOAD_FILE('/etc/passwd')",
    "SELECT load_file ('/etc/passwd')",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
    "SHUTDOWN",
    "KILL 1",
    "LOCK TABLES t WRITE",
    "UNLOCK TABLES",
    "FLUSH TABLES WITH READ LOCK",
    "INSTALL SONAME 'ha_connect'",
    "INSTALL PLUGIN x SONAME 'x.so'",
    "UNINSTALL PLUGIN x",
    "GRANT ALL ON *.* TO CURRENT_USER()",
    "REVOKE ALL ON *.* FROM root@localhost",
    "CREATE USER u",
    "CREATE DATABASE other",
    "DROP DATABASE mysql",
    "CREATE FUNCTION f RETURNS STRING SONAME 'udf.so'",
    "CREATE PROCEDURE p() SELECT 1",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.x = 1",
    "CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DO DELETE FROM t",
    "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
    "CREATE TABLE f (x INT) ENGINE=FEDERATED CONNECTION='mysql://x'",
    "CREATE TABLE f (x INT) DATA DIRECTORY='/tmp'",
    "PREPARE s FROM 'SET sql_mode = 1'",
    "EXECUTE IMMEDIATE 'SHUTDOWN'",
    "DO SLEEP(9)",
    "HANDLER t OPEN",
    "XA START 'x'",
    "CALL mysql.x()",
    "CHANGE MASTER TO MASTER_HOST='x'",
    "RESET MASTER",
    "PURGE BINARY LOGS TO 'x'",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_it_is_refused(server: Make, sql: str) -> None:
    """Statements about the session, the server, accounts and files are answered with an error, and change nothing."""
    backend = server()
    backend.load([TABLE])
    result = backend.execute(sql)

    assert 1227 == result.error_code
    assert [("a",), ("b",)] == backend.table_rows("t", ("x",))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'SET x = 1; LOAD_FILE(1)'",
        'SELECT "/*! not code */"',
        "INSERT INTO t VALUES ('into outfile')",
        "(SELECT 1)",
        "CREATE OR REPLACE VIEW v AS SELECT x FROM t",
        "create table if not exists s (x int)",
        "DROP TABLE IF EXISTS nothing",
        "CREATE UNIQUE INDEX i ON t (x(10))",
        "REPLACE INTO t VALUES ('c')",
        "TRUNCATE t",
        "RENAME TABLE t TO u",
    ],
)
def test_it_is_not_refused(server: Make, sql: str) -> None:
    """Words in strings are no statements, and the schema of the own database may be changed."""
    backend = server()
    backend.load([TABLE])

    assert backend.execute(sql).error is None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT user, authentication_string FROM mysql.user",
        "SELECT * FROM mysql.global_priv",
        "INSERT INTO mysql.user (user) VALUES ('x')",
        "DROP TABLE mysql.user",
        "ALTER TABLE mysql.user ADD x INT",
        "SHOW GRANTS FOR root@localhost",
        "SHOW BINARY LOGS",
        "SHOW ENGINE INNODB STATUS",
    ],
)
def test_the_account_s_rights_stop_it(server: Make, sql: str) -> None:
    """What passes in front meets an account that has rights on its own database only."""
    backend = server()
    backend.load([TABLE])

    assert backend.execute(sql).error_code in (1044, 1045, 1142, 1227, 1370)


def test_neighbours_are_out_of_sight_and_reach(server: Make) -> None:
    """One episode neither sees nor touches the database, the statements or the processes of another."""
    one, other = server(), server()
    one.load([TABLE])
    other.load([TABLE])
    lease, theirs = one._lease, other._lease
    assert lease is not None
    assert theirs is not None

    assert {lease.database, "information_schema"} == {row[0] for row in one.execute("SHOW DATABASES").rows}
    assert {lease.database} == {row[1] for row in one.execute("SHOW PROCESSLIST").rows}
    for sql in (f"SELECT * FROM {theirs.database}.t", f"DELETE FROM {theirs.database}.t"):
        assert 1142 == one.execute(sql).error_code
    assert 1044 == one.execute(f"USE {theirs.database}").error_code
    assert [("a",), ("b",)] == other.table_rows("t", ("x",))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT SLEEP(30)",
        "SELECT BENCHMARK(10000000000, SHA2('a', 512))",
        "SELECT COUNT(*) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j, t k, t l, t m, t n, t o, t p, t q, "
        "t r, t s, t u, t v, t w, t y, t z, t aa, t bb, t cc, t dd, t ee, t ff, t gg WHERE CONCAT(a.x, gg.x) = 'zz'",
        "SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' REGEXP '^(a+)+$b' OR SLEEP(30)",
    ],
)
def test_the_deadline_is_ours(server: Make, sql: str) -> None:
    """A statement that would run for ever is killed from outside, and the connection goes on."""
    backend = server(seconds=0.5)
    backend.load([TABLE])
    before = time.monotonic()
    result = backend.execute(sql)

    backend.limits = Limits(seconds=60.0)

    assert (True, 1317) == (result.timed_out, result.error_code)
    assert time.monotonic() - before < 25
    assert ((2,),) == backend.execute("SELECT COUNT(*) FROM t").rows


def test_a_session_limit_lifted_by_hand_changes_nothing(server: Make) -> None:
    """Even with every limit of the session off, the client's deadline holds."""
    backend = server(seconds=0.5)
    backend.load([TABLE])
    assert backend._lease is not None
    backend._say(backend._lease, "SET SESSION max_statement_time = 0")

    assert backend.execute("SELECT SLEEP(30)").timed_out


def test_a_kill_never_hits_the_next_statement(server: Make) -> None:
    """Statements that end near their deadline do not take later ones with them."""
    backend = server(seconds=0.05)
    backend.load([TABLE])
    for step in range(30):
        backend.limits = Limits(seconds=0.05)
        backend.execute(f"SELECT SLEEP({0.04 + step * 0.0007:.4f})")
        backend.limits = Limits(seconds=60.0)
        assert ((2,),) == backend.execute("SELECT COUNT(*) FROM t").rows


def test_a_database_cannot_grow_without_end(server: Make) -> None:
    """Above its size a database takes no more, but may shrink; the next load is fine."""
    backend = server(database_bytes=4_000_000)
    backend.load([Table("t", ("x",), (("a" * 1000,),))])
    codes = [backend.execute("INSERT INTO t SELECT x FROM t").error_code for _ in range(20)]

    assert (None, 1114) == (codes[0], codes[-1])
    assert backend.execute("DELETE FROM t").error is None
    backend.load([TABLE])
    assert backend.execute("INSERT INTO t VALUES ('c')").error is None


def test_a_long_statement_is_refused(server: Make) -> None:
    """A statement over the limit never reaches the server."""
    backend = server(sql_bytes=1000)
    backend.load([TABLE])

    assert 1153 == backend.execute(f"SELECT '{'a' * 2000}'").error_code


def test_large_values_end_in_null_or_an_error(server: Make) -> None:
    """A function that would make gigabytes gives NULL, as MySQL does beyond its packet size."""
    backend = server()
    backend.load([TABLE])

    assert ((None,),) == backend.execute("SELECT REPEAT('a', 1000000000)").rows


def test_no_file_appears(server: Make) -> None:
    """Nothing that an agent writes reaches the file system outside of the server's own folder."""
    backend = server()
    backend.load([TABLE])
    for sql in REFUSED:
        backend.execute(sql)

    assert not Path("/tmp/cmat_x").exists()


def test_writes_are_told_from_reads() -> None:
    """A database counts as changed unless the statement surely reads only."""
    assert [False, False, False, True, True, True, True] == [
        writes(sql)
        for sql in (
            "SELECT 1",
            "# c\n(SELECT 1)",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "WITH x AS (SELECT 1) DELETE FROM t",
            "-- c\nUPDATE t SET x = 1",
            "junk",
            "",
        )
    ]
    assert refusal("SELECT 1") is None
