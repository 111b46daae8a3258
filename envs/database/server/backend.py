"""The backend on a real server: MariaDB or MySQL."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from cmat_env.envs.database.backend import Limits, Result, Row, Table
from cmat_env.envs.database.images import quote
from cmat_env.envs.database.replayable import NOW, Numbers
from cmat_env.envs.database.server.dump import dump, named, pack, script_of, unpack
from cmat_env.envs.database.server.fetch import fetch
from cmat_env.envs.database.server.host import PRIVATE, Host, Lease, shared
from cmat_env.envs.database.server.link import ServerLostError, is_lost, pymysql, reset, told
from cmat_env.envs.database.server.refuse import first_word, refusal, writes
from cmat_env.errors import CmatError, ConfigError

T = TypeVar("T")

_TRANSACTION = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_SHRINKS = frozenset({"DELETE", "DROP", "TRUNCATE"})
_GRACE_SECONDS = 8.0
_FULL = "The database is full"


class ServerBackend:
    """A database of one episode on a server.

    Args:
        place: "mariadb" = a private server, started when it is first needed, shared by all backends of this process
            and stopped with the last of them; or a URL such as "mysql://root:secret@127.0.0.1:3306/", whose user may
            create databases and accounts.
        limits: of every statement.

    Each backend has a database and an account of its own, with rights on that database only. It can be pickled and
    deep-copied; the copy has its own database on the same server, or on a private one of its own process.

    A server that dies raises `ServerLostError` (a `ConnectionError`) from whatever was going on; the next `load` finds
    the server again, or starts another private one.
    """

    dialect: Literal["mysql"] = "mysql"

    def __init__(self, place: str = PRIVATE, *, limits: Limits | None = None) -> None:
        self.place = place
        self.limits = limits or Limits()
        self._closed = False
        self._host: Host | None = None
        self._lease: Lease | None = None
        self._freeing: weakref.finalize[..., ServerBackend] | None = None
        self._stored: list[str] | None = None  # what the database holds, as long as nothing has changed it
        self._drawn = 0
        self._full = False

    def load(self, tables: Sequence[Table]) -> None:
        """Make the database exactly these tables, whatever was there.

        Raises:
            ConfigError: the tables cannot stand in one database, or there is no server to put them on.
            MissingExtraError: PyMySQL is not installed.
            ServerLostError: the server went away.
        """
        self._check_open()
        pymysql()
        had_lease = self._lease is not None
        try:
            self._load(tables)
        except ServerLostError:
            if not had_lease:
                raise
            self._load(tables)  # it was lost since the last episode; this one is not harmed yet

    def _load(self, tables: Sequence[Table]) -> None:
        connection = self._leased().connection
        try:
            script = script_of(tables, connection)
            self._become(script, 0)
        except pymysql().MySQLError as error:
            names = [table.name for table in tables]
            raise ConfigError(f"tables {names} cannot be made on the server: {error}") from error

    def execute(self, sql: str) -> Result:
        """Run one statement of an agent; errors, limits and the deadline are part of the result.

        Raises:
            ServerLostError: the server went away.
        """
        self._check_open()
        if not sql.isascii():
            sql = sql.encode("utf-8", "replace").decode()
        if len(sql.encode()) > self.limits.sql_bytes:
            return Result(error=told(1153, "Got a packet bigger than 'max_allowed_packet' bytes"), error_code=1153)
        word = first_word(sql)
        if word in _TRANSACTION:  # every statement commits by itself, as with upstream's backend
            return Result()
        refused = refusal(sql)
        if refused is not None:
            return refused
        if self._full and writes(sql) and word not in _SHRINKS:
            return Result(error=told(1114, _FULL), error_code=1114)
        return self._guarded(lambda lease: self._run(sql, lease))

    def _run(self, sql: str, lease: Lease) -> Result:
        if "rand" in sql.lower():
            self._drawn += 1
            self._say(lease, f"SET rand_seed1 = {_seed(2 * self._drawn)}, rand_seed2 = {_seed(2 * self._drawn + 1)}")
        changes = writes(sql)
        if changes:
            self._stored = None
        number = lease.number
        with self._leased_host().watch.over(number, self.limits.seconds) as ticket:
            result = fetch(sql, lease.connection, self.limits, stop=lambda: self._leased_host().stop(lease))
        if ticket.fired and not result.truncated:  # else it fell while the rest was thrown away
            return Result(error=told(1317, "Query execution was interrupted"), error_code=1317, timed_out=True)
        if changes and result.error is None:
            self._full = self._leased_host().size_of(lease) > self.limits.database_bytes
        return result

    def table_rows(self, table: str, columns: Sequence[str]) -> list[Row] | None:
        """Read a table for grading; None: the table or a column is gone, or a view stands in its place."""
        self._check_open()

        def read(lease: Lease) -> list[Row] | None:
            place = f"{quote(lease.database)}.{quote(table)}"
            wanted = ", ".join(map(quote, named(columns))) or "NULL"
            try:
                kind = self._say(
                    lease,
                    "SELECT table_type FROM information_schema.tables WHERE table_schema = "
                    f"'{lease.database}' AND BINARY table_name = {lease.connection.escape(table)}",
                )
                if [str(row[0]) for row in kind] != ["BASE TABLE"]:
                    return None
                return list(self._say(lease, f"SELECT {wanted} FROM {place}"))
            except pymysql().MySQLError as error:
                if is_lost(error):
                    raise
                return None

        return self._guarded(read)

    def snapshot(self) -> bytes:
        """Everything needed to come back to this state, but for user variables."""
        self._check_open()

        def take(lease: Lease) -> bytes:
            if self._stored is None:
                lease.connection.select_db(lease.database)
                with lease.connection.cursor() as cursor:
                    self._stored = dump(cursor, lease.connection, lease.database)
            return pack(self._stored, self._drawn)

        return self._guarded(take)

    def restore(self, snapshot: bytes) -> None:
        """Come back to the state of a snapshot, also one of another backend of this kind."""
        self._check_open()
        script, drawn = unpack(snapshot)
        self._leased()
        self._become(script, drawn)

    def close(self) -> None:
        """Give the database back, and let the server go if nobody else uses it; twice is fine."""
        self._closed = True
        self._drop_lease()

    def _become(self, script: list[str], drawn: int) -> None:
        """Make the database what these statements make of an empty one, and the session a new one."""

        def build(lease: Lease) -> None:
            reset(lease.connection)
            self._say(lease, self._session())
            if self._stored != script:
                self._stored = None
                name = quote(lease.database)
                collation = self._leased_host().collation
                self._say(lease, f"DROP DATABASE IF EXISTS {name}")
                self._say(lease, f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE {collation}")
                lease.connection.select_db(lease.database)
                for sql in script:
                    self._say(lease, sql)
                self._stored = script
            else:
                lease.connection.select_db(lease.database)
            self._say(lease, "SET foreign_key_checks = 1")
            self._drawn, self._full = drawn, False

        self._guarded(build)

    def _session(self) -> str:
        """What every session begins with; an agent cannot SET anything."""
        host = self._leased_host()
        only_mariadb = ""
        if host.is_mariadb:  # a second line behind the client's deadline
            only_mariadb = f", max_statement_time = {self.limits.seconds + _GRACE_SECONDS / 2}"
        return (
            f"SET NAMES utf8mb4 COLLATE {host.collation}, sql_mode = 'ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION', "
            f"time_zone = '+00:00', timestamp = UNIX_TIMESTAMP('{NOW:%Y-%m-%d %H:%M:%S}'), autocommit = 1, "
            f"foreign_key_checks = 0, group_concat_max_len = 1024, lock_wait_timeout = 5{only_mariadb}"
        )

    def _say(self, lease: Lease, sql: str) -> Sequence[Row]:
        """Run a statement of ours."""
        with lease.connection.cursor() as cursor:
            cursor.execute(sql)
            rows: Sequence[Row] = cursor.fetchall()
            return rows

    def _leased_host(self) -> Host:
        assert self._host is not None
        return self._host

    def _leased(self) -> Lease:
        """The database of this backend; it is taken when it is first needed, and in each process anew."""
        if self._lease is not None and self._host is not None and self._host.pid == os.getpid() and not self._host.lost:
            return self._lease
        self._drop_lease()
        host = shared.acquire(self.place)
        try:
            lease = host.lease(read_seconds=self.limits.seconds + _GRACE_SECONDS)
        except BaseException:
            shared.release(self.place, host)
            raise
        self._host, self._lease = host, lease
        self._freeing = weakref.finalize(self, _free, self.place, host, lease)
        return lease

    def _drop_lease(self) -> None:
        self._host = self._lease = self._stored = None
        if self._freeing is not None:
            self._freeing()
            self._freeing = None

    def _guarded(self, work: Callable[[Lease], T]) -> T:
        """Do something with the database; a failure of the connection becomes `ServerLostError`."""
        if self._lease is None or self._host is None:
            raise CmatError("this database backend holds no tables yet; call load() first")
        host, lease = self._host, self._lease
        try:
            return work(lease)
        except (pymysql().MySQLError, OSError) as error:
            if isinstance(error, ServerLostError) or not is_lost(error):
                raise
            lease.connection._force_close()
            host.check()
            self._drop_lease()
            raise ServerLostError(f"the connection to the database server {host.address} failed: {error}") from error

    def _check_open(self) -> None:
        if self._closed:
            raise CmatError("this database backend is closed; make a new one")

    def __getstate__(self) -> dict[str, Any]:
        holds = not self._closed and self._lease is not None
        return {
            "place": self.place,
            "limits": self.limits,
            "closed": self._closed,
            "content": self.snapshot() if holds else None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["place"], limits=state["limits"])  # type: ignore[misc]
        self._closed = state["closed"]
        if state["content"] is not None:
            self.restore(state["content"])


def _seed(number: int) -> int:
    """A seed of RAND(), the same in every replay."""
    numbers = Numbers()
    numbers.drawn = number
    return numbers.bits() & 0x3FFF_FFFF


def _free(place: str, host: Host, lease: Lease) -> None:
    """Give a lease back, of a backend that was closed or forgotten."""
    if host.pid != os.getpid():
        return
    with contextlib.suppress(ServerLostError):
        host.give_back(lease, broken=not lease.connection.open)
    shared.release(place, host)
