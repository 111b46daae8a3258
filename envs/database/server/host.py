"""The server that all backends of this process share, and the databases and accounts that it lends them.

A lease is one database and one account with rights on that database only, with an open connection. It goes back into a
pool when its backend is closed, since connecting and making accounts cost more than an episode.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cmat_env.envs.database.server.address import Address
from cmat_env.envs.database.server.deadline import Watch
from cmat_env.envs.database.server.link import ServerLostError, connect, is_lost, pymysql
from cmat_env.envs.database.server.process import COLLATION, PrivateServer

if TYPE_CHECKING:
    from pymysql.connections import Connection

PRIVATE = "mariadb"
_LOCK_SECONDS = 5
_RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE VIEW, SHOW VIEW, EXECUTE"


@dataclass(slots=True)
class Lease:
    """A database, the account that owns it, and a connection of that account.

    Attributes:
        database: its name, which is the account's too.
        address: how the account logs in.
        connection: an open one.
    """

    database: str
    address: Address
    connection: Connection[Any]

    @property
    def number(self) -> int:
        """Of the connection, at the server."""
        return int(self.connection.thread_id())


class Host:
    """One server, as this process uses it.

    Args:
        place: "mariadb" = start a private server; otherwise a URL.

    Attributes:
        lost: the server went away; a new `Host` must take its place.

    Raises:
        ConfigError: the URL is none, or a private server cannot be started.
        MissingExtraError: PyMySQL is not installed.
        ServerLostError: the server does not answer.
    """

    def __init__(self, place: str) -> None:
        pymysql()
        self.pid = os.getpid()
        self.lost = False
        self._private = PrivateServer() if place == PRIVATE else None
        self.address = self._private.address if self._private else Address.of(place)
        self._lock, self._kill_lock = threading.RLock(), threading.Lock()
        self._free: list[Lease] = []
        self._made: list[Lease] = []
        self._token = secrets.token_hex(4)
        try:
            self._admin = connect(self.address)
            self.ask(f"SET lock_wait_timeout = {_LOCK_SECONDS}")
            self._killer = connect(self.address)
        except BaseException:
            if self._private:
                self._private.stop()
            raise
        self.watch = Watch(self._kill)

    @property
    def server_pid(self) -> int | None:
        """The process of a private server."""
        return self._private.pid if self._private else None

    @cached_property
    def is_mariadb(self) -> bool:
        """MariaDB, or else MySQL."""
        return "mariadb" in self._version.lower()

    @cached_property
    def _version(self) -> str:
        return str(self.ask("SELECT VERSION()")[0][0])

    @cached_property
    def collation(self) -> str:
        """What texts are compared by: as MySQL 8 does, or as near to it as the server can."""
        known = {str(row[0]) for row in self.ask("SHOW COLLATION LIKE 'utf8mb4%'")}
        known |= {str(row[0]) for row in self.ask("SHOW COLLATION LIKE 'uca1400%'")}
        for name in ("utf8mb4_0900_ai_ci", COLLATION, "uca1400_nopad_ai_ci", "utf8mb4_unicode_520_nopad_ci"):
            if name in known and (self.is_mariadb is not name.endswith("0900_ai_ci")):
                return COLLATION if name.startswith("uca1400") else name
        return "utf8mb4_unicode_ci"

    def ask(self, *statements: str) -> Sequence[tuple[Any, ...]]:
        """Run statements as the administrator; the rows of the last one.

        Raises:
            ServerLostError: the connection failed.
        """
        with self._lock:
            try:
                with self._admin.cursor() as cursor:
                    for sql in statements:
                        cursor.execute(sql)
                    rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
                    return rows
            except Exception as error:
                if is_lost(error):
                    self.lost = True
                    raise ServerLostError(f"the database server {self.address} went away: {error}") from error
                raise

    def check(self) -> None:
        """Note whether the server still answers."""
        with self._lock:
            try:
                self._admin.ping(reconnect=False)
            except Exception as error:
                if not is_lost(error):
                    raise
                self.lost = True

    def lease(self, *, read_seconds: float) -> Lease:
        """A database and an account that nobody else uses; what is in it is not said.

        Args:
            read_seconds: how long the connection waits for an answer.
        """
        with self._lock:
            lease = self._free.pop() if self._free else self._make()
        lease.connection._read_timeout = read_seconds
        return lease

    def give_back(self, lease: Lease, *, broken: bool = False) -> None:
        """Let others have it; a broken one is taken away."""
        with self._lock:
            if self.lost or not broken:
                self._free.append(lease)
                return
            self._made.remove(lease)
            _close(lease.connection)
            for sql in (f"KILL {lease.number}", *_farewell(lease, self._origin)):
                with contextlib.suppress(pymysql().MySQLError):  # it may be gone, or hold its tables a while longer
                    self.ask(sql)

    @property
    def _origin(self) -> str:
        return "localhost" if self.address.is_local else "%"

    def _make(self) -> Lease:
        # No underscore in the name: it would be a wildcard where rights are given.
        name, password = f"cmat{self._token}x{len(self._made)}x{secrets.token_hex(2)}", secrets.token_hex(16)
        account = f"'{name}'@'{self._origin}'"
        self.ask(f"CREATE USER {account} IDENTIFIED BY '{password}'", f"GRANT {_RIGHTS} ON `{name}`.* TO {account}")
        there = self.address
        address = Address(name, password, there.host, there.port, there.unix_socket, there.ssl_ca)
        lease = Lease(name, address, connect(address))
        self._made.append(lease)
        return lease

    def stop(self, lease: Lease) -> None:
        """Stop the statement that runs on this lease."""
        self._kill(lease.number)

    def size_of(self, lease: Lease) -> int:
        """How many bytes a database takes; by its files where the server is ours, else as the server estimates."""
        if self._private:
            return self._private.size_of(lease.database)
        rows = self.ask(
            "SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables "
            f"WHERE table_schema = '{lease.database}'"
        )
        return int(rows[0][0])

    def _kill(self, connection: int) -> None:
        library = pymysql()
        try:
            with self._kill_lock, self._killer.cursor() as cursor:
                cursor.execute(f"KILL QUERY {connection}")
        except (library.MySQLError, OSError):  # it is gone, or all is: the statement's own connection will tell
            return

    def close(self) -> None:
        """Remove the databases and accounts, and stop a private server; twice is fine."""
        if os.getpid() != self.pid:  # a forked copy; the server is its parent's
            return
        self.watch.close()
        with self._lock:
            if self._private is None and not self.lost:
                self._clear()
            for lease in self._made:
                _close(lease.connection)
            self._made, self._free = [], []
            _close(self._admin)
            _close(self._killer)
            if self._private:
                self._private.stop()

    def _clear(self) -> None:
        """Leave a server that is not ours as it was."""
        try:
            for lease in self._made:
                self.ask(*_farewell(lease, self._origin))
        except ServerLostError:
            return


def _farewell(lease: Lease, origin: str) -> tuple[str, str]:
    return (f"DROP DATABASE IF EXISTS `{lease.database}`", f"DROP USER IF EXISTS '{lease.database}'@'{origin}'")


def _close(connection: Connection[Any]) -> None:
    """Without a word to the server: it may be gone."""
    connection._force_close()


class _Shared:
    """The hosts of this process, by place, with how many backends use each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: dict[str, tuple[Host, int]] = {}
        self._at_exit = False

    def acquire(self, place: str) -> Host:
        """The host of a place; a lost one, or that of a parent process, is replaced."""
        with self._lock:
            host, users = self._hosts.get(place, (None, 0))
            if host is None or host.lost or host.pid != os.getpid():
                if host is not None:
                    host.close()
                host, users = Host(place), 0
                if not self._at_exit:
                    atexit.register(self.close)
                    self._at_exit = True
            self._hosts[place] = (host, users + 1)
            return host

    def release(self, place: str, host: Host) -> None:
        """One user less; the last one closes it."""
        with self._lock:
            current, users = self._hosts.get(place, (None, 0))
            if current is not host:  # it was lost, and is closed already
                return
            if users > 1:
                self._hosts[place] = (host, users - 1)
                return
            del self._hosts[place]
            host.close()

    def close(self) -> None:
        """Close all of them, at the end of the process."""
        with self._lock:
            for host, _ in self._hosts.values():
                host.close()
            self._hosts.clear()


shared = _Shared()
