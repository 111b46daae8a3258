"""Connections to a server by PyMySQL, and what its errors mean."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cmat_env.envs.database.server.address import Address
from cmat_env.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from pymysql.connections import Connection

_RESET_CONNECTION = 0x1F
_CONNECT_SECONDS = 10
_LOGIN_REFUSED = (1044, 1045, 1698)

_STATES = {1114: "HY000", 1153: "08S01", 1227: "42000", 1317: "70100"}
"""The SQLSTATE of the errors that are ours."""


class ServerLostError(ConnectionError):
    """The database server went away: no mistake of a user or a model, so that the episode is dropped and counted."""


def pymysql() -> Any:
    """The library, once it is needed.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pymysql as library  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError.of("PyMySQL", "sql") from None
    return library


def connect(address: Address, *, database: str | None = None, read_seconds: float | None = None) -> Connection[Any]:
    """Open a connection in autocommit mode.

    Args:
        address: whom to log in as, and where.
        database: the one to be in, or None.
        read_seconds: how long to wait for an answer; None = for ever.

    Raises:
        ConfigError: the login is refused.
        ServerLostError: nobody answers.
    """
    library = pymysql()
    place: dict[str, Any] = {"host": address.host, "port": address.port}
    if address.unix_socket is not None:
        place = {"unix_socket": address.unix_socket, "ssl_disabled": True}
    elif address.ssl_ca is not None:
        place["ssl_ca"] = address.ssl_ca
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened: Connection[Any] = library.connect(
                **place,
                user=address.user,
                password=address.password,
                database=database,
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=read_seconds,
                local_infile=False,
            )
    except (library.MySQLError, OSError) as error:
        if error.args and error.args[0] in _LOGIN_REFUSED:
            raise ConfigError(f"the database server {address} refuses the login: {error.args[-1]}") from None
        raise ServerLostError(f"no connection to the database server {address}: {error}") from error
    return opened


def reset(connection: Connection[Any]) -> None:
    """Make a connection as good as new: session variables, user variables, temporary tables and locks are gone."""
    connection._execute_command(_RESET_CONNECTION, "")
    connection._read_ok_packet()


def is_lost(error: Exception) -> bool:
    """Does this error of PyMySQL mean that the connection, not the statement, failed?"""
    library = pymysql()
    if isinstance(error, library.InterfaceError | OSError):
        return True
    code = error.args[0] if error.args else None
    lost_codes = (1053, 1927, 2003, 2006, 2013, 2014, 2027, 2055)
    return isinstance(error, library.MySQLError) and (code in lost_codes or not isinstance(code, int))


def told(code: int, message: str, state: str | None = None) -> str:
    """An error as MySQL's own client library words it."""
    return f"{code} ({state or _STATES.get(code, 'HY000')}): {message}"
