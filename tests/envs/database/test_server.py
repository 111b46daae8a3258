"""The backend on a real MariaDB: loading, isolation, limits, copies, many episodes, the 60 tasks, the server's life."""

from __future__ import annotations

import copy
import datetime
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from cmat_env.envs.database import DBEnv
from cmat_env.envs.database.backend import Backend, Table
from cmat_env.envs.database.server.address import Address
from cmat_env.envs.database.server.backend import ServerBackend
from cmat_env.envs.database.server.host import Host, Lease, shared
from cmat_env.envs.database.server.link import ServerLostError, connect
from cmat_env.envs.database.server.process import PrivateServer
from cmat_env.envs.database.tasks import load_tasks
from cmat_env.errors import CmatError, ConfigError, MissingExtraError, UnknownNameError
from cmat_env.policies.scripted import GoldPolicy
from cmat_env.registry import make, make_task
from cmat_env.rollout import Episode, Rollout
from cmat_env.testing import check_task

PEOPLE = Table("people", ("name", "age", "a `b`"), (("Ann", 30, None), ("O'Neil\\", "41", "Zoë 💥"), ("Cy", 1.5, "")))
TOWNS = Table("towns", ("town",), (("Oslo",),))

Make = Callable[..., ServerBackend]


def lease_of(backend: ServerBackend) -> tuple[Host, Lease]:
    """What the backend has of the server."""
    assert backend._host is not None
    assert backend._lease is not None
    return backend._host, backend._lease


def test_it_is_a_backend_and_loads_what_it_is_given(server: Make) -> None:
    """The class fits the protocol; every cell is its text, as in AgentBench, and NULL stays NULL."""
    backend = server()
    backend.load([PEOPLE, TOWNS])

    assert isinstance(backend, Backend)
    assert [("Ann", "30", None), ("O'Neil\\", "41", "Zoë 💥"), ("Cy", "1.5", "")] == backend.table_rows(
        "people", PEOPLE.columns
    )
    assert (("people",), ("towns",)) == backend.execute("SHOW TABLES").rows


def test_values_come_as_the_client_library_gives_them(server: Make) -> None:
    """Decimals, dates and NULL are Python's, as an agent sees them upstream; rows carry their columns' names."""
    backend = server()
    backend.load([PEOPLE])
    result = backend.execute("SELECT 1.50 AS s, DATE('2020-02-03'), NULL, 7, age + 0 FROM people WHERE name = 'ann'")

    assert ((Decimal("1.50"), datetime.date(2020, 2, 3), None, 7, 30.0),) == result.rows
    assert "s" == result.columns[0]


def test_errors_are_data_in_mysql_s_words(server: Make) -> None:
    """Number, SQLSTATE and message come back; an empty text and two statements are errors as well."""
    backend = server()
    backend.load([PEOPLE])

    assert str(backend.execute("SELECT x FROM people").error).startswith("1054 (42S22): Unknown column 'x'")
    assert [1146, 1064, 1065, 1064] == [
        backend.execute(sql).error_code for sql in ("SELECT * FROM none", "SELEKT 1", "", "SELECT 1; SELECT 2")
    ]


@pytest.mark.parametrize(
    "sql", ["\x00", "SELECT '\ud800'", "SELECT ?, %s", "SELECT '\x00'", "'" * 999, "💥", "(" * 500]
)
def test_junk_never_raises(server: Make, sql: str) -> None:
    """Null characters, halves of surrogate pairs, placeholders: data, and the next statement works."""
    backend = server()
    backend.load([PEOPLE])
    backend.execute(sql)

    assert ((3,),) == backend.execute("SELECT COUNT(*) FROM people").rows


def test_load_leaves_nothing_behind(server: Make) -> None:
    """A load makes exactly its tables; user variables, views, locks and an open transaction are gone."""
    backend = server()
    backend.load([PEOPLE])
    for sql in (
        "BEGIN",
        "DELETE FROM people",
        "CREATE TABLE extra (x INT PRIMARY KEY)",
        "CREATE VIEW seen AS SELECT * FROM people",
        "SELECT GET_LOCK('l', 0), @a := 5",
        "USE information_schema",
    ):
        assert backend.execute(sql).error is None

    backend.load([PEOPLE])

    assert (("people",),) == backend.execute("SHOW TABLES").rows
    assert ((None, 3),) == backend.execute("SELECT @a, COUNT(*) FROM people").rows
    assert ((1,),) == backend.execute("SELECT IS_FREE_LOCK('l')").rows


