"""Databases: AgentBench's dbbench and generated tasks, on an embedded database."""

from __future__ import annotations

from cmat_env.envs.database.backend import Backend, Limits, Result, Table
from cmat_env.envs.database.env import DBEnv
from cmat_env.envs.database.episode import DBSettings
from cmat_env.envs.database.generate import generate
from cmat_env.envs.database.sqlite import SQLiteBackend
from cmat_env.envs.database.tasks import DBTask, load_tasks

__all__ = [
    "Backend",
    "DBEnv",
    "DBSettings",
    "DBTask",
    "Limits",
    "Result",
    "SQLiteBackend",
    "Table",
    "generate",
    "load_tasks",
]
