"""The launcher's loop: one request at a time, each a JSON object in a file descriptor beside its other descriptors.

It is the parent of every process outside the sandboxes, and lives as long as the process that asked for it: when that
one ends, however it ends, the socket closes, and the launcher kills every sandbox, removes its groups, and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cmat_env.envs.operating_system.jail import box, linux, making, seccomp, views
from cmat_env.envs.operating_system.jail.cgroups import Groups
from cmat_env.envs.operating_system.jail.making import NAMESPACES, Sandbox, in_child
from cmat_env.envs.operating_system.jail.processes import kill_tree
from cmat_env.envs.operating_system.jail.users import RefusedError, Users

_MOST_FDS = 16


class Launcher:
    """Makes sandboxes and starts programs in them, for the other end of a socket."""

    def __init__(self, connection: socket.socket, settings: dict[str, Any]) -> None:
        self._connection = connection
        self._base: str = settings["base"]
        self._bwrap: str = settings["bwrap"]
        self._users = Users(settings)
        self._filter = seccomp.program(os.uname().machine)
        self._boxes: dict[str, Sandbox] = {}
        self._running: dict[int, tuple[int, str]] = {}
        self._rootfs: list[list[dict[str, Any]]] = []
        self._groups: Groups | None = None

    def run(self) -> None:
        """Serve until the other end is gone."""
        wake, awake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(awake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        try:
            self._answer(self._start_up)
            while True:
                readable = select.select([self._connection.fileno(), wake], [], [])[0]
                if wake in readable:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake, 4096)
                    self._reap()
                if self._connection.fileno() in readable and not self._serve():
                    return
        finally:
            self._end()

    def _serve(self) -> bool:
        """Serve one request; False = the other end is gone."""
        data, fds, _, _ = socket.recv_fds(self._connection, 16, _MOST_FDS)
        if not data:
            return False
        try:
            with open(fds[0], "rb") as file:
                file.seek(0)
                request = json.loads(file.read())
            action: Callable[[dict[str, Any], Sequence[int]], dict[str, Any]] = getattr(self, f"_do_{request['do']}")
            self._answer(lambda: action(request, fds[1:]))
        finally:
            for fd in fds[1:]:
                os.close(fd)
        return True

    def _answer(self, action: Callable[[], dict[str, Any]]) -> None:
        try:
            answer = action()
        except (OSError, RefusedError, KeyError) as error:
            answer = {"error": str(error)}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send(json.dumps(answer).encode())

    def _start_up(self) -> dict[str, Any]:
        if self._users.mode == "root":
            linux.unshare(linux.CLONE_NEWNS)
            self._groups = Groups()
        self._users.enter()
        linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
        linux.mount("tmpfs", self._base, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=16m,nr_inodes=20k,mode=0755")
        os.mkdir(f"{self._base}/box", 0o755)
        groups = self._groups
        return {
            "controllers": list(groups.controllers) if groups else [],
            "cgroup_reason": groups.reason if groups else "only root can make control groups here",
            "pid": os.getpid(),
        }

    def _do_start(self, request: dict[str, Any], fds: Sequence[int]) -> dict[str, Any]:
        """Make a sandbox; fds: the leash of its first process."""
        spec = request["spec"] | {"box": f"{self._base}/box", "bwrap": self._bwrap}
        spec["layers"] = self._rootfs[request["rootfs"]]
        name = request["name"]
        if self._groups is not None:
            self._groups.make(name, memory=spec["memory"], processes=spec["processes"])
        filter_ = self._filter_file()
        try:
            made = making.make(
                spec, leash=fds[0], filter_=filter_, users=self._users, enter=lambda pid: self._enter(name, pid)
            )
        except BaseException:
            if self._groups is not None:
                self._groups.remove(name)
            raise
        finally:
            os.close(filter_)
        self._boxes[name] = made
        return {"pid": made.first}

    def _enter(self, name: str, pid: int) -> None:
        if self._groups is not None:
            self._groups.enter(name, pid)

    def _do_spawn(self, request: dict[str, Any], fds: Sequence[int]) -> dict[str, Any]:
        """Start a program; fds: its standard input, output and error, and where its exit status is told."""
        made = self._box(request["name"])
        spec = made.spec | request["spec"]
        filter_ = self._filter_file()
        pid = os.fork()
        if pid == 0:
            in_child(fds[2], lambda: self._join(made, request["name"], spec, fds[:3], filter_))
        os.close(filter_)
        self._running[pid] = (os.dup(fds[3]), request["name"])
        return {"pid": pid}

    def _join(self, made: Sandbox, name: str, spec: dict[str, Any], fds: Sequence[int], filter_: int) -> None:
        """In a child: enter the sandbox, start the program in its process namespace, and pass the exit status on.

        This process itself stays outside of that namespace, where no agent sees it. For views other than the sandbox's
        own it becomes bubblewrap's monitor, which holds no capability that would keep an agent away from it.
        """
        self._enter(name, os.getpid())
        box.limit(spec["limits"])  # here, where root may still raise one
        own = spec["view"] == "own"
        linux.setns(made.user, linux.CLONE_NEWUSER)
        linux.setns(made.inner["mnt"] if own else made.mnt, linux.CLONE_NEWNS)
        for kind, flag in NAMESPACES:
            linux.setns(made.inner[kind], flag)
        if not own:
            views.run(spec, fds, filter_)
        pid = os.fork()
        if pid == 0:
            in_child(fds[2], lambda: box.program(spec, fds, self._filter))
        for fd in fds:
            os.close(fd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os._exit(128 - status if status < 0 else status)

    def _do_snapshot(self, request: dict[str, Any], fds: Sequence[int]) -> dict[str, Any]:
        made = self._box(request["name"])
        said, say = os.pipe()
        pid = os.fork()
        if pid == 0:
            linux.setns(made.user, linux.CLONE_NEWUSER)
            linux.setns(made.mnt, linux.CLONE_NEWNS)
            os.dup2(say, 2)
            in_child(say, lambda: box.snapshot(made.spec))
        os.close(say)
        status = os.waitpid(pid, 0)[1]
        words = os.read(said, 4096).decode(errors="replace")
        os.close(said)
        if status:
            raise RefusedError(f"the snapshot failed: {words}")
        return {}

    def _do_kill(self, request: dict[str, Any], fds: Sequence[int]) -> dict[str, Any]:
        """Kill a program and all that it has started."""
        if request["pid"] in self._running:
            kill_tree(request["pid"])
        return {}

    def _do_close(self, request: dict[str, Any], fds: Sequence[int]) -> dict[str, Any]:
        made = self._boxes.pop(request["name"], None)
        if made is not None:
            self._destroy(request["name"], made)
        return {}

    def _do_alive(self, request: dict[str, Any], fds: Sequence[int]) -> dict[str, Any]:
        return {"alive": request["name"] in self._boxes}

    def _box(self, name: str) -> Sandbox:
        if name not in self._boxes:
            raise RefusedError("the sandbox is dead")
        return self._boxes[name]

    def _do_rootfs(self, request: dict[str, Any], fds: Sequence[int]) -> dict[str, Any]:
        """Make a root file system ready; sandboxes name it by the number that is answered."""
        number = len(self._rootfs)
        self._rootfs.append(
            [
                {
                    "at": layer["at"],
                    "writable": layer["writable"],
                    "lower": self._users.lower(layer, f"{self._base}/l{number}-{index}"),
                }
                for index, layer in enumerate(request["layers"])
            ]
        )
        return {"rootfs": number}

    def _filter_file(self) -> int:
        fd = os.memfd_create("filter")
        os.write(fd, self._filter)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._running:
                fd, _ = self._running.pop(pid)
                with contextlib.suppress(OSError):
                    os.write(fd, b"%d\n" % os.waitstatus_to_exitcode(status))
                os.close(fd)
            for name, made in list(self._boxes.items()):
                if made.outer == pid:
                    made.outer = 0
                    self._destroy(name, self._boxes.pop(name))

    def _destroy(self, name: str, made: Sandbox) -> None:
        with contextlib.suppress(ProcessLookupError):
            if made.outer:
                os.kill(made.first, signal.SIGKILL)
        if made.outer:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(made.outer, 0)
        for pid in [pid for pid, (_, owner) in self._running.items() if owner == name]:
            kill_tree(pid)
        for fd in (made.user, made.mnt, *made.inner.values()):
            os.close(fd)
        if self._groups is not None:
            self._groups.remove(name)

    def _end(self) -> None:
        for name in list(self._boxes):
            with contextlib.suppress(OSError):
                self._destroy(name, self._boxes.pop(name))
        for pid in self._running:
            kill_tree(pid)
        if self._groups is not None:
            self._groups.close()


def main() -> None:
    """Run with the socket's descriptor and the settings as arguments."""
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        Launcher(connection, json.loads(sys.argv[2])).run()
