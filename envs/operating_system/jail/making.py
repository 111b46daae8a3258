"""Making a sandbox: from a fork to bubblewrap's first process, with users mapped and groups entered on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cmat_env.envs.operating_system.jail import box, linux
from cmat_env.envs.operating_system.jail.processes import kill_tree
from cmat_env.envs.operating_system.jail.users import RefusedError, Users

NAMESPACES = (
    ("net", linux.CLONE_NEWNET),
    ("ipc", linux.CLONE_NEWIPC),
    ("uts", linux.CLONE_NEWUTS),
    ("pid", linux.CLONE_NEWPID),
)


@dataclass(slots=True)
class Sandbox:
    """A sandbox as the launcher knows it.

    Attributes:
        spec: what it was made from.
        outer: the process id of bubblewrap's monitor.
        first: the process id of the sandbox's first process.
        user, mnt: descriptors of its user namespace and of its outer mount namespace.
        inner: by name, descriptors of the namespaces of its first process.
    """

    spec: dict[str, Any]
    outer: int
    first: int
    user: int
    mnt: int
    inner: dict[str, int]


def make(spec: dict[str, Any], *, leash: int, filter_: int, users: Users, enter: Callable[[int], object]) -> Sandbox:
    """Make one.

    Args:
        spec: what it shall be.
        leash: the descriptor that its first process obeys.
        filter_: a descriptor of the call filter.
        users: who map its user namespace.
        enter: puts a process, by its number, under the sandbox's limits.

    Raises:
        RefusedError, OSError: it cannot be made; nothing of it is left.
    """
    report, report_end = os.pipe()
    said, say = os.pipe()
    go_end, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        in_child(say, lambda: _become_first(spec, (leash, filter_, report_end, say), go_end))
    for fd in (report_end, say, go_end):
        os.close(fd)
    try:
        return _accompany(spec, pid, (said, go, report), users, enter)
    except BaseException:
        kill_tree(pid)
        os.waitpid(pid, 0)
        raise
    finally:
        for fd in (said, go, report):
            os.close(fd)


def in_child(complain: int, body: Callable[[], object]) -> None:
    """In a forked child: run `body`, which becomes another program; if it cannot, say why and exit."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        body()
    except BaseException as error:
        for fd in (complain, 2):  # the first is closed once the way to the other program is cleared
            with contextlib.suppress(OSError):
                os.write(fd, f"{type(error).__name__}: {error}\n".encode())
                break
    os._exit(126)


def _become_first(spec: dict[str, Any], fds: tuple[int, int, int, int], go: int) -> None:
    say = fds[3]
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
    os.write(say, b"+")  # now we can be mapped
    if os.read(go, 1) != b"+":
        os._exit(1)

    def ready() -> None:
        os.write(say, b"+")
        os.read(go, 1)

    box.first(spec, fds, ready)


def _accompany(
    spec: dict[str, Any], pid: int, fds: tuple[int, int, int], users: Users, enter: Callable[[int], object]
) -> Sandbox:
    """Lead a new sandbox through its first steps."""
    said, go, report = fds
    _expect_plus(said)
    users.map(pid)
    enter(pid)
    os.write(go, b"+")
    _expect_plus(said)
    held = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("user", "mnt")}
    inner: dict[str, int] = {}
    try:
        os.write(go, b"+")
        first = _first_of(report, said)
        for kind in ("mnt", *(kind for kind, _ in NAMESPACES)):
            inner[kind] = os.open(f"/proc/{first}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except BaseException:
        for fd in (*held.values(), *inner.values()):
            os.close(fd)
        raise
    with contextlib.suppress(OSError):  # needs CAP_SYS_RESOURCE; programs are made likelier victims anyway
        box.put(f"/proc/{first}/oom_score_adj", "-1000")
    return Sandbox(spec, pid, first, held["user"], held["mnt"], inner)


def _first_of(report: int, said: int) -> int:
    """The number of the first process, as bubblewrap tells it."""
    words = b""
    while not words.rstrip().endswith(b"}"):
        more = os.read(report, 4096)
        if not more:
            raise RefusedError(f"bubblewrap failed: {os.read(said, 4096).decode(errors='replace') or 'no reason'}")
        words += more
    return int(json.loads(words)["child-pid"])


def _expect_plus(said: int) -> None:
    words = os.read(said, 1)
    if words != b"+":
        words += os.read(said, 4096)
        raise RefusedError(words.decode(errors="replace").strip() or "the sandbox's first process died")
