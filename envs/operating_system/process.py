"""A program that runs once in a sandbox: read all that it writes, within limits of time and size."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cmat_env.envs.operating_system.backends.base import LiveSandbox, Pipes, SandboxError, View

_CHUNK = 65536
_GRACE = 0.2
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended.

    Attributes:
        status: its exit status; above 128 = killed by signal status - 128.
        stdout, stderr: what it wrote, as far as the limit on output allows.
        timed_out: it was killed because its time was up.
        truncated: it wrote more than was kept.
    """

    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False


class Running:
    """A program that has been started; `wait` collects it.

    Raises:
        SandboxError: the sandbox is dead.
    """

    def __init__(
        self,
        sandbox: LiveSandbox,
        argv: Sequence[str],
        *,
        view: View,
        seconds: float,
        output: int,
        cwd: str = "/root",
    ) -> None:
        self._sandbox = sandbox
        self._room = output
        self._deadline = time.monotonic() + seconds
        self._pipes: Pipes | None = sandbox.spawn(argv, view=view, merged=False, cwd=cwd)
        os.close(self._pipes.stdin)
        self._read: dict[int, bytearray] = {self._pipes.stdout: bytearray(), self._pipes.stderr: bytearray()}
        self._open = set(self._read)
        self._finished: Finished | None = None

    def wait(self) -> Finished:
        """Wait until it ends, and return what it wrote; again the same.

        Output is read to its end after the program has ended: a line lost here would be a wrong reward. Where something
        that it left behind keeps the descriptors open, that is at most another fifth of a second.

        Raises:
            SandboxError: the sandbox died.
        """
        if self._finished is None:
            self._finished = self._collect()
        return self._finished

    def close(self) -> None:
        """Forget it; kills the program if it still runs."""
        if self._pipes is not None and self._finished is None:
            self._sandbox.kill(self._pipes.pid)
        self._release()

    def _collect(self) -> Finished:
        assert self._pipes is not None
        pipes, status, timed_out, until = self._pipes, b"", False, self._deadline
        waiting_for_status = True
        try:
            while waiting_for_status or self._open:
                left = until - time.monotonic()
                if left <= 0:
                    if not waiting_for_status:
                        break
                    if timed_out:
                        raise SandboxError("a program could not be killed; the sandbox is given up")
                    timed_out, until = True, time.monotonic() + _PATIENCE
                    self._sandbox.kill(pipes.pid)
                    continue
                watched = [*self._open, *([pipes.status] if waiting_for_status else [])]
                for fd in _readable(watched, left):
                    if fd != pipes.status:
                        self._take(fd)
                        continue
                    more = os.read(fd, 64)
                    status += more
                    if not more or status.endswith(b"\n"):
                        waiting_for_status = False
                        until = min(time.monotonic() + _GRACE, max(until, time.monotonic()))
            for fd in list(self._open):
                self._take(fd)
        finally:
            self._release()
        if not status.strip():
            raise SandboxError("the sandbox died while a program ran in it")
        code = int(status)
        out, err = (bytes(self._read[fd]) for fd in (pipes.stdout, pipes.stderr))
        return Finished(128 - code if code < 0 else code, out, err, timed_out, self._room < 0)

    def _take(self, fd: int) -> None:
        """Read what is there."""
        while True:
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._open.discard(fd)
                return
            if self._room >= 0:
                self._read[fd] += data[: self._room]
                self._room -= len(data)
            if self._room < 0 and self._pipes is not None:
                self._deadline = 0.0
                self._sandbox.kill(self._pipes.pid)
                return

    def _release(self) -> None:
        if self._pipes is not None:
            for fd in (self._pipes.stdout, self._pipes.stderr, self._pipes.status):
                os.close(fd)
            self._pipes = None


def _readable(fds: Sequence[int], seconds: float) -> list[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(max(1, int(seconds * 1000)))]
