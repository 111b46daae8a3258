"""Where a database server is and how to log in, from a URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from cmat_env.errors import ConfigError

SCHEMES = ("mariadb", "mysql")
_WANTED = "wanted mariadb://USER:PASSWORD@HOST:PORT/ (also ?unix_socket=PATH or ?ssl_ca=PATH)"
_OPTIONS = ("unix_socket", "ssl_ca")


@dataclass(frozen=True, slots=True)
class Address:
    """A server and the account that administers it.

    Attributes:
        user, password: of the administrator, who may create databases and users.
        host, port: of TCP; not used with a socket.
        unix_socket: path of the server's socket, or None.
        ssl_ca: path of the certificate authority to check the server by, or None.
    """

    user: str
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 3306
    unix_socket: str | None = None
    ssl_ca: str | None = None

    @classmethod
    def of(cls, url: str) -> Address:
        """Read a URL.

        Raises:
            ConfigError: it is no URL of a database server. The message does not repeat the password.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"backend: the URL cannot be read ({error}); {_WANTED}") from None
        if parts.scheme not in SCHEMES:
            raise ConfigError(f"backend: the URL begins with {parts.scheme!r}; {_WANTED}")
        if not parts.username:
            raise ConfigError(f"backend: the URL names no user; {_WANTED}")
        options = parse_qs(parts.query, keep_blank_values=True)
        for name in options:
            if name not in _OPTIONS:
                raise ConfigError(f"backend: the URL has an unknown option {name!r}; {_WANTED}")
        return cls(
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
            host=host or "127.0.0.1",
            port=port or 3306,
            unix_socket=options.get("unix_socket", [None])[0],
            ssl_ca=options.get("ssl_ca", [None])[0],
        )

    @property
    def is_local(self) -> bool:
        """Does the server see its clients as coming from its own machine, through a socket?"""
        return self.unix_socket is not None

    def __str__(self) -> str:
        """For messages: without the password."""
        return f"{self.user}@{self.unix_socket or f'{self.host}:{self.port}'}"