def test_statements_commit_by_themselves(server: Make) -> None:
    """Transaction statements do nothing: a ROLLBACK brings nothing back, as with upstream's backend."""
    backend = server()
    backend.load([PEOPLE])
    for sql in ("START TRANSACTION", "DELETE FROM people", "/* no */ rollback;"):
        assert backend.execute(sql).error is None

    assert [] == backend.table_rows("people", ("name",))


def test_grading_sees_no_missing_table_or_column_and_no_view(server: Make) -> None:
    """What is gone reads as None, nor does a view stand in for a table."""
    backend = server()
    backend.load([PEOPLE])

    assert backend.table_rows("people", ("nothing",)) is None
    assert backend.table_rows("People", ("name",)) is None
    backend.execute("ALTER TABLE people RENAME TO persons")
    backend.execute("CREATE VIEW people AS SELECT * FROM persons")
    assert backend.table_rows("people", ("name",)) is None


def test_rows_beyond_the_limits_are_cut(server: Make) -> None:
    """A result is cut by rows and by bytes and says so; the connection goes on."""
    backend = server(rows=2, result_bytes=30)
    backend.load([Table("t", ("x",), (("a",), ("b" * 20,), ("c" * 20,)))])

    assert (("a",), ("b" * 20,)) == backend.execute("SELECT x FROM t").rows
    assert backend.execute("SELECT x FROM t").truncated
    assert backend.execute("SELECT a.x FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j, t k, t l").truncated
    assert not backend.execute("SELECT x FROM t LIMIT 1").truncated


def test_random_numbers_and_the_clock_can_be_replayed(server: Make) -> None:
    """The same statements after the same load give the same numbers and the same time, also after a restore."""
    backend, sql = server(), "SELECT RAND(), RAND(), NOW(), SYSDATE(), CURDATE()"
    backend.load([PEOPLE])
    first = [backend.execute(sql).rows for _ in range(2)]
    backend.load([PEOPLE])
    again = [backend.execute(sql).rows]
    snapshot = backend.snapshot()
    again.append(backend.execute(sql).rows)
    backend.restore(snapshot)

    assert first == again
    assert first[1] == backend.execute(sql).rows
    assert first[0] != first[1]
    assert datetime.datetime(2026, 1, 1, 12, 0) == first[0][0][2] == first[0][0][3]


def test_snapshot_and_restore(server: Make) -> None:
    """A restored backend has the data, types, keys and views of then, also in another backend."""
    backend, other = server(), server()
    backend.load([PEOPLE])
    for sql in (
        "CREATE TABLE typed (id INT AUTO_INCREMENT PRIMARY KEY, d DATE, n DECIMAL(6,2), b BLOB, t TIME)",
        "INSERT INTO typed (d, n, b, t) VALUES ('2020-01-02', 1.50, x'00ff27', '10:00:00'), (NULL, NULL, NULL, NULL)",
        "CREATE VIEW v AS SELECT name FROM people",
    ):
        assert backend.execute(sql).error is None
    snapshot, wanted = backend.snapshot(), backend.execute("SELECT * FROM typed").rows
    backend.execute("DROP TABLE people")
    other.load([])
    for each in (backend, other):
        each.restore(snapshot)
        assert wanted == each.execute("SELECT * FROM typed").rows
        assert (("Ann",), ("Cy",), ("O'Neil\\",)) == each.execute("SELECT * FROM v ORDER BY name").rows
        each.execute("INSERT INTO typed (n) VALUES (2)")
        assert ((3,),) == each.execute("SELECT MAX(id) FROM typed").rows


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda backend: pickle.loads(pickle.dumps(backend))])
def test_copies_hold_the_data_and_part_ways(server: Make, duplicate: Callable[[ServerBackend], ServerBackend]) -> None:
    """A copy begins with the same data in a database of its own."""
    backend = server()
    backend.load([TOWNS])
    backend.execute("INSERT INTO towns VALUES ('Bern')")
    other = duplicate(backend)
    other.execute("DELETE FROM towns")

    assert ([("Oslo",), ("Bern",)], []) == (
        backend.table_rows("towns", ("town",)),
        other.table_rows("towns", ("town",)),
    )
    other.close()


