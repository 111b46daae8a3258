"""Which backend a setting names."""

from __future__ import annotations

from cmat_env.envs.database.backend import Backend
from cmat_env.envs.database.sqlite import DialectName, SQLiteBackend
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

_NAMES = ("mariadb", "sqlite")


def open_backend(chosen: Backend | str | None, dialect: DialectName | None, *, usual: DialectName) -> Backend:
    """The backend of a setting, with the dialect that it speaks.

    Args:
        chosen: "sqlite" or None = embedded; "mariadb" = a private server of this process; a URL = that server; or a
            backend.
        dialect: what was asked for, if anything.
        usual: the dialect of an embedded database where none is asked for.

    Raises:
        UnknownNameError: there is no such backend.
        ConfigError: the URL is none, or a server is asked to speak SQLite's dialect.
    """
    if chosen is None or chosen == "sqlite":
        return SQLiteBackend(dialect or usual)
    if not isinstance(chosen, str):
        return chosen
    if chosen != "mariadb" and "://" not in chosen:
        known = did_you_mean(chosen, _NAMES)
        raise UnknownNameError(f"backend {chosen!r} is unknown; {known} A URL such as mysql://root@HOST/ works too")
    if dialect == "sqlite":
        raise ConfigError("a server speaks MySQL; leave out dialect='sqlite', or use backend='sqlite'")
    from cmat_env.envs.database.server.address import Address  # noqa: PLC0415 - only servers need it
    from cmat_env.envs.database.server.backend import ServerBackend  # noqa: PLC0415

    if chosen != "mariadb":
        Address.of(chosen)  # so that a mistake is told before the first episode
    return ServerBackend(chosen)
