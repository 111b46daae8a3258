"""Killing a program with all that it has started."""

from __future__ import annotations

import contextlib
import os
import signal


def kill_tree(pid: int) -> None:
    """Stop a process and what it started from the top down, so that nothing new appears, then kill all of it."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGSTOP)
            for task in os.listdir(f"/proc/{each}/task"):
                with open(f"/proc/{each}/task/{task}/children", encoding="ascii") as file:
                    found += [int(word) for word in file.read().split()]
    for each in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)
