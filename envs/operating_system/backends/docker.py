"""Sandboxes by Docker, through its SDK: for hosts where no user namespace can be made.

One container is the sandbox; programs of the other views run in containers of the same image that get the changed files
as data: those outside of the system's folders for "pristine", all of them for "snapshot".
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import socket
import tarfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from cmat_env.envs.operating_system.backends.base import SPARE, Pipes, SandboxError, View
from cmat_env.envs.operating_system.backends.container import BASH, Changes, Container
from cmat_env.envs.operating_system.environment import CODE_FOLDERS, COMMAND_FOLDERS, ENVIRONMENT, TRUSTED_ENVIRONMENT
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.rootfs import SYSTEM_FOLDERS, TRUSTED_ETC

_MERGED = (*BASH, 'exec "$@" 2>&1', "bash")
_RUN = "CMAT_RUN"
_KILL = """
for again in 1 2 3; do
    for d in /proc/[0-9]*; do
        while IFS= read -r -d '' word; do
            [[ $word != "$1" ]] || kill -KILL ${d#/proc/}
        done <$d/environ
    done
done 2>/dev/null
"""
_FRAME = 8
_STDERR = 2
_ADDED, _DELETED = 1, 2
_ONE_MORE = "WAKE_ALARM"
"""Agents lack this capability, which opens nothing: /proc does not open to them a process that holds more."""


class DockerSandbox:
    """One container.

    Raises:
        SandboxError: the SDK is not installed, no engine answers, or it cannot start the image.
    """

    def __init__(self, settings: SandboxSettings, client: Any = None) -> None:
        self._settings = settings
        self._client = client if client is not None else _connect()
        self._views: dict[View, Container] = {}
        self._kept: Changes | None = None
        self._running: dict[int, Container] = {}
        self._numbers = iter(range(1, 1 << 31))
        self._closed = False
        self._container = Container(self._client, settings, [])

    def spawn(self, argv: Sequence[str], *, view: View = "own", merged: bool = False, cwd: str = "/root") -> Pipes:
        """Start a program; see `LiveSandbox`."""
        container = self._container if view == "own" else self._view(view)
        number = next(self._numbers)
        environment = {**(ENVIRONMENT if view == "own" else TRUSTED_ENVIRONMENT), _RUN: f"{number}"}
        words = [*_MERGED, *argv] if merged else list(argv)
        api = self._client.api
        try:
            made = api.exec_create(container.id, words, stdin=True, environment=environment, workdir=cwd)
            stream = api.exec_start(made["Id"], socket=True)
        except Exception as error:  # the SDK's own errors are not known here without importing it
            raise SandboxError(f"Docker could not start a program: {error}") from error
        self._running[number] = container
        near, far = socket.socketpair()
        out, out_end = os.pipe()
        err, err_end = (out, out_end) if merged else os.pipe()
        status, status_end = os.pipe()
        raw = getattr(stream, "_sock", stream)
        threading.Thread(target=_feed, args=(far, raw), daemon=True).start()
        threading.Thread(
            target=self._pump, args=(stream, raw, made["Id"], (out_end, err_end, status_end), far), daemon=True
        ).start()
        near.setblocking(False)
        for fd in {out, err, status}:
            os.set_blocking(fd, False)
        return Pipes(near.detach(), out, err, status, number)

    def _pump(self, stream: Any, raw: Any, exec_id: str, ends: tuple[int, int, int], far: socket.socket) -> None:
        """Take the frames of a program apart until it ends, then tell how."""
        out, err, status = ends
        try:
            for kind, data in frames(raw):
                with contextlib.suppress(OSError):
                    _write_all(err if kind == _STDERR else out, data)
            code = self._client.api.exec_inspect(exec_id)["ExitCode"]
            os.write(status, f"{137 if code is None else code}\n".encode())
        except Exception:  # a thread has nobody to tell; the descriptors end, which the reader takes for a dead sandbox
            pass
        finally:
            for fd in {out, err, status}:
                os.close(fd)
            with contextlib.suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
            far.close()
            stream.close()

    def _view(self, view: View) -> Container:
        """A container with files of the sandbox as data; for untouched tools a new one each time, as they change."""
        if view == "snapshot" and view in self._views:
            return self._views[view]
        changes = self._kept if view == "snapshot" else self._changes(system=False)
        if changes is None:
            raise SandboxError("there is no snapshot; take one first")
        if view in self._views:
            self._views.pop(view).close()
        made = Container(self._client, self._settings, [_ONE_MORE], pid_mode=f"container:{self._container.id}")
        self._views[view] = made
        made.change(changes)
        return made

    def _changes(self, *, system: bool) -> Changes:
        """What was changed, without or with the system's folders.

        Raises:
            SandboxError: it cannot be read, or is more than the limit of the disk.
        """
        whole, deleted, room = io.BytesIO(), [], self._settings.disk
        try:
            with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for change in self._container.engine.diff() or ():
                    path = change["Path"]
                    if not system and not is_data(path, added=change["Kind"] == _ADDED):
                        continue
                    if change["Kind"] == _DELETED:
                        deleted.append(path)
                        continue
                    room -= self._container.copy_to(archive, path, room)
        except SandboxError:
            raise
        except Exception as error:
            raise SandboxError(f"Docker could not read what was changed: {error}") from error
        return whole.getvalue(), deleted

    def kill(self, pid: int) -> None:
        """Kill a program, and what it has started in the same environment."""
        container = self._running.get(pid)
        if container is not None and not container.does(_KILL, f"{_RUN}={pid}"):
            self._container.restart()

    def reclaim(self, spare: int | None) -> None:
        """Kill every process but one and its ancestors; where there is no room to do that, every one."""
        if not self._container.does(f"{SPARE}\nspare $1", str(spare or 1)):
            self._container.restart()

    def processes(self) -> int | None:
        """How many processes there are."""
        try:
            return len(self._container.engine.top()["Processes"])
        except Exception:  # any failure means the same: it does not answer
            return None

    def snapshot(self) -> None:
        """Keep the changed files."""
        self._kept = self._changes(system=True)

    def alive(self) -> bool:
        """Is the container running?"""
        try:
            self._container.engine.reload()
            return bool(self._container.engine.status == "running")
        except Exception:
            return False

    def close(self) -> None:
        """Remove the containers; twice is fine."""
        if self._closed:
            return
        self._closed = True
        for container in (self._container, *self._views.values()):
            container.close()


def is_data(path: str, *, added: bool) -> bool:
    """Does a changed path hold data, or a new command, rather than programs and what makes them load others?"""
    parts = path.strip("/").split("/")
    if parts[0] == "usr":
        inner = parts[2:] if parts[1:2] == ["local"] else parts[1:]
        beside = bool(inner) and inner[0] not in CODE_FOLDERS
        return beside or (added and "/".join(parts[1:-1]) in COMMAND_FOLDERS)
    if parts[0] in SYSTEM_FOLDERS:
        return False
    return not (parts[0] == "etc" and len(parts) > 1 and any(_matches(parts[1], name) for name in TRUSTED_ETC))


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def frames(raw: Any) -> Iterator[tuple[int, bytes]]:
    """The frames of Docker's multiplexed stream: (1 = output or 2 = error, bytes)."""
    while True:
        head = _exactly(raw, _FRAME)
        if head is None:
            return
        data = _exactly(raw, int.from_bytes(head[4:], "big"))
        if data is None:
            return
        yield head[0], data


def _exactly(raw: Any, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        more = raw.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _feed(far: socket.socket, raw: Any) -> None:
    with contextlib.suppress(OSError):
        while data := far.recv(65536):
            raw.sendall(data)


def _connect() -> Any:
    try:
        docker = importlib.import_module("docker")
    except ImportError as error:
        raise SandboxError("Docker's SDK is not installed; run: pip install docker") from error
    try:
        client = docker.from_env(timeout=10)
        client.ping()
    except Exception as error:
        raise SandboxError(f"no Docker engine answers ({error}); start one, or set DOCKER_HOST") from error
    return client
