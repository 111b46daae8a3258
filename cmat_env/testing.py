"""Checks for authors of plug-ins; each failure says what came, what was wanted, and how to mend it.

from cmat_env.testing import check_collab, check_policy, check_task

check_task(MyTask)
check_collab(lambda: cmat_env.CollabEnv(MyTask(), roles=("assistant", "checker")))
check_policy(MyPolicy())
"""

from __future__ import annotations

from cmat_env.policy_checks import check_policy
from cmat_env.task_checks import check_task
from cmat_env.team_checks import check_collab

__all__ = ["check_collab", "check_policy", "check_task"]
