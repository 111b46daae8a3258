"""The live shell of an episode: one bash that keeps its folder, variables and jobs from command to command.

A command is sent as `eval $'...' </dev/null`, then a line that prints a marker: two halves of a fresh random number,
which stand together nowhere but in the marker. Everything that comes out is an agent's word: a forged marker can only
cut its own observation short. The marker also tells whether the shell's output still goes where it should.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import time
from dataclasses import dataclass
from typing import Literal

from cmat_env.envs.operating_system.backends.base import LiveSandbox, Pipes, SandboxError
from cmat_env.envs.operating_system.clean import clean
from cmat_env.envs.operating_system.limits import SandboxSettings

Event = Literal["", "timeout", "output", "exited", "restarted", "processes", "redirected", "dead"]

End = Literal["marker", "timeout", "output", "exited", "closed"]

MAX_COMMAND = 65536
_SPARE_FD = 198
_CHUNK = 65536
_GRACE = 1.0
_START = 20.0
_PAUSE = 0.05
_PLAIN = re.compile(rb"[A-Za-z0-9_ ./,:=+@%^-]")
_CROWDED = 0.5
_LONGEST_MARKER = 64
_SETUP = f"exec {_SPARE_FD}>&1; shopt -s expand_aliases execfail; PS1='\\u@\\h:\\w\\$ '; umask 022; cd"


@dataclass(frozen=True, slots=True)
class ShellResult:
    """What one command gave.

    Attributes:
        output: standard output and error as they came, cleaned of escape sequences and control characters.
        status: the exit status; None = it did not come to an end by itself.
        event: "" = nothing special; "timeout" and "output" = stopped at that limit, the shell's state is kept;
            "exited" = the shell ended and a new one was started; "restarted" = it had to be killed, and a new one was
            started; "processes" = over half of the allowed processes were in use, and all but the shell were killed;
            "redirected" = the shell's own output had been redirected or closed, and was put back; "dead" = the sandbox
            is gone.
        truncated: it wrote more than was kept.
    """

    output: str
    status: int | None
    event: Event = ""
    truncated: bool = False


class Shell:
    """A bash in a sandbox.

    Raises:
        SandboxError: the sandbox is dead.
    """

    def __init__(self, sandbox: LiveSandbox, settings: SandboxSettings) -> None:
        self._sandbox = sandbox
        self._settings = settings
        self._pipes: Pipes | None = None
        self._inner = 0
        self._last = 0
        self._begin()

    def execute(self, command: str, *, null_stdin: bool = True) -> ShellResult:
        """Run a command, and never raise for what it does.

        Args:
            command: one or more lines of bash; NUL characters are left out.
            null_stdin: its standard input is empty; else it is the shell's own, so that `su -` stays.
        """
        if self._pipes is None:
            return ShellResult("", None, "dead")
        try:
            return self._execute(command, null_stdin)
        except (SandboxError, OSError):
            self.close()
            return ShellResult("", None, "dead")

    def _execute(self, command: str, null_stdin: bool) -> ShellResult:
        before = f"(exit {self._last})\n" if self._last else ""
        text = f"\\builtin eval {quoted(before + command)}{' </dev/null' if null_stdin else ''}\n"
        found = self._exchange(text if null_stdin else f"{command}\n", time.monotonic() + self._settings.seconds)
        self._last = found.status or 0
        if found.event not in ("exited", "restarted"):
            count = self._sandbox.processes()
            if count is None and not self._sandbox.alive():
                raise SandboxError("the sandbox is dead")
            if count is not None and count > self._settings.processes * _CROWDED:
                self._sandbox.reclaim(self._inner)
                found = ShellResult(found.output, found.status, found.event or "processes", found.truncated)
        return found

    def _exchange(self, text: str, deadline: float) -> ShellResult:
        """Send lines to the shell, and read until their marker."""
        assert self._pipes is not None
        left, right = secrets.token_hex(6), secrets.token_hex(6)
        sent = f"{text}{_marker_lines(left, right)}".encode("utf-8", errors="replace")
        reader = _Reader(self._pipes, sent, (left + right).encode(), self._settings.output)
        event: Event = ""
        end = reader.read_until(deadline)
        if end in ("timeout", "output"):
            event = end
            self._sandbox.reclaim(self._inner)
            end = reader.read_until(time.monotonic() + _GRACE, unlimited=True)
        if end != "marker":
            reader.flush()
        output = _without(clean(bytes(reader.output)), left)
        if end != "marker":
            died = end == "exited"
            self._restart()
            happened: Event = "dead" if self._pipes is None else "exited" if died and not event else "restarted"
            return ShellResult(output, None, happened, reader.truncated)
        status, inner, redirected = reader.facts
        if redirected == 9:
            self._restart()
            return ShellResult(output, None, "restarted", reader.truncated)
        self._inner = inner
        if redirected:
            event = event or ("redirected" if self._repair() else "restarted")
        return ShellResult(output, None if event in ("timeout", "output") else status, event, reader.truncated)

    def _repair(self) -> bool:
        """Put the shell's output back where it should go; where that fails, begin anew."""
        assert self._pipes is not None
        left, right = secrets.token_hex(6), secrets.token_hex(6)
        sent = f"\\exec 1>&{_SPARE_FD} 2>&{_SPARE_FD}\n{_marker_lines(left, right)}".encode()
        reader = _Reader(self._pipes, sent, (left + right).encode(), self._settings.output)
        if reader.read_until(time.monotonic() + _GRACE) == "marker" and reader.facts[2] == 0:
            return True
        self._restart()
        return False

    def _begin(self) -> None:
        self._pipes = self._sandbox.spawn(["/bin/bash", "--login"], view="own", merged=True, cwd="/root")
        self._last = 0
        left, right = secrets.token_hex(6), secrets.token_hex(6)
        sent = f"{_SETUP}\n{_marker_lines(left, right)}".encode()
        reader = _Reader(self._pipes, sent, (left + right).encode(), self._settings.output)
        end = reader.read_until(time.monotonic() + _START, unlimited=True)
        if end != "marker":
            said = clean(bytes(reader.output))[-200:]
            self.close()
            raise SandboxError(f"no shell could be started ({end}): {said}")
        self._inner = reader.facts[1]

    def _restart(self) -> None:
        """Kill every process, and begin anew; without a sandbox that lives there is no shell any more."""
        self.close()
        deadline = time.monotonic() + _START
        while True:
            self._sandbox.reclaim(None)
            try:
                self._begin()
                return
            except (SandboxError, OSError):  # there is no room yet, or no sandbox any more
                self.close()
                if time.monotonic() > deadline or not self._sandbox.alive():
                    return
                time.sleep(_PAUSE)

    def close(self) -> None:
        """Let go of it; twice is fine."""
        if self._pipes is not None:
            for fd in {self._pipes.stdin, self._pipes.stdout, self._pipes.status}:
                os.close(fd)
            self._pipes = None


