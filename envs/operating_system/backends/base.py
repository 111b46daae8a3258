"""What a backend of sandboxes is: it makes live sandboxes, each with programs, a snapshot and an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cmat_env.errors import CmatError

View = Literal["own", "pristine", "snapshot"]
"""Where a program runs: in the sandbox as it is; on its data with untouched tools; in the state of the snapshot."""

SPARE = """
spare() {
    local keep=" 1 $$ " p=$1 d line
    while [[ $p =~ ^[0-9]+$ && $p -gt 1 && -r /proc/$p/stat ]]; do
        keep+="$p "; read -r line </proc/$p/stat; line=${line##*) }; line=${line#* }; p=${line%% *}
    done
    kill -STOP -1
    for d in /proc/[0-9]*; do d=${d#/proc/}; [[ $keep == *" $d "* ]] || kill -KILL $d; done
    kill -CONT -1
}
"""
"""A function of bash that kills all processes of its machine but number $1, that one's ancestors, and itself.

They are stopped at once, so that nothing can fork away; only words of bash itself are used, as there may be no room for
another process.
"""


class SandboxError(CmatError, RuntimeError):
    """No sandbox can be made here, or one has died; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Pipes:
    """The near ends of a program's descriptors.

    Attributes:
        stdin: a socket's or pipe's descriptor to write to; it hangs up when nobody reads it any more.
        stdout: to read from, without blocking.
        stderr: to read from, without blocking; the same as stdout if the program was started with one for both.
        status: gives the exit status as a decimal line, then ends.
        pid: by which the backend knows the program.
    """

    stdin: int
    stdout: int
    stderr: int
    status: int
    pid: int


class LiveSandbox(Protocol):
    """A sandbox that has been started."""

    def spawn(self, argv: Sequence[str], *, view: View, merged: bool, cwd: str) -> Pipes:
        """Start a program.

        Args:
            argv: the program by its full path, and its arguments.
            view: where it runs.
            merged: does standard error go where standard output goes?
            cwd: the working folder.

        Raises:
            SandboxError: the sandbox is dead, or cannot do this.
        """
        ...

    def kill(self, pid: int) -> None:
        """Kill a program of `spawn` and what it has started."""
        ...

    def reclaim(self, spare: int | None) -> None:
        """Kill every process in the sandbox but the one numbered `spare` there, and its ancestors; None = all.

        What is started afterwards is not killed.
        """
        ...

    def processes(self) -> int | None:
        """How many there are, about; None = it does not answer."""
        ...

    def snapshot(self) -> None:
        """Keep the present state of the file system for the view "snapshot"; once."""
        ...

    def alive(self) -> bool:
        """Is it still there?"""
        ...

    def close(self) -> None:
        """Kill everything in it and remove it; twice is fine."""
        ...
