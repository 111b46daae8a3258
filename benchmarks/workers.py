"""Measurements in processes of their own: memory is told apart, threads are set, and several can run at once.

A worker is a module that calls `serve(prepare)`. It is given a specification, gets ready, waits until all are,
measures, and prints its figures as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import peak_megabytes

ROOT = Path(__file__).resolve().parents[1]
READY = "ready to measure"


def serve(prepare: Callable[[dict[str, Any]], Callable[[], dict[str, Any]]]) -> None:
    """Be a worker: `prepare` takes the specification and gives what is to be measured."""
    run = prepare(json.loads(sys.argv[1]))
    print(READY, flush=True)
    sys.stdin.readline()
    figures = run()
    print(json.dumps({**figures, "peak_mib": peak_megabytes()}), flush=True)


def run(
    module: str, specs: Sequence[Mapping[str, Any]], *, threads: int = 1, python: str = sys.executable
) -> list[dict[str, Any]]:
    """The figures of workers that measure at the same time.

    Raises:
        RuntimeError: one of them failed; what it said is in the message.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TRL_EXPERIMENTAL_SILENCE": "1"}
    environment |= {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    workers = [
        subprocess.Popen(
            [python, "-m", module, json.dumps(spec)],
            cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for spec in specs
    ]  # fmt: skip
    try:
        for worker in workers:
            _wait(worker)
        for worker in workers:
            assert worker.stdin
            with contextlib.suppress(BrokenPipeError):  # it has ended already; what it said is told below
                worker.stdin.write("go\n")
                worker.stdin.flush()
        return [_figures(module, worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _wait(worker: subprocess.Popen[str]) -> None:
    """Until the worker is ready, or has ended."""
    assert worker.stdout
    for line in worker.stdout:
        if line.strip() == READY:
            return


def _figures(module: str, worker: subprocess.Popen[str]) -> dict[str, Any]:
    said, errors = worker.communicate()
    if worker.returncode or not said.strip():
        raise RuntimeError(f"{module} failed with status {worker.returncode}:\n{errors[-3000:]}")
    figures: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return figures
