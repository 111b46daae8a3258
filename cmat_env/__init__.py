"""cmat-env: train teams of language-model agents by environment feedback."""

from __future__ import annotations

from typing import Any

from cmat_env.collab import CollabEnv
from cmat_env.errors import (
    CheckpointError,
    CmatError,
    ConfigError,
    ContractError,
    CrashError,
    LogError,
    MissingExtraError,
    TaskFileError,
    UnknownNameError,
)
from cmat_env.ledger import Ledger, RewardRule
from cmat_env.order import TurnOrder, Wording
from cmat_env.registry import list_envs, make, make_task, parallel_env, register, spec
from cmat_env.spaces import AnyText
from cmat_env.types import (
    Dialogue,
    Generation,
    Judgement,
    Message,
    Oracle,
    Payment,
    Policy,
    Step,
    Task,
    TokenPolicy,
    Trajectory,
    Verdict,
)
from cmat_env.vector import TextVectorEnv, make_vec
from cmat_env.views import ParallelCollab, RoleEnv

__all__ = [
    "AnyText",
    "CheckpointError",
    "CmatError",
    "CollabEnv",
    "ConfigError",
    "ContractError",
    "CrashError",
    "Dialogue",
    "Generation",
    "Judgement",
    "Ledger",
    "LogError",
    "Message",
    "MissingExtraError",
    "Oracle",
    "ParallelCollab",
    "Payment",
    "Policy",
    "RewardRule",
    "RoleEnv",
    "Step",
    "Task",
    "TaskFileError",
    "TextVectorEnv",
    "TokenPolicy",
    "Trajectory",
    "TurnOrder",
    "UnknownNameError",
    "Verdict",
    "Wording",
    "__version__",
    "list_envs",
    "make",
    "make_task",
    "make_vec",
    "parallel_env",
    "register",
    "spec",
]


def __getattr__(name: str) -> Any:
    """`__version__` is looked up when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415  (slow, and seldom asked for)

    return version("cmat-env")
