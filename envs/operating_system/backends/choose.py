"""Which backend works here: each is tried in order of worth, by making a sandbox and running a program in it."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass

from cmat_env.envs.operating_system.backends.base import LiveSandbox, SandboxError
from cmat_env.envs.operating_system.backends.bubblewrap import Bubblewrap
from cmat_env.envs.operating_system.backends.docker import DockerSandbox
from cmat_env.envs.operating_system.backends.launch import Mode
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.rootfs import open_rootfs
from cmat_env.errors import CmatError

ORDER = ("bubblewrap", "subuid", "single-uid", "docker")
_MODES: dict[str, Mode] = {"bubblewrap": "root", "subuid": "subuid", "single-uid": "single"}
_INSTALL = (
    "no sandbox can be made here, and tasks are never run without one. Do one of these: pip install 'cmat-env[os]' for "
    "bubblewrap, and allow user namespaces (sysctl -w user.max_user_namespaces=10000; on Ubuntu 24.04 also sysctl -w "
    "kernel.apparmor_restrict_unprivileged_userns=0); apt-get install uidmap for tasks with several users; or install "
    "Docker and run: pip install docker. What was tried"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a backend works here.

    Attributes:
        backend: its name.
        reason: why it does not; "" = it works.
        rootfs: the name of the root file system that it used.
        notes: what it lacks, although it works.
    """

    backend: str
    reason: str = ""
    rootfs: str = ""
    notes: tuple[str, ...] = ()


def start(backend: str, settings: SandboxSettings) -> LiveSandbox:
    """Make a sandbox with this backend.

    Raises:
        SandboxError: it does not work here.
    """
    if backend == "docker":
        return DockerSandbox(settings)
    return Bubblewrap(_MODES[backend], settings, open_rootfs(settings.rootfs))


@functools.lru_cache(maxsize=32)
def probe(backend: str, settings: SandboxSettings) -> Probe:
    """Try a backend; the answer is remembered."""
    notes: list[str] = []
    try:
        sandbox = start(backend, settings)
    except (CmatError, OSError) as error:
        return Probe(backend, str(error) or type(error).__name__)
    try:
        if sandbox.processes() is None:
            return Probe(backend, "its first process does not answer")
        if isinstance(sandbox, Bubblewrap):
            notes += sandbox.notes
    finally:
        sandbox.close()
    if backend == "single-uid":
        notes.append("one user only: tasks that use useradd, su or chown to others cannot run")
    rootfs = settings.image if backend == "docker" else open_rootfs(settings.rootfs).name
    return Probe(backend, "", rootfs, tuple(notes))


def choose(settings: SandboxSettings) -> Probe:
    """The backend that settings ask for, or the best that works.

    Raises:
        SandboxError: none works, with the reason of each; tasks never run without a sandbox.
    """
    wanted = ORDER if settings.backend == "auto" else (settings.backend,)
    tried: list[Probe] = []
    for backend in wanted:
        found = probe(backend, settings)
        if not found.reason:
            return found
        tried.append(found)
    reasons = "; ".join(f"{each.backend}: {each.reason}" for each in tried)
    raise SandboxError(f"{_INSTALL}: {reasons}")


def user_namespaces() -> str:
    """Why the kernel refuses user namespaces, as far as its settings tell; "" = they do not."""
    for path, bad, how in (
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):  # fmt: skip
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            if file.read().strip() == bad and (os.geteuid() != 0 or "max" in path):
                return f"{path} is {bad}; run: {how}"
    return ""
