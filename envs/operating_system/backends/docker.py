"""Sandboxes by Docker, through its SDK: for hosts where no user namespace can be made. Not tried against an engine.

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

from cmat_env.envs.operating_system.backends.base import Pipes, SandboxError, View
from cmat_env.envs.operating_system.environment import CAPABILITIES, ENVIRONMENT, TRUSTED_ENVIRONMENT
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.rootfs import SYSTEM_FOLDERS, TRUSTED_ETC

_IDLE = ("sleep", "infinity")
_FRAME = 8
_STDERR = 2
_SPARE = (
    'keep=" 1 $$ "; p=$1; while [ "$p" -gt 1 ] 2>/dev/null; do keep="$keep$p "; '
    "p=$(sed 's/.*) [A-Z] //; s/ .*//' /proc/$p/stat); done; for d in /proc/[0-9]*; do d=${d#/proc/}; "
    'case $keep in *" $d "*) ;; *) kill -9 $d 2>/dev/null;; esac; done'
)


class DockerSandbox:
    """One container.

    Raises:
        SandboxError: the SDK is not installed, or no engine answers.
    """

    def __init__(self, settings: SandboxSettings, client: Any = None) -> None:
        self._settings = settings
        self._client = client if client is not None else _connect()
        self._views: dict[View, Any] = {}
        self._kept: bytes | None = None
        self._running: dict[int, View] = {}
        self._numbers = iter(range(1, 1 << 31))
        self._closed = False
        try:
            self._container = self._start()
        except Exception as error:  # the SDK's own errors are not known here without importing it
            raise SandboxError(f"Docker could not start {settings.image!r}: {error}") from error

    def _start(self, **more: Any) -> Any:
        settings = self._settings
        return self._client.containers.run(
            settings.image,
            list(_IDLE),
            detach=True,
            init=True,
            network_mode="none",
            mem_limit=settings.memory,
            memswap_limit=settings.memory,
            pids_limit=settings.processes,
            nano_cpus=2_000_000_000,
            cap_drop=["ALL"],
            cap_add=[name.removeprefix("CAP_") for name in CAPABILITIES],
            security_opt=["no-new-privileges"],
            shm_size=settings.disk // 4,
            working_dir="/root",
            hostname="agentbench",
            environment=ENVIRONMENT,
            labels={"cmat-env": "sandbox"},
            **more,
        )

    def spawn(self, argv: Sequence[str], *, view: View = "own", merged: bool = False, cwd: str = "/root") -> Pipes:
        """Start a program; see `LiveSandbox`."""
        container = self._container if view == "own" else self._view(view)
        environment = ENVIRONMENT if view == "own" else TRUSTED_ENVIRONMENT
        try:
            made = self._client.api.exec_create(
                container.id, list(argv), stdin=True, environment=environment, workdir=cwd
            )
            stream = self._client.api.exec_start(made["Id"], socket=True)
        except Exception as error:
            raise SandboxError(f"Docker could not start a program: {error}") from error
        number = next(self._numbers)
        self._running[number] = view
        near, far = socket.socketpair()
        out, out_end = os.pipe()
        err, err_end = (out, out_end) if merged else os.pipe()
        status, status_end = os.pipe()
        raw = getattr(stream, "_sock", stream)
        threading.Thread(target=_feed, args=(far, raw), daemon=True).start()
        threading.Thread(
            target=self._pump, args=(stream, made["Id"], (out_end, err_end, status_end), far), daemon=True
        ).start()
        near.setblocking(False)
        for fd in {out, err, status}:
            os.set_blocking(fd, False)
        return Pipes(near.detach(), out, err, status, number)

    def _pump(self, stream: Any, exec_id: str, ends: tuple[int, int, int], far: socket.socket) -> None:
        """Take the frames of a program apart until it ends, then tell how."""
        out, err, status = ends
        try:
            for kind, data in frames(getattr(stream, "_sock", stream)):
                with contextlib.suppress(OSError):
                    os.write(err if kind == _STDERR else out, data)
            code = self._client.api.exec_inspect(exec_id)["ExitCode"]
            os.write(status, f"{137 if code is None else code}\n".encode())
        except Exception:  # a thread has nobody to tell; the descriptors end, which the reader takes for a dead sandbox
            pass
        finally:
            for fd in {out, err, status}:
                os.close(fd)
            far.close()
            stream.close()

    def _view(self, view: View) -> Any:
        if view not in self._views:
            data = self._kept if view == "snapshot" else self._changed(system=False)
            if data is None:
                raise SandboxError("there is no snapshot; take one first")
            made = self._start(pid_mode=f"container:{self._container.id}")
            made.put_archive("/", data)
            self._views[view] = made
        return self._views[view]

    def _changed(self, *, system: bool) -> bytes:
        """The changed files as a tar archive."""
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as archive:
            for change in self._container.diff() or ():
                path = change["Path"]
                if change["Kind"] == 2 or (not system and not is_data(path)):
                    continue
                chunks, _ = self._container.get_archive(path)
                with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as part:
                    member = part.getmembers()[0]
                    content = part.extractfile(member) if member.isfile() else None
                    member.name = path.lstrip("/")
                    archive.addfile(member, content)
        return whole.getvalue()

    def kill(self, pid: int) -> None:
        """Kill a program, and whatever else runs beside it in its container."""
        view = self._running.get(pid, "own")
        container: Any = self._container if view == "own" else self._views.get(view)
        with contextlib.suppress(Exception):
            container.exec_run(["sh", "-c", _SPARE, "sh", "1"])

    def reclaim(self, spare: int | None) -> None:
        """Kill every process but one and its ancestors."""
        with contextlib.suppress(Exception):
            self._container.exec_run(["sh", "-c", _SPARE, "sh", str(spare or 1)])

    def processes(self) -> int | None:
        """How many processes there are."""
        try:
            return len(self._container.top()["Processes"])
        except Exception:  # any failure means the same: it does not answer
            return None

    def snapshot(self) -> None:
        """Keep the changed files."""
        self._kept = self._changed(system=True)

    def alive(self) -> bool:
        """Is the container running?"""
        try:
            self._container.reload()
            return bool(self._container.status == "running")
        except Exception:
            return False

    def close(self) -> None:
        """Remove the containers; twice is fine."""
        if self._closed:
            return
        self._closed = True
        for container in (self._container, *self._views.values()):
            with contextlib.suppress(Exception):
                container.remove(force=True)


def is_data(path: str) -> bool:
    """Does a changed path hold data, rather than programs and what makes them load others?"""
    parts = path.strip("/").split("/")
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
