"""A sandbox for agents that may do anything: a live shell, programs beside it, and a view with untouched tools.

with Sandbox(seconds=5) as sandbox:
    sandbox.run("mkdir /data && seq 10 > /data/numbers")
    print(sandbox.execute("cd /data; wc -l numbers").output)
    print(sandbox.run("wc -l < /data/numbers", view="pristine").stdout)
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Sequence
from typing import Any, Literal

from cmat_env.closing import Closing
from cmat_env.envs.operating_system.backends.base import LiveSandbox, SandboxError, View
from cmat_env.envs.operating_system.backends.choose import choose, start
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.process import Finished, Running
from cmat_env.envs.operating_system.shell import MAX_COMMAND, Shell, ShellResult
from cmat_env.errors import ConfigError

Language = Literal["bash", "python"]

_MAX_ARGUMENT = 131_000
_PROGRAMS = {
    "bash": ("/bin/bash", "--noprofile", "--norc", "-c"),
    "python": ("/usr/bin/python3", "-c"),
}
_ISOLATED_PYTHON = ("/usr/bin/python3", "-I", "-c")


class Sandbox(Closing):
    """A machine of its own for one episode.

    Whatever a command does is told in its result; nothing raises for it. Only a sandbox that is dead raises
    `SandboxError` where a program was to run, while `execute` says so in its result.

    Args:
        settings: how it is made and what it may use.
        changes: fields of `SandboxSettings` that differ from `settings`.

    Attributes:
        settings: as they hold.
        backend: which one was chosen: "bubblewrap", "subuid", "single-uid" or "docker".
        rootfs: the name of its root file system.

    Raises:
        SandboxError: no sandbox can be made on this host; the message says why, and what to install.
        ConfigError: there is no such setting, or it is out of range.
    """

    def __init__(self, settings: SandboxSettings | None = None, **changes: Any) -> None:
        known = {field.name for field in dataclasses.fields(SandboxSettings)}
        for name in changes:
            if name not in known:
                raise ConfigError(f"a sandbox has no setting {name!r}; known: {', '.join(sorted(known))}")
        self.settings = dataclasses.replace(settings or SandboxSettings(), **changes)
        chosen = choose(self.settings)
        self.backend, self.rootfs = chosen.backend, chosen.rootfs
        self._live: LiveSandbox = start(chosen.backend, self.settings)
        self._shell: Shell | None = None
        self._end = weakref.finalize(self, self._live.close)

    def execute(self, command: str) -> ShellResult:
        """Run a command in the live shell, which is started with the first one and keeps folder, variables and jobs."""
        if len(command.encode("utf-8", errors="replace")) > MAX_COMMAND:
            return ShellResult(f"the command is longer than {MAX_COMMAND} bytes and was not run", None)
        try:
            return self._open_shell().execute(command)
        except SandboxError:
            return ShellResult("", None, "dead")

    def type_in(self, lines: str) -> ShellResult:
        """Type lines into the live shell, so that `su - jack` leaves it as jack's."""
        try:
            return self._open_shell().execute(lines, null_stdin=False)
        except SandboxError:
            return ShellResult("", None, "dead")

    def _open_shell(self) -> Shell:
        if self._shell is None:
            self._shell = Shell(self._live, self.settings)
        return self._shell

    def start(
        self,
        script: str,
        *,
        language: Language = "bash",
        args: Sequence[str] = (),
        view: View = "own",
        seconds: float | None = None,
    ) -> Running:
        """Start a script beside the shell, in a process of its own, and go on; see `run`.

        Raises:
            SandboxError: the sandbox is dead.
            ConfigError: the script or an argument is longer than the kernel allows.
        """
        if language not in _PROGRAMS:
            raise ConfigError(f"language={language!r} is unknown; known: {', '.join(_PROGRAMS)}")
        for text in (script, *args):
            if len(text.encode("utf-8", errors="replace")) > _MAX_ARGUMENT or "\0" in text:
                raise ConfigError(
                    f"{text!r:.60} cannot be an argument: over {_MAX_ARGUMENT} bytes, or with a NUL in it"
                )
        program = _ISOLATED_PYTHON if language == "python" and view != "own" else _PROGRAMS[language]
        words = [*program, script, *(("--",) if language == "bash" and args else ()), *args]
        limit = self.settings.seconds if seconds is None else seconds
        return Running(self._live, words, view=view, seconds=limit, output=self.settings.output)

    def run(
        self,
        script: str,
        *,
        language: Language = "bash",
        args: Sequence[str] = (),
        view: View = "own",
        seconds: float | None = None,
    ) -> Finished:
        """Run a script in a process of its own, as root in /root, and wait for its end.

        Args:
            script: bash or Python.
            language: of the script.
            args: its arguments.
            view: "own" = in the sandbox as it is; "pristine" = on its files, but with the tools that were there in the
                beginning, so that nothing an agent planted is executed in their place, and without leaving a trace;
                "snapshot" = on the files as they were at `snapshot`.
            seconds: wall time, by default that of a command.

        Raises:
            SandboxError: the sandbox is dead, or has no snapshot.
            ConfigError: the script or an argument is longer than the kernel allows.
        """
        running = self.start(script, language=language, args=args, view=view, seconds=seconds)
        try:
            return running.wait()
        finally:
            running.close()

    def snapshot(self) -> None:
        """Keep a copy of all changed files for the view "snapshot"; once, while nothing in the sandbox writes.

        Raises:
            SandboxError: the sandbox is dead, or the copy does not fit on its disk.
        """
        self._live.snapshot()

    @property
    def alive(self) -> bool:
        """Is it still there?"""
        return self._end.alive and self._live.alive()

    def close(self) -> None:
        """Kill everything in it and remove it; twice is fine."""
        if self._shell is not None:
            self._shell.close()
        self._end()

    def __repr__(self) -> str:
        return f"Sandbox(backend={self.backend!r}, rootfs={self.rootfs!r})"