def quoted(command: str) -> str:
    """A word of bash that stands for these characters."""
    data = command.replace("\0", "").encode("utf-8", errors="replace")
    if _PLAIN.sub(b"", data) == b"":
        return f"'{data.decode()}'"
    return "$'" + "".join(chr(b) if _PLAIN.fullmatch(bytes((b,))) else f"\\{b:03o}" for b in data) + "'"


def _marker_lines(left: str, right: str) -> str:
    """Lines that print the marker: exit status, number of the shell, and 0 if its output is in order."""
    shape = r"\n%s%s:%d:%d:"
    return (
        f"\\builtin printf '{shape}' {left} {right} $? $$ >&{_SPARE_FD} || "
        f"\\builtin printf '{shape}9\\n' {left} {right} 0 $$\n"
        f"[[ /dev/fd/1 -ef /dev/fd/{_SPARE_FD} && /dev/fd/2 -ef /dev/fd/{_SPARE_FD} ]]\n"
        f"\\builtin printf '%d\\n' $? >&{_SPARE_FD}\n"
    )


def _without(output: str, half: str) -> str:
    """The output without lines that show our own words, as `set -x` makes them."""
    if half not in output:
        return output
    return "\n".join(line for line in output.split("\n") if half not in line)


class _Reader:
    """Writes one command to a shell and reads what comes back, up to the marker."""

    def __init__(self, pipes: Pipes, sent: bytes, marker: bytes, room: int) -> None:
        self._pipes = pipes
        self._unsent = memoryview(sent)
        self._pattern = re.compile(b"\n" + marker + rb":(\d{1,3}):(\d{1,10}):([019])\n")
        self._tail = b""
        self._room = room
        self._full = self._closed = False
        self.output = bytearray()
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

    def _hung_up(self) -> bool:
        """Has the shell ended, now that nothing writes any more? Its descriptors are closed one after the other."""
        poll = select.poll()
        poll.register(self._pipes.stdin, 0)
        return bool(poll.poll(int(_GRACE * 1000)))

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._pipes.stdin, self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent = memoryview(b"")

    def _take(self) -> bool:
        """Read what is there; True = the marker was among it."""
        for _ in range(64):
            try:
                data = os.read(self._pipes.stdout, _CHUNK)
            except BlockingIOError:
                return False
            if not data:
                self._closed = True
                return False
            seen = self._tail + data
            match = self._pattern.search(seen)
            if match:
                self._keep(seen[: match.start()])
                self.facts = (int(match[1]), int(match[2]), int(match[3]))
                return True
            cut = seen.find(b"\n", max(0, len(seen) - _LONGEST_MARKER))
            cut = len(seen) if cut < 0 else cut
            self._keep(seen[:cut])
            self._tail = seen[cut:]
        return False

    def flush(self) -> None:
        """Keep also what looked like the beginning of a marker; none will come."""
        self._keep(self._tail)
        self._tail = b""

    def _keep(self, data: bytes) -> None:
        self.output += data[: self._room]
        self._room -= min(len(data), self._room)
        if self._room == 0 and data:
            self._full = self.truncated = True
