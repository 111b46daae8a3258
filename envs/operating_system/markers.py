"""How the output of one command is told from the next: markers that the shell prints, and the reader that finds them.

A marker is two halves of a fresh random number, which stand together nowhere but in it. Everything that comes out is an
agent's word: a forged marker can only cut its own observation short. A second marker, with the halves changed about,
tells whether the shell's output still goes where it should; what comes between the two (traces of our own words, a
process in the background) is left out.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import time
from typing import Literal

from cmat_env.envs.operating_system.backends.base import Pipes
from cmat_env.envs.operating_system.clean import clean

End = Literal["marker", "timeout", "output", "exited", "closed"]

GRACE = 1.0
"""Seconds for what should come at once."""
SPARE_FD = 198
"""The shell's own copy of its output."""
NOWHERE = 9
"""Said of an output whose copy is gone as well."""
_CHUNK = 65536
_LONGEST_MARKER = 64
_PLAIN = re.compile(rb"[A-Za-z0-9_ ./,:=+@%^-]")


def quoted(command: str) -> str:
    """A word of bash that stands for these characters."""
    data = command.replace("\0", "").encode("utf-8", errors="replace")
    if _PLAIN.sub(b"", data) == b"":
        return f"'{data.decode()}'"
    return "$'" + "".join(chr(b) if _PLAIN.fullmatch(bytes((b,))) else f"\\{b:03o}" for b in data) + "'"


def _marker_lines(left: str, right: str) -> str:
    """Lines that print the markers: exit status and number of the shell, then 0 if its output is in order.

    Each marker is one write, so that nothing else comes to stand in its midst.
    """
    return (
        f"\\builtin printf '\\n%s%s:%d:%d\\n' {left} {right} $? $$ >&{SPARE_FD} || "
        f"\\builtin printf '\\n%s%s:0:%d\\n\\n%s%s:{NOWHERE}\\n' {left} {right} $$ {right} {left}\n"
        f"[[ /dev/fd/1 -ef /dev/fd/{SPARE_FD} && /dev/fd/2 -ef /dev/fd/{SPARE_FD} ]]\n"
        f"\\builtin printf '\\n%s%s:%d\\n' {right} {left} $? >&{SPARE_FD}\n"
    )


class Reader:
    """Writes one command to a shell and reads what comes back, up to the second marker.

    Args:
        pipes: of the shell.
        command: lines of bash.
        room: bytes of output that are kept.

    Attributes:
        truncated: there was more.
        facts: what the markers said: exit status, number of the shell in its sandbox, 0 if its output is in order.
    """

    def __init__(self, pipes: Pipes, command: str, room: int) -> None:
        left, right = secrets.token_hex(6), secrets.token_hex(6)
        self._pipes = pipes
        self._unsent = memoryview(f"{command}{_marker_lines(left, right)}".encode("utf-8", errors="replace"))
        self._half = left
        self._first = re.compile(rf"\n{left}{right}:(\d{{1,3}}):(\d{{1,10}})\n".encode())
        self._second = re.compile(rf"\n{right}{left}:([01{NOWHERE}])\n".encode())
        self._found: re.Match[bytes] | None = None
        self._tail = b""
        self._room = room
        self._full = self._closed = False
        self._output = bytearray()
        self.truncated = False
        self.facts = (0, 0, 0)

    def read_until(self, deadline: float, *, unlimited: bool = False) -> End:
        """Read until the marker, the deadline, too much output (unless unlimited), or the end of all."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            poll = select.poll()
            poll.register(self._pipes.stdout, select.POLLIN)
            poll.register(self._pipes.stdin, select.POLLOUT if self._unsent else 0)
            ready = dict(poll.poll(max(1, int(left * 1000))))
            gone = ready.get(self._pipes.stdin, 0) & (select.POLLHUP | select.POLLERR)
            if self._pipes.stdout in ready and self._take():
                return "marker"
            if gone:  # the rest was written before the shell ended, and is there now
                return "marker" if self._take() else "exited"
            if self._closed:
                return "exited" if self._hung_up() else "closed"
            if self._full and not unlimited:
                return "output"
            if ready.get(self._pipes.stdin, 0) & select.POLLOUT:
                self._write()

    def text(self) -> str:
        """The output, cleaned, and without lines that show our own words, as `set -x` makes them."""
        self._keep(self._tail)  # what looked like the beginning of a marker, if none came
        self._tail = b""
        output = clean(bytes(self._output))
        if self._half not in output:
            return output
        return "\n".join(line for line in output.split("\n") if self._half not in line)

    def _hung_up(self) -> bool:
        """Has the shell ended, now that nothing writes any more? Its descriptors are closed one after the other."""
        poll = select.poll()
        poll.register(self._pipes.stdin, 0)
        return bool(poll.poll(int(GRACE * 1000)))

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._pipes.stdin, self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent = memoryview(b"")

    def _take(self) -> bool:
        """Read what is there; True = the second marker was among it."""
        for _ in range(64):
            try:
                data = os.read(self._pipes.stdout, _CHUNK)
            except BlockingIOError:
                return False
            if not data:
                self._closed = True
                return False
            seen = self._tail + data
            if self._found is None and (first := self._first.search(seen)):
                self._keep(seen[: first.start()])
                self._found, seen = first, seen[first.end() :]
            if self._found and (second := self._second.search(seen)):
                self.facts = (int(self._found[1]), int(self._found[2]), int(second[1]))
                return True
            cut = seen.find(b"\n", max(0, len(seen) - _LONGEST_MARKER))
            cut = len(seen) if cut < 0 else cut
            self._keep(seen[:cut])
            self._tail = seen[cut:]
        return False

    def _keep(self, data: bytes) -> None:
        """Keep what comes before the first marker, as far as there is room."""
        if self._found:
            return
        self._output += data[: self._room]
        self._room -= min(len(data), self._room)
        if self._room == 0 and data:
            self._full = self.truncated = True
