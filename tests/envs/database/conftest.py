"""Fixtures of the database tests: a private MariaDB server for all of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from cmat_env.envs.database.backend import Limits
from cmat_env.envs.database.server.backend import ServerBackend


@pytest.fixture(scope="session")
def mariadb() -> Iterator[ServerBackend]:
    """A backend that keeps the private server running; without MariaDB tests are skipped, or fail under CI=true."""
    missing = "PyMySQL or mariadbd is not installed: pip install 'cmat-env[sql]'; apt-get install mariadb-server"
    try:
        import pymysql  # noqa: F401, PLC0415
    except ImportError:
        found = False
    else:
        found = bool(shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/libexec"))
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    backend = ServerBackend()
    backend.load([])
    yield backend
    backend.close()


@pytest.fixture
def server(mariadb: ServerBackend) -> Iterator[Callable[..., ServerBackend]]:
    """Makes backends on the running server, and closes them."""
    made: list[ServerBackend] = []

    def make(**limits: float) -> ServerBackend:
        wide = {"seconds": 60.0, **limits}  # on a busy machine only tests of the deadline itself may meet it
        made.append(ServerBackend(limits=Limits(**wide)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for backend in made:
        backend.close()
