"""Where the copies of a vectorised environment live: in this process, or in one of their own that may die."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import cloudpickle
import gymnasium

from cmat_env.errors import ConfigError

Command = tuple[int, str, Any]
"""Which slot, what to do ("facts", "reset", "step", "call"), and with what."""

_GRACE = 5.0
_START = 120.0  # seconds that a process has for its start, on a busy machine


@dataclass(frozen=True, slots=True)
class Answer:
    """What one slot gave, or what went wrong with it.

    Attributes:
        value: of the command.
        error: in words; empty = none.
    """

    value: Any = None
    error: str = ""


class Host(Protocol):
    """A place for copies of an environment."""

    slots: Sequence[int]

    def send(self, commands: Sequence[Command]) -> None:
        """Begin to do these."""
        ...

    def receive(self, timeout: float) -> dict[int, Answer]:
        """What came of them, by slot; a place that hangs longer than `timeout` seconds is given up and made anew."""
        ...

    def close(self, timeout: float) -> None:
        """Close the copies; again is fine."""
        ...


class Copies:
    """The copies of some slots; one that raises is made anew for its next episode.

    Args:
        make: makes one.
        slots: whose.
    """

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], slots: Sequence[int]) -> None:
        self.make, self.slots = make, slots
        self._envs: dict[int, gymnasium.Env[Any, Any]] = {}

    def do(self, commands: Sequence[Command]) -> dict[int, Answer]:
        """Every command in order."""
        return {slot: self._one(slot, what, value) for slot, what, value in commands}

    def close(self) -> None:
        """Close all."""
        while self._envs:
            with contextlib.suppress(Exception):
                self._envs.popitem()[1].close()

    def _one(self, slot: int, what: str, value: Any) -> Answer:
        try:
            if slot not in self._envs:
                self._envs[slot] = self.make()
            return Answer(self._done(self._envs[slot], what, value))
        except Exception as error:  # whatever a task raises ends its own episode only
            if what != "call":
                broken = self._envs.pop(slot, None)
                if broken is not None:
                    with contextlib.suppress(Exception):
                        broken.close()
            return Answer(error=f"{type(error).__name__}: {error}"[:2000])

    def _done(self, env: gymnasium.Env[Any, Any], what: str, value: Any) -> Any:
        if what == "reset":
            seed, options = value
            return env.reset(seed=seed, options=options)
        if what == "step":
            return env.step(value)
        if what == "call":
            name, arguments = value
            found = env.get_wrapper_attr(name)
            return found(*arguments) if callable(found) else found
        return {
            "metadata": dict(env.metadata),
            "render_mode": env.render_mode,
            "observation": env.observation_space,
            "action": env.action_space,
        }


class Here:
    """Copies in this process; nothing here can hang but the caller itself."""

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], slots: Sequence[int]) -> None:
        self.slots = slots
        self._copies = Copies(make, slots)
        self._answers: dict[int, Answer] = {}

    def send(self, commands: Sequence[Command]) -> None:
        """Do them at once."""
        self._answers = self._copies.do(commands)

    def receive(self, timeout: float) -> dict[int, Answer]:
        """What came of them."""
        return self._answers

    def close(self, timeout: float) -> None:
        """Close the copies."""
        self._copies.close()


class There:
    """Copies in a process of their own. If it dies or hangs it is ended, and a new one is made for the next command.

    Args:
        make: makes a copy; it is sent to the process.
        slots: whose copies.

    Raises:
        ConfigError: `make` cannot be sent.
    """

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], slots: Sequence[int]) -> None:
        self.slots = slots
        try:
            self._make: bytes = cloudpickle.dumps(make)
        except Exception as error:
            raise ConfigError(
                f"the environment cannot be sent to another process ({error}); give its id, or workers=0"
            ) from error
        self._process: Any = None
        self._pipe: Connection | None = None
        self._asked: list[int] = []
        self._lost = ""
        self._starting = False

    def send(self, commands: Sequence[Command]) -> None:
        """Hand them over."""
        self._asked, self._lost = [slot for slot, _, _ in commands], ""
        try:
            self._opened().send_bytes(cloudpickle.dumps(list(commands)))
        except OSError:
            self._lost = self._end("died")

    def receive(self, timeout: float) -> dict[int, Answer]:
        """Wait for the answers; if the process is lost, its slots are told so."""
        if not self._lost and self._pipe is not None:
            try:
                if self._pipe.poll(timeout + (_START if self._starting else 0.0)):
                    self._starting = False
                    answers: dict[int, Answer] = cloudpickle.loads(self._pipe.recv_bytes())
                    return answers
                self._lost = self._end(f"gave no answer within {timeout:g} s")
            except (EOFError, OSError):
                self._lost = self._end("died")
        return {slot: Answer(error=self._lost) for slot in self._asked}

    def close(self, timeout: float) -> None:
        """Ask the process to close its copies, and end it if it does not."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            assert self._pipe is not None
            self._pipe.send_bytes(cloudpickle.dumps(None))
            self._process.join(min(timeout, _GRACE))
        self._end("was closed")

    def _opened(self) -> Connection:
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_work, args=(theirs, self._make, list(self.slots)), daemon=True)
            self._process.start()
            self._starting = True
            theirs.close()
        return self._pipe

    def _end(self, how: str) -> str:
        """End the process, and say in words what became of it."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        process.join(0.5)
        status = process.exitcode
        if process.is_alive():
            process.kill()
            process.join()
        process.close()
        return f"its worker process {how}" + ("" if status in (None, 0) else f" (exit status {status})")


def _work(pipe: Connection, made: bytes, slots: list[int]) -> None:
    """In the process: do what comes until there is no more. Ctrl-C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    copies = Copies(cloudpickle.loads(made), slots)
    try:
        while True:
            commands = cloudpickle.loads(pipe.recv_bytes())
            if commands is None:
                return
            pipe.send_bytes(cloudpickle.dumps(copies.do(commands)))
    except (EOFError, OSError):
        return  # the parent is gone
    finally:
        copies.close()