def test_bad_tables_and_closed_backends_are_named(server: Make) -> None:
    """Tables that no server can hold, use before a load and after close are the caller's mistakes."""
    backend = server()
    with pytest.raises(CmatError, match="call load"):
        backend.execute("SELECT 1")
    with pytest.raises(ConfigError, match="cannot be made"):
        backend.load([Table("t", ("x", "X"))])
    backend.load([TOWNS])
    backend.close()
    backend.close()
    with pytest.raises(CmatError, match="closed"):
        backend.execute("SELECT 1")


def test_settings_name_backends() -> None:
    """A misspelt name, a URL that is none, and a server that should speak SQLite are refused before an episode."""
    with pytest.raises(UnknownNameError, match="did you mean 'mariadb'"):
        make_task("cmat/DB-v0", backend="maria")
    with pytest.raises(ConfigError, match="begins with 'postgres'"):
        make_task("cmat/DB-v0", backend="postgres://me@host/")
    with pytest.raises(ConfigError, match="a server speaks MySQL"):
        make_task("cmat/DB-v0", backend="mariadb", dialect="sqlite")
    with pytest.raises(ConfigError, match="names no user"):
        make_task("cmat/DB-v0", backend="mysql://host:3306/")


def test_an_address_hides_its_password() -> None:
    """A URL is read with its escapes and options, and no message shows the password."""
    address = Address.of("mysql://me:p%40ss@db.example:3307/?ssl_ca=/ca.pem")

    assert ("me", "p@ss", "db.example", 3307, "/ca.pem") == (
        *(address.user, address.password, address.host, address.port),
        address.ssl_ca,
    )
    assert "p@ss" not in f"{address} {address!r}"


def test_without_pymysql_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library the error says which extra to install."""
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(MissingExtraError, match=r"cmat-env\[sql\]"):
        ServerBackend().load([TOWNS])


def test_many_episodes_at_once(server: Make) -> None:
    """Sixteen threads of episodes: each sees its own database, and only that."""
    failures: list[str] = []

    def play(number: int) -> None:
        backend = server()
        for turn in range(3):
            backend.load([Table("t", ("x",), ((f"{number}-{turn}",),))])
            backend.execute(f"INSERT INTO t VALUES ('new {number}')")
            rows = backend.table_rows("t", ("x",))
            shown = backend.execute("SHOW DATABASES").rows
            if [(f"{number}-{turn}",), (f"new {number}",)] != rows or len(shown) != 2:
                failures.append(f"{number}: {rows} {shown}")

    threads = [threading.Thread(target=play, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures


def test_databases_and_accounts_are_used_again(server: Make) -> None:
    """A closed backend's database goes to the next one, empty."""
    first = server()
    first.load([PEOPLE])
    name = lease_of(first)[1].database
    first.close()
    second = server()
    second.load([])

    assert name == lease_of(second)[1].database
    assert () == second.execute("SHOW TABLES").rows


def test_the_task_keeps_its_contract_on_a_server(mariadb: ServerBackend) -> None:
    """`check_task`, with forks and replays, holds on MariaDB too."""
    check_task(lambda: make_task("cmat/DB-v0", backend="mariadb"))


def test_gold_solves_the_sixty_tasks_on_mariadb(mariadb: ServerBackend, agentbench: Path) -> None:
    """Gold SQL and labels pass on a real server: 60 of 60, the one with an unnamed column by its label."""
    tasks = load_tasks(agentbench / "db" / "dev.jsonl")
    env = DBEnv(tasks, backend="mariadb")
    won = []
    for task in tasks:
        _, info = env.reset(options={"task": task.id})
        for action in env.solution():
            _, _, _, _, info = env.step(action)
        won.append(info["success"])
    env.close()

    assert 60 == sum(won)


