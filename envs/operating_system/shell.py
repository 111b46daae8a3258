"""The live shell of an episode: one bash that keeps its folder, variables and jobs from command to command.

A command is sent as `eval $'...' </dev/null`; where its output ends is told by a marker that the shell prints.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Literal

from cmat_env.envs.operating_system.backends.base import LiveSandbox, Pipes, SandboxError
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.markers import GRACE, NOWHERE, SPARE_FD, End, Reader, quoted

Event = Literal["", "timeout", "output", "exited", "restarted", "processes", "redirected", "dead"]

MAX_COMMAND = 65536
_START = 20.0
_PAUSE = 0.05
_CROWDED = 0.5
_SETUP = f"exec {SPARE_FD}>&1; shopt -s expand_aliases execfail; PS1='\\u@\\h:\\w\\$ '; umask 022; cd"


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
        # left of || a status is restored without setting off a trap on errors
        before = f"(\\builtin exit {self._last}) || " if self._last else ""
        text = f"{before}\\builtin eval {quoted(command)} </dev/null\n" if null_stdin else f"{command}\n"
        found = self._exchange(text, time.monotonic() + self._settings.seconds)
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
        reader = Reader(self._pipes, text, self._settings.output)
        event: Event = ""
        end = reader.read_until(deadline)
        if end in ("timeout", "output"):
            event = end
            end = self._stop(reader)
        output = reader.text()
        if end != "marker":
            died = end == "exited"
            self._restart()
            happened: Event = "dead" if self._pipes is None else "exited" if died and not event else "restarted"
            return ShellResult(output, None, happened, reader.truncated)
        status, inner, redirected = reader.facts
        if redirected == NOWHERE:
            self._restart()
            return ShellResult(output, None, "restarted", reader.truncated)
        self._inner = inner
        if redirected:
            event = event or ("redirected" if self._repair() else "restarted")
        return ShellResult(output, None if event in ("timeout", "output") else status, event, reader.truncated)

    def _stop(self, reader: Reader) -> End:
        """Kill what runs, again and again for a while: a shell goes on with the next command of a list."""
        deadline = time.monotonic() + GRACE
        while True:
            self._sandbox.reclaim(self._inner)
            end = reader.read_until(min(time.monotonic() + _PAUSE, deadline), unlimited=True)
            if end != "timeout" or time.monotonic() >= deadline:
                return end

    def _repair(self) -> bool:
        """Put the shell's output back where it should go; where that fails, begin anew."""
        assert self._pipes is not None
        reader = Reader(self._pipes, f"\\exec 1>&{SPARE_FD} 2>&{SPARE_FD}\n", self._settings.output)
        if reader.read_until(time.monotonic() + GRACE) == "marker" and reader.facts[2] == 0:
            return True
        self._restart()
        return False

    def _begin(self) -> None:
        self._pipes = self._sandbox.spawn(["/bin/bash", "--login"], view="own", merged=True, cwd="/root")
        self._last = 0
        reader = Reader(self._pipes, f"{_SETUP}\n", self._settings.output)
        end = reader.read_until(time.monotonic() + _START, unlimited=True)
        if end != "marker":
            self.close()
            raise SandboxError(f"no shell could be started ({end}): {reader.text()[-200:]}")
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
