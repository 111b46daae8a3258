"""Sandboxes by bubblewrap, through the launcher: as root, as a user with subordinate ids, and as a user alone."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
import weakref
from collections.abc import Sequence

from cmat_env.envs.operating_system.backends.base import SPARE, Pipes, SandboxError, View
from cmat_env.envs.operating_system.backends.launch import Launcher, Mode, launcher
from cmat_env.envs.operating_system.environment import (
    CAPABILITIES,
    CODE_FOLDERS,
    COMMAND_FOLDERS,
    ENVIRONMENT,
    TRUSTED_ENVIRONMENT,
)
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.rootfs import SYSTEM_FOLDERS, TRUSTED_ETC, RootFS

_SECONDS_TO_COUNT = 10.0

# The sandbox's first process. It does what the host tells it, reaps orphans, and ends when the host is gone.
WARDEN = f"""{SPARE}
exec 0</dev/null 1>/dev/null 2>/dev/null
trap '' INT TERM HUP QUIT USR1 USR2
while IFS= read -r -u 9 line; do
    case $line in
        all) kill -KILL -1 ;;
        spare\\ *) spare ${{line#spare }} ;;
        count) set -- /proc/[0-9]*; printf '%d\\n' $# >&9 ;;
    esac
done
"""


class Bubblewrap:
    """One live sandbox.

    Raises:
        SandboxError: it cannot be made here.
    """

    def __init__(self, mode: Mode, settings: SandboxSettings, rootfs: RootFS) -> None:
        self._launcher = launcher(mode, [layer.lower for layer in rootfs.layers if layer.lower is not None])
        self._name = uuid.uuid4().hex[:16]
        self._leash, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._leash.settimeout(_SECONDS_TO_COUNT)
        grouped = self._launcher.controllers
        spec = {
            "disk": settings.disk,
            "inodes": settings.inodes,
            "memory": settings.memory,
            "processes": settings.processes,
            "limits": {
                "CORE": 1,  # less than any core, and the one value with which no handler of the host is called either
                "NOFILE": 131_072,
                "NPROC": settings.processes,
                "AS": None if "memory" in grouped else settings.memory,
                "MEMLOCK": 1 << 16,
                "MSGQUEUE": 1 << 16,
                "SIGPENDING": 1024,
            },
            "environment": ENVIRONMENT,
            "capabilities": list(CAPABILITIES),
            "capability_numbers": list(CAPABILITIES.values()),
            "hostname": "agentbench",
            "trusted": list(TRUSTED_ETC),
            "system": list(SYSTEM_FOLDERS),
            "commands": list(COMMAND_FOLDERS),
            "code": list(CODE_FOLDERS),
            "warden": WARDEN,
        }
        try:
            with far:
                number = self._launcher.number_of(rootfs)
                self._launcher.ask("start", far.fileno(), name=self._name, rootfs=number, spec=spec)
        except BaseException:
            self._leash.close()
            raise
        self._finalizer = weakref.finalize(self, _close, self._launcher, self._name, self._leash)
        if self.processes() is None:  # it answers once its root file system is in place; nobody may enter before that
            self.close()
            raise SandboxError("the sandbox's first process does not answer; is bash there, and is memory left?")

    def spawn(self, argv: Sequence[str], *, view: View = "own", merged: bool = False, cwd: str = "/root") -> Pipes:
        """Start a program; see `LiveSandbox`."""
        environment = ENVIRONMENT if view == "own" else TRUSTED_ENVIRONMENT
        spec = {"argv": list(argv), "view": view, "cwd": cwd, "environment": environment}
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        out, out_end = os.pipe()
        err, err_end = (out, out_end) if merged else os.pipe()
        status, status_end = os.pipe()
        ends = {far.fileno(), out_end, err_end, status_end}
        try:
            pid = self._launcher.ask("spawn", far.fileno(), out_end, err_end, status_end, name=self._name, spec=spec)[
                "pid"
            ]
        except BaseException:
            near.close()
            for fd in {out, err, status}:
                os.close(fd)
            raise
        finally:
            far.detach()
            for fd in ends:
                os.close(fd)
        near.setblocking(False)
        for fd in (out, err, status):
            os.set_blocking(fd, False)
        return Pipes(near.detach(), out, err, status, pid)

    @property
    def notes(self) -> list[str]:
        """What cannot be had here, in words."""
        missing = [name for name in ("memory", "pids") if name not in self._launcher.controllers]
        if not missing:
            return []
        why = f"no control group for {' and '.join(missing)} ({self._launcher.cgroup_reason})"
        return [f"{why}: limits hold for each process and user instead"]

    def kill(self, pid: int) -> None:
        """Kill a program and what it has started."""
        with contextlib.suppress(SandboxError):
            self._launcher.ask("kill", name=self._name, pid=pid)

    def reclaim(self, spare: int | None) -> None:
        """Kill every process in the sandbox but one and its ancestors."""
        self._tell("all" if spare is None else f"spare {spare}")
        self.processes()  # answered after that: the next program to start is none of those that are killed

    def _tell(self, line: str) -> bool:
        try:
            self._leash.sendall(f"{line}\n".encode())
        except OSError:
            return False
        return True

    def processes(self) -> int | None:
        """How many processes there are."""
        if not self._tell("count"):
            return None
        try:
            words = self._leash.recv(64)
        except OSError:
            return None
        return int(words) if words.strip().isdigit() else None

    def snapshot(self) -> None:
        """Keep the present state of the file system."""
        self._launcher.ask("snapshot", name=self._name)

    def alive(self) -> bool:
        """Is it still there?"""
        try:
            known = bool(self._launcher.ask("alive", name=self._name)["alive"])
        except SandboxError:
            return False
        return known and self.processes() is not None  # the launcher hears of a death a little later

    def close(self) -> None:
        """Kill and remove it."""
        self._finalizer()


def _close(launcher_: Launcher, name: str, leash: socket.socket) -> None:
    leash.close()
    if launcher_.owner == os.getpid():
        with contextlib.suppress(SandboxError):
            launcher_.ask("close", name=name)
