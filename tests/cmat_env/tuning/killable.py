"""A server for the tests of resuming: it has torch imported, and forks a process for each attempt at a run.

An order is a line of JSON on standard input: {"folder": of the run, "events": N, "within": TEXT, "seconds": S,
"overrides": settings as `cmat train --set` takes them}. The attempt is killed before the Nth of its file events whose
path has this text in it, or after so many seconds; 0 = never. A file event is an audited call of the interpreter, such
as an open or a rename, on a path in the run's folder. The answer is a line of JSON as well: {"status": of the attempt,
negative for a signal, "events": how many it counted}. The first line of all says that the server is ready.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot

import cmat_env
from cmat_env.tuning.config import load
from cmat_env.tuning.run import Run

SETTINGS = Path(__file__).with_name("tiny_run.toml")
EVENTS = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir"}


class Killer:
    """Counts file events, and kills this process before one of them; see `sys.addaudithook`."""

    def __init__(self, folder: str, within: str, last: int) -> None:
        self.count = 0
        self._folder, self._within, self._last = folder, within, last

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """An event is about to happen."""
        if event in EVENTS and arguments:
            path = str(arguments[0])
            if path.startswith(self._folder) and self._within in path:
                self.count += 1
                if self.count == self._last:
                    os.kill(os.getpid(), signal.SIGKILL)


def seed(number: int) -> None:
    """Seed the global generators, which a run keeps but does not seed."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def attempt(folder: Path, within: str, last: int, overrides: list[str]) -> int:
    """Begin the run, or go on with it; returns the number of file events.

    The global generators begin otherwise where there is a checkpoint, which has to put them back.
    """
    seed(int(any(path.name.isdigit() for path in folder.glob("checkpoints/*"))))
    killer = Killer(str(folder), within, last)
    sys.addaudithook(killer)
    Run(load(SETTINGS, overrides), folder).execute(resume=(folder / "config.toml").exists())
    return killer.count


def ended(child: int, seconds: float) -> int:
    """Wait for a process, and kill it after so many seconds if that is not 0; returns its status."""
    deadline = time.monotonic() + seconds
    while seconds and time.monotonic() < deadline:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(code)
        time.sleep(0.002)
    if seconds:
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def serve() -> None:
    """Carry out each order."""
    torch.set_num_threads(1)
    guess = runpy.run_path(str(Path(__file__).parents[2] / "conftest.py"))["GuessTask"]
    cmat_env.register("test/Guess-v0", guess)
    pyplot.switch_backend("Agg")
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                events = attempt(Path(order["folder"]), order["within"], order["events"], order["overrides"])
                os.write(writer, str(events).encode())
                status = 0
            finally:
                if status:
                    sys.excepthook(*sys.exc_info())
                os._exit(status)
        os.close(writer)
        status = ended(child, order["seconds"])
        with os.fdopen(reader) as file:
            events = int(file.read() or 0)
        print(json.dumps({"status": status, "events": events}), flush=True)


if __name__ == "__main__":
    serve()
