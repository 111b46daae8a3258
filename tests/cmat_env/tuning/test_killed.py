"""A run that is killed again and again: resumed each time, it ends as one that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cmat_env.tuning import checkpoint

CLOCKS = {"seconds", "cpu_seconds", "rollout_seconds", "update_seconds", "wall_seconds"}
LOGS = ("metrics.jsonl", "training.jsonl", "episodes.jsonl", "report.json")
MODELS = ("warm_start", "final", "best")


class Attempts:
    """Attempts at runs, each in a process of its own; see killable.py."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killable.py"))],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def at(self, folder: Path, *, events: int = 0, within: str = "", seconds: float = 0.0) -> tuple[int, int]:
        """One attempt: its status, negative if it was killed, and the file events that it counted."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        order = {"folder": str(folder), "events": events, "within": within, "seconds": seconds}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return answer["status"], answer["events"]

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


@pytest.fixture(scope="module")
def attempts() -> Iterator[Attempts]:
    """A server."""
    server = Attempts()
    yield server
    server.close()


@pytest.fixture(scope="module")
def undisturbed(attempts: Attempts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, float]:
    """The folder of a whole run, how many file events it had, and how long it took."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    started = time.monotonic()
    status, events = attempts.at(folder)
    assert 0 == status
    return folder, events, time.monotonic() - started


def timeless(value: Any) -> Any:
    """A JSON value without what a clock said."""
    if isinstance(value, dict):
        return {name: timeless(part) for name, part in value.items() if name not in CLOCKS}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """A state that can be compared: each tensor as type, shape and bytes."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def left_by(folder: Path) -> dict[str, Any]:
    """Everything in the folder of a run: logs by line, models by file, checkpoints by part."""
    found: dict[str, Any] = {}
    for name in LOGS:
        text = (folder / name).read_text(encoding="utf-8").replace(str(folder), "FOLDER")
        found[name] = [timeless(json.loads(part)) for part in ([text] if name == "report.json" else text.splitlines())]
    for name in MODELS:
        found |= {str(path.relative_to(folder)): path.read_bytes() for path in (folder / name).rglob("*.*")}
    for path in (folder / "checkpoints").iterdir():
        state = checkpoint.load(path).state
        for part in ("settings", "base", "weights", "tuner"):
            found[f"{path.name}/{part}"] = plain(state[part])
        for name in ("torch", "numpy"):  # Python's own generator begins anew in each process that is forked
            found[f"{path.name}/random/{name}"] = plain(state["random"][name])
        found[f"{path.name}/evaluations"] = timeless(state["evaluations"])
    return found


def killed_often(attempts: Attempts, folder: Path, rng: random.Random, events: int, seconds: float) -> Counter[str]:
    """Kill a run at random until it has ended all the same; how often, and in the midst of what."""
    kills: Counter[str] = Counter()
    for number in range(40):
        way = ("event", "time", "checkpoint")[number % 3]
        if way == "event":
            status, _ = attempts.at(folder, events=rng.randint(1, events // 3))
        elif way == "time":
            status, _ = attempts.at(folder, seconds=rng.uniform(0.01, seconds / 2))
        else:
            status, _ = attempts.at(folder, events=rng.randint(1, 18), within="checkpoints/0")
        if status == 0:
            return kills
        assert -signal.SIGKILL == status
        kills[way] += 1
        kills["half a checkpoint"] += any(folder.glob("checkpoints/**/*.partial/*"))
        kills["warm start"] += not (folder / "warm_start").exists()
    assert 0 == attempts.at(folder)[0]
    return kills


def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(
    attempts: Attempts, undisturbed: tuple[Path, int, float], tmp_path: Path
) -> None:
    """Twenty kills or more, some while a checkpoint is written: weights, metrics, logs and states are the same."""
    whole, events, seconds = undisturbed
    wanted = left_by(whole)
    rng = random.Random(0)
    kills: Counter[str] = Counter()
    for number in range(10):
        folder = tmp_path / str(number) / "run"
        kills += killed_often(attempts, folder, rng, events, seconds)
        found = left_by(folder)
        assert wanted.keys() == found.keys()
        assert [] == [name for name in wanted if wanted[name] != found[name]]
        assert [] == [path.name for path in folder.rglob("*") if path.name.endswith((".partial", ".old", ".damaged"))]
        if sum(kills[way] for way in ("event", "time", "checkpoint")) >= 20 and kills["half a checkpoint"] >= 3:
            break

    assert 20 <= sum(kills[way] for way in ("event", "time", "checkpoint"))
    assert 3 <= kills["half a checkpoint"]
    assert min(kills[way] for way in ("event", "time", "checkpoint", "warm start")) >= 2, kills
    print(kills)