def test_a_server_that_dies_drops_the_episode_and_the_next_one_works() -> None:
    """SIGKILL in mid-episode: that episode is dropped and counted, and a new server plays the others."""
    kills: list[int] = []

    def kill_once(index: int, _: object) -> None:
        if index == 1 and not kills:
            server_pid = shared._hosts["mariadb"][0].server_pid
            assert server_pid is not None
            kills.append(server_pid)
            os.kill(server_pid, signal.SIGKILL)
            while Path(f"/proc/{server_pid}/cmdline").exists() and Path(f"/proc/{server_pid}/cmdline").read_bytes():
                time.sleep(0.01)

    backends_before = dict(shared._hosts)
    shared._hosts.clear()  # this test kills its own server, not that of the others
    try:
        rollout = Rollout(
            lambda: make("cmat/DB-v0", roles=("assistant",), backend="mariadb", families=("insert",)),
            {"assistant": GoldPolicy()},
            width=1,
        )
        result = rollout.run([Episode(seed) for seed in range(4)], on_step=kill_once)
        rollout.close()
        assert not shared._hosts
    finally:
        shared._hosts.update(backends_before)

    assert 1 == len(kills)
    assert [1] == [dropped.episode.seed for dropped in result.dropped]
    assert result.dropped[0].error.startswith("ServerLostError: ")
    assert [True, None, True, True] == [each and each.success for each in result.trajectories]


def test_a_lost_connection_is_made_anew_by_the_next_load(server: Make) -> None:
    """A connection that the server ends costs its episode only; the server goes on."""
    backend = server()
    backend.load([TOWNS])
    host, lease = lease_of(backend)
    host.ask(f"KILL {lease.number}")
    with pytest.raises(ServerLostError, match="failed"):
        backend.execute("SELECT 1")
    backend.load([TOWNS])

    assert ((1,),) == backend.execute("SELECT 1").rows
    assert not host.lost


def test_a_connection_lost_between_episodes_harms_none(server: Make) -> None:
    """What breaks while nothing runs is mended by the next load without a word."""
    backend = server()
    backend.load([TOWNS])
    host, lease = lease_of(backend)
    host.ask(f"KILL {lease.number}")
    backend.load([PEOPLE])

    assert ((3,),) == backend.execute("SELECT COUNT(*) FROM people").rows


@pytest.mark.parametrize("how", ["close", "exit", "sigkill"])
def test_nothing_is_left_when_we_go(mariadb: ServerBackend, how: str) -> None:
    """The server stops and its folder goes: after close, at the end of the process, and after a SIGKILL of ours."""
    script = (
        "import sys, time\n"
        "from cmat_env.envs.database.server.backend import ServerBackend\n"
        "backend = ServerBackend(); backend.load([])\n"
        "print(backend._host.server_pid, backend._host._private.folder, flush=True)\n"
        "sys.stdin.readline()\n"
        + ("backend.close(); print('closed', flush=True); time.sleep(60)" if how == "close" else "")
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    pid, folder = process.stdout.readline().split()
    if how == "sigkill":
        process.kill()
    else:
        process.stdin.write("\n")
        process.stdin.flush()
    if how == "close":
        assert "closed\n" == process.stdout.readline()
        process.kill()
    end = time.monotonic() + 20
    while time.monotonic() < end and (Path(folder).exists() or Path(f"/proc/{pid}").exists()):
        time.sleep(0.02)
    process.wait()

    assert (False, False) == (Path(folder).exists(), Path(f"/proc/{pid}").exists())


def test_a_process_that_was_forked_does_not_keep_the_server(mariadb: ServerBackend) -> None:
    """It holds our end of the pipe to the server's keeper; who closes does not wait for it."""
    private = PrivateServer()
    served_by, child = private.pid, os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    try:
        started = time.monotonic()
        private.stop()

        assert time.monotonic() - started < 15
        assert (False, False) == (private.folder.exists(), Path(f"/proc/{served_by}").exists())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_given_server_is_left_as_it_was(mariadb: ServerBackend) -> None:
    """Through a URL only our own databases and accounts are made, and they are removed."""
    host, _ = lease_of(mariadb)
    place = f"mysql://root:{host.address.password}@localhost/?unix_socket={host.address.unix_socket}"

    def names() -> list[object]:
        return [host.ask("SHOW DATABASES"), host.ask("SELECT user, host FROM mysql.user ORDER BY 1, 2")]

    before = names()
    backend = ServerBackend(place)
    backend.load([PEOPLE])
    inside = names()
    assert ((3,),) == backend.execute("SELECT COUNT(*) FROM people").rows
    backend.close()

    assert before == names()
    assert before != inside


def test_a_refused_login_is_the_user_s_mistake(mariadb: ServerBackend) -> None:
    """A wrong password is told at once, with the account but without the password."""
    host, _ = lease_of(mariadb)
    with pytest.raises(ConfigError, match="refuses the login") as error:
        connect(Address("root", "wr0ng", unix_socket=host.address.unix_socket))

    assert "wr0ng" not in str(error.value)
