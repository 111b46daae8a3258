"""A container of Docker's that lives no longer than we do, and the files that go into it and come out."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Iterable, Sequence
from typing import Any

from cmat_env.envs.operating_system.backends.base import SandboxError
from cmat_env.envs.operating_system.environment import CAPABILITIES, ENVIRONMENT
from cmat_env.envs.operating_system.limits import SandboxSettings

Changes = tuple[bytes, list[str]]
"""Changed files as a tar archive, and the paths of deleted ones."""

BASH = ("/bin/bash", "--noprofile", "--norc", "-c")
_FIRST = "trap '' INT TERM HUP QUIT USR1 USR2; while read -r _; do :; done"
_AT_ONCE = 1000
_GONE = 404


class Container:
    """A container whose first process does nothing, and ends when we do not hold the connection to it any more.

    Attributes:
        engine: it, as the SDK knows it.
        id: its name.

    Raises:
        SandboxError: it cannot be made; nothing of it is left.
    """

    def __init__(self, client: Any, settings: SandboxSettings, capabilities: Sequence[str], **more: Any) -> None:
        options = {
            "stdin_open": True,
            "auto_remove": True,
            "network_mode": "none",
            "mem_limit": settings.memory,
            "memswap_limit": settings.memory,
            "pids_limit": settings.processes,
            "nano_cpus": min(2, os.cpu_count() or 1) * 1_000_000_000,
            "cap_drop": ["ALL"],
            "cap_add": [*(name.removeprefix("CAP_") for name in CAPABILITIES), *capabilities],
            "security_opt": ["no-new-privileges"],
            "ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "fsize", "Soft": settings.disk, "Hard": settings.disk},
            ],
            "shm_size": settings.disk // 4,
            "working_dir": "/root",
            "hostname": "agentbench",
            "environment": ENVIRONMENT,
            "labels": {"cmat-env": "sandbox"},
            **more,
        }
        self._leash: Any = None
        try:
            self.engine: Any = _created(client, settings.image, options)
        except Exception as error:  # the SDK's own errors are not known here without importing it
            raise SandboxError(f"Docker could not make a container of {settings.image!r}: {error}") from error
        self.id: str = self.engine.id
        try:
            self._hold()
            self.engine.start()
        except Exception as error:
            self.close()
            raise SandboxError(f"Docker could not start {settings.image!r}: {error}") from error

    def _hold(self) -> None:
        self._leash = self.engine.attach_socket(params={"stdin": 1, "stream": 1})

    def does(self, script: str, argument: str) -> bool:
        """Run a script of bash in it; did that work?"""
        try:
            return bool(self.engine.exec_run([*BASH, script, "bash", argument]).exit_code in (0, 1))
        except Exception:
            return False

    def restart(self) -> None:
        """Kill all processes; its files stay."""
        with contextlib.suppress(Exception):
            self.engine.restart(timeout=0)
            self._leash.close()
            self._hold()

    def change(self, changes: Changes) -> None:
        """Put files into it, and delete others.

        Raises:
            SandboxError: that failed.
        """
        archive, deleted = changes
        try:
            self.engine.put_archive("/", archive)
            for start in range(0, len(deleted), _AT_ONCE):
                self.engine.exec_run(["rm", "-rf", "--", *deleted[start : start + _AT_ONCE]])
        except Exception as error:
            raise SandboxError(f"Docker could not copy what was changed: {error}") from error

    def copy_to(self, archive: tarfile.TarFile, path: str, room: int) -> int:
        """Add a file or folder, without what is in it, to an archive; return its size. One that has gone is left out.

        Raises:
            SandboxError: it is larger than the room.
        """
        try:
            chunks, about = self.engine.get_archive(path)
        except Exception as error:
            if getattr(error, "status_code", None) == _GONE:
                return 0
            raise
        if about["size"] > room:
            raise SandboxError(f"what was changed is more than the disk's limit: {path} has {about['size']} bytes")
        with tarfile.open(fileobj=_Stream(chunks), mode="r|") as part:  # type: ignore[call-overload]
            member = part.next()
            assert member is not None
            content = part.extractfile(member) if member.isreg() else None
            member.name = path.lstrip("/")
            archive.addfile(member, content)
        return int(member.size)

    def close(self) -> None:
        """Remove it."""
        with contextlib.suppress(Exception):
            self.engine.remove(force=True)
        if self._leash is not None:
            with contextlib.suppress(Exception):
                self._leash.close()


def _created(client: Any, image: str, options: dict[str, Any]) -> Any:
    """A container that has not been started; its image is fetched where the engine does not have it."""
    try:
        return client.containers.create(image, [*BASH, _FIRST], **options)
    except Exception as error:
        if getattr(error, "status_code", None) != _GONE:
            raise
    client.images.pull(image)
    return client.containers.create(image, [*BASH, _FIRST], **options)


class _Stream:
    """Chunks of bytes as a file that can be read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """That many bytes, fewer at the end."""
        while len(self._rest) < size:
            more = next(self._chunks, b"")
            if not more:
                break
            self._rest += more
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
