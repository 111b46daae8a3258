"""MySQL's functions by name, and how they are made known to a connection.

Each group of functions is a module with a table `FUNCTIONS: dict[name, Function]`. A function of name N is known to
SQLite as `my_n`; the translation writes these names, and refuses all that are in no table.
"""

from __future__ import annotations

import sqlite3
from uuid import UUID

from cmat_env.envs.database.mysql.functions import (
    aggregates,
    bits,
    dates,
    documents,
    mariadb,
    numbers,
    patterns,
    strings,
    system,
    times,
)
from cmat_env.envs.database.mysql.functions.registry import Function
from cmat_env.envs.database.replayable import Numbers

FUNCTIONS: dict[str, Function] = {
    **strings.FUNCTIONS,
    **numbers.FUNCTIONS,
    **dates.FUNCTIONS,
    **times.FUNCTIONS,
    **bits.FUNCTIONS,
    **documents.Documents("mysql").functions(),
    **patterns.FUNCTIONS,
    **system.FUNCTIONS,
}
"""Scalar functions by their MySQL names, in capitals."""


def install(
    connection: sqlite3.Connection, random: Numbers, budget: aggregates.Budget, *, server: documents.ServerName
) -> None:
    """Make every function, operator and aggregate of a server known to a connection."""
    written = documents.Documents(server)
    own = mariadb.FUNCTIONS if server == "mariadb" else {}
    for name, function in {**FUNCTIONS, **written.functions(), **own}.items():
        connection.create_function(f"my_{name.lower()}", -1, function.call, deterministic=True)
    for name, call in {**numbers.OPERATORS, **bits.OPERATORS, **patterns.OPERATORS, **aggregates.OPERATORS}.items():
        connection.create_function(f"my_{name}", -1, call, deterministic=True)
    aggregates.install(connection, budget, documents.aggregates(written, server, budget))
    connection.create_function("my_rand", -1, lambda *_: random.fraction())
    connection.create_function("my_uuid", 0, lambda: str(UUID(int=random.bits() << 64 | random.bits(), version=4)))
