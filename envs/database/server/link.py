"""Connections to a server by PyMySQL, and what its errors mean."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cmat_env.envs.database.server.address import Address
from cmat_env.errors import MissingExtraError

if TYPE_CHECKING:
    from pymysql.connections import Connection

_RESET_CONNECTION = 0x1F
_CONNECT_SECONDS = 10

_STATES = {
    1040: "08004",
    1044: "42000",
    1045: "28000",
    1046: "3D000",
    1048: "23000",
    1049: "42000",
    1050: "42S01",
    1051: "42S02",
    1052: "23000",
    1054: "42S22",
    1055: "42000",
    1056: "42000",
    1059: "42000",
    1060: "42S21",
    1061: "42000",
    1062: "23000",
    1064: "42000",
    1065: "42000",
    1066: "42000",
    1068: "42000",
    1072: "42000",
    1091: "42000",
    1101: "42000",
    1110: "42000",
    1111: "HY000",
    1115: "42000",
    1136: "21S01",
    1140: "42000",
    1142: "42000",
    1143: "42000",
    1146: "42S02",
    1166: "42000",
    1170: "42000",
    1222: "21000",
    1227: "42000",
    1241: "21000",
    1242: "21000",
    1247: "42S22",
    1248: "42000",
    1264: "22003",
    1292: "22007",
    1305: "42000",
    1317: "70100",
    1318: "42000",
    1365: "22012",
    1406: "22001",
    1451: "23000",
    1452: "23000",
    1582: "42000",
    1583: "42000",
    1969: "70100",
}
"""The SQLSTATE that belongs to an error number; PyMySQL reads past it."""


class ServerLost(ConnectionError):
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
        ServerLost: nobody answers, or the login is refused.
    """
    library = pymysql()
    place: dict[str, Any] = {"host": address.host, "port": address.port}
    if address.unix_socket is not None:
        place = {"unix_socket": address.unix_socket}
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
                ssl_ca=address.ssl_ca,
            )
    except (library.MySQLError, OSError) as error:
        raise ServerLost(f"no connection to the database server {address}: {error}") from error
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


def told(code: int, message: str) -> str:
    """An error as MySQL's own client library words it."""
    return f"{code} ({_STATES.get(code, 'HY000')}): {message}"
