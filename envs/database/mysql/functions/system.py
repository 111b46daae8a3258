"""What an agent asks about its session; nothing of the host is told, and nobody sleeps."""

from __future__ import annotations

from cmat_env.envs.database.mysql.errors import DATABASE
from cmat_env.envs.database.mysql.functions.registry import Function, lenient

VERSION = "8.0.36"
USER = "agent@localhost"

_USER = lenient(lambda: USER, 0)
_DATABASE = lenient(lambda: DATABASE, 0)

FUNCTIONS: dict[str, Function] = {
    "BENCHMARK": lenient(lambda _count, _expression: 0, 2),
    "CONNECTION_ID": lenient(lambda: 1, 0),
    "CURRENT_USER": _USER,
    "DATABASE": _DATABASE,
    "FOUND_ROWS": lenient(lambda: 0, 0),
    "LAST_INSERT_ID": lenient(lambda *_: 0, 0, 1),
    "LOAD_FILE": lenient(lambda _path: None, 1),
    "ROW_COUNT": lenient(lambda: -1, 0),
    "SCHEMA": _DATABASE,
    "SESSION_USER": _USER,
    "SLEEP": lenient(lambda _seconds: 0, 1),
    "SYSTEM_USER": _USER,
    "USER": _USER,
    "UUID": lenient(lambda: None, 0),  # replaced for each connection
    "VERSION": lenient(lambda: VERSION, 0),
}
