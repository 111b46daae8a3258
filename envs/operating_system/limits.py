"""What a sandbox may use, and which root file system it has."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from cmat_env.checks import check_known
from cmat_env.errors import ConfigError

BACKENDS = ("auto", "bubblewrap", "subuid", "single-uid", "docker")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """How a sandbox is made.

    Attributes:
        backend: "auto" = the best that works here, in the order bubblewrap (with 65,536 users of its own, needs root),
            subuid (the same for an ordinary user), single-uid, docker.
        rootfs: "auto" = the one that `cmat rootfs build` made, else the host's /usr; "host"; or a folder.
        memory: bytes of all processes and files together, where control groups can be used; per process elsewhere.
        processes: at the same time.
        disk: bytes of all that is written.
        inodes: files and folders that can be made.
        seconds: wall time of one command.
        output: bytes of one command's output that are kept; a command that writes more is stopped.
        image: of the docker backend.
    """

    backend: str = "auto"
    rootfs: str = "auto"
    memory: int = 1024 * _MIB
    processes: int = 256
    disk: int = 256 * _MIB
    inodes: int = 50_000
    seconds: float = 30.0
    output: int = _MIB
    image: str = "python:3.12-bookworm"

    def __post_init__(self) -> None:
        check_known("backend", self.backend, BACKENDS)
        if self.rootfs not in ("auto", "host") and not Path(self.rootfs).is_dir():
            raise ConfigError(f"rootfs={self.rootfs!r} is no folder; give 'auto', 'host', or one that exists")
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str) and (isinstance(value, bool) or value <= 0):
                raise ConfigError(f"{field.name}={value!r}: wanted a number above 0")
        if self.disk * 4 > self.memory * 3:
            raise ConfigError(
                f"disk={self.disk} is over three quarters of memory={self.memory}: files count as memory, and filling "
                "the disk would kill the sandbox; lower disk or raise memory"
            )
