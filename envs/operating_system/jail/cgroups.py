"""Limits on memory and processes by control groups, version 1 and 2, below the group that we are in."""

from __future__ import annotations

import contextlib
import errno
import os
import time

_REMOVE_FOR = 2.0
_PREFIX = "cmat-"
_V1 = {"memory": "memory.limit_in_bytes", "pids": "pids.max"}
_V2 = {"memory": "memory.max", "pids": "pids.max"}


def _own_groups() -> dict[str, str]:
    """By controller ("" = version 2): the path of our own group in its hierarchy."""
    found: dict[str, str] = {}
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                found[controller.removeprefix("name=") if "=" in controller else controller] = path
    return found


def _mounts() -> dict[str, str]:
    """By controller ("" = version 2): where its hierarchy is mounted."""
    found: dict[str, str] = {}
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, target, kind, options, *_ = line.split()
            if kind == "cgroup2":
                found[""] = target
            elif kind == "cgroup":
                found.update({option: target for option in options.split(",") if option in _V1})
    return found


class Groups:
    """Makes and removes a group for each sandbox.

    Attributes:
        controllers: those that can be used here: any of "memory" and "pids".
        reason: why one cannot, in words; "" = all can.
    """

    def __init__(self) -> None:
        self._name = f"{_PREFIX}{os.getpid()}"
        self._parents: dict[str, str] = {}
        self._version2 = False
        self.reason = ""
        mounts, own = _mounts(), _own_groups()
        for controller in _V1:
            if controller in mounts:
                self._adopt(controller, mounts[controller] + own.get(controller, "/"))
        if not self._parents and "" in mounts:
            self._adopt_version2(mounts[""] + own.get("", "/"))
        self.controllers = tuple(self._parents)
        if len(self.controllers) < len(_V1) and not self.reason:
            self.reason = "the kernel has no such controller mounted"

    def _adopt(self, controller: str, parent: str) -> None:
        folder = os.path.join(parent, self._name)
        try:
            _sweep(parent)
            os.makedirs(folder)
            self._parents[controller] = folder
        except OSError as error:
            self.reason = f"{controller}: {error.strerror}"

    def _adopt_version2(self, parent: str) -> None:
        """Version 2 needs its controllers handed down at every level, which only groups without processes may do."""
        folder = os.path.join(parent, self._name)
        try:
            with open(os.path.join(parent, "cgroup.controllers"), encoding="utf-8") as file:
                there = file.read().split()
            offered = [controller for controller in _V2 if controller in there]
            wanted = " ".join(f"+{controller}" for controller in offered)
            _write(os.path.join(parent, "cgroup.subtree_control"), wanted)
            _sweep(parent)
            os.makedirs(folder)
            _write(os.path.join(folder, "cgroup.subtree_control"), wanted)
        except OSError as error:
            self.reason = f"cgroup 2: {error.strerror}"
            return
        self._version2 = True
        self._parents = dict.fromkeys(offered, folder)

    def make(self, name: str, *, memory: int, processes: int) -> None:
        """A group for a sandbox, with its limits."""
        for controller, parent in self._parents.items():
            folder = os.path.join(parent, name)
            os.makedirs(folder, exist_ok=True)
            if controller == "pids":
                _write(os.path.join(folder, "pids.max"), str(processes))
                continue
            _write(os.path.join(folder, (_V2 if self._version2 else _V1)["memory"]), str(memory))
            swap = ("memory.swap.max", "0") if self._version2 else ("memory.memsw.limit_in_bytes", str(memory))
            with contextlib.suppress(OSError):  # swap accounting is often off
                _write(os.path.join(folder, swap[0]), swap[1])

    def enter(self, name: str, pid: int) -> None:
        """Put a process, and with it all that it will start, into a sandbox's group."""
        for parent in set(self._parents.values()):
            _write(os.path.join(parent, name, "cgroup.procs"), str(pid))

    def remove(self, name: str) -> None:
        """Remove a sandbox's group; its last processes may still be on their way out."""
        for parent in set(self._parents.values()):
            _remove(os.path.join(parent, name))

    def close(self) -> None:
        """Remove the groups that held those of the sandboxes."""
        for parent in set(self._parents.values()):
            _remove_all(parent)


def _sweep(parent: str) -> None:
    """Remove what a launcher left that was killed itself: groups without a process, named after one that is gone."""
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(_PREFIX)]
    for name in names:
        if not os.path.exists(f"/proc/{name.removeprefix(_PREFIX)}"):
            _remove_all(os.path.join(parent, name))


def _remove_all(parent: str) -> None:
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(parent)):
            if entry.is_dir():
                _remove(entry.path)
        _remove(parent)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _remove(folder: str) -> None:
    deadline = time.monotonic() + _REMOVE_FOR
    while True:
        try:
            os.rmdir(folder)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                return
            time.sleep(0.001)
