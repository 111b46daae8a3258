"""What an oracle asks of the task that it has met: its optional methods."""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from cmat_env.errors import ConfigError, ContractError
from cmat_env.types import Dialogue, Task

Known = TypeVar("Known")


def optional(task: Task, name: str) -> Any:
    """An optional method of a task, also through Gymnasium's wrappers; None if it has none."""
    return getattr(getattr(task, "unwrapped", task), name, None)


def extra(task: Task, name: str, policy: str) -> Any:
    """An optional method of a task that a policy cannot do without."""
    method = optional(task, name)
    if method is None:
        raise ConfigError(f"{type(task).__name__} has no {name}(), which the {policy} policy needs; choose another")
    return method


def task_of(known: WeakKeyDictionary[Dialogue, Known], dialogue: Dialogue, policy: str) -> Known:
    """What `begin` kept for this dialogue."""
    if dialogue not in known:
        raise ContractError(f"the {policy} policy was asked before begin(dialogue, task); call begin once an episode")
    return known[dialogue]
