"""Operating-system tasks: bash in a real sandbox, AgentBench's tasks and generated ones.

`Sandbox` is for environments of your own, too: see `examples/custom_os_task.py`.
"""

from __future__ import annotations

from cmat_env.envs.operating_system.backends.base import SandboxError
from cmat_env.envs.operating_system.env import OSEnv
from cmat_env.envs.operating_system.episode import OSSettings
from cmat_env.envs.operating_system.generate import generate
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.load import load_tasks
from cmat_env.envs.operating_system.process import Finished, Running
from cmat_env.envs.operating_system.sandbox import Sandbox
from cmat_env.envs.operating_system.shell import ShellResult
from cmat_env.envs.operating_system.tasks import Check, Match, OSTask, Script

__all__ = [
    "Check",
    "Finished",
    "Match",
    "OSEnv",
    "OSSettings",
    "OSTask",
    "Running",
    "Sandbox",
    "SandboxError",
    "SandboxSettings",
    "Script",
    "ShellResult",
    "generate",
    "load_tasks",
]
