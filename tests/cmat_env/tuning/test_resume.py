"""Resuming: whatever ended a run, it goes on to where nobody would have disturbed it, or says clearly why it cannot."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import resource
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cmat_env.agents.memory_store import LongTermMemory
from cmat_env.cli import main
from cmat_env.errors import CheckpointError, ConfigError, LogError
from cmat_env.policies.hf import HFPolicy
from cmat_env.tuning import checkpoint
from cmat_env.tuning.config import RunSettings, load
from cmat_env.tuning.curve import read_metrics
from cmat_env.tuning.folder import MEMORY, RunFolder
from cmat_env.tuning.run import Run
from cmat_env.tuning.state import RandomStates, restore

KILLABLE = Path(__file__).with_name("killable.py")
SETTINGS = load(Path(__file__).with_name("tiny_run.toml"))
CLOCKS = {"seconds", "cpu_seconds", "rollout_seconds", "update_seconds", "wall_seconds"}
LOGS = ("metrics.jsonl", "training.jsonl", "episodes.jsonl", "report.json")
MODELS = ("warm_start", "final", "best")
KILLS = {"event": 7, "time": 7, "checkpoint": 7, "half a checkpoint": 3, "warm start": 2}
"""How many there must have been before a moment, at a time, while checkpoints are written; and what they left."""


class Attempts:
    """Attempts at runs, each in a process of its own; see killable.py."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(KILLABLE)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        self._server.stdout.readline()  # it is ready; what it took for that is no part of a run

    def at(
        self, folder: Path, *, events: int = 0, within: str = "", seconds: float = 0.0, overrides: Sequence[str] = ()
    ) -> tuple[int, int]:
        """One attempt: its status, negative if it was killed, and the file events that it counted."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        order = {
            "folder": str(folder),
            "events": events,
            "within": within,
            "seconds": seconds,
            "overrides": [*overrides],
        }
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return answer["status"], answer["events"]

    def close(self) -> None:
        """End the server."""
        self._server.communicate()


@pytest.fixture(autouse=True)
def as_in_an_attempt() -> Iterator[None]:
    """What killable.py does in its own processes: the global generators begin alike."""
    before = RandomStates().state_dict()
    runpy.run_path(str(KILLABLE))["seed"](0)
    yield
    RandomStates().load_state_dict(before)


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
    """Everything in the folder of a run: logs by line, models by file, the memory by row, checkpoints by part."""
    found: dict[str, Any] = {}
    for name in LOGS:
        text = re.sub(r"hf:[^\"]*/run/", "hf:", (folder / name).read_text(encoding="utf-8"))
        found[name] = [timeless(json.loads(part)) for part in ([text] if name == "report.json" else text.splitlines())]
    for name in MODELS:
        for path in (folder / name).rglob("*.*"):  # an adapter names the folder of its base
            found[str(path.relative_to(folder))] = path.read_bytes().replace(bytes(folder), b"run")
    with closing(sqlite3.connect(f"file:{folder / MEMORY}?immutable=1", uri=True)) as memory:  # also if read-only
        found[MEMORY] = [list(memory.execute(f"SELECT * FROM {table}")) for table in ("memory", "clock")]
    for path in (folder / "checkpoints").iterdir():
        found |= left_in(path)
    return found


def left_in(path: Path) -> dict[str, Any]:
    """A checkpoint by part, but for the seconds that it took, and the length of logs that tell of seconds."""
    state = checkpoint.load(path).state
    assert {"base", "weights", "tuner", "memory", "random", "adaptation"} <= state.keys()
    return {f"{path.name}/{part}": plain(timeless(state[part])) for part in state.keys() - {"seconds", "logs"}}


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
    _, events, seconds = undisturbed
    rng = random.Random(0)
    kills: Counter[str] = Counter()
    number = 0
    while any(kills[way] < wanted for way, wanted in KILLS.items()):
        number += 1
        folder = tmp_path / str(number) / "run"
        kills += killed_often(attempts, folder, rng, events, seconds)
        check_same(undisturbed, folder)
        assert [] == [path.name for path in folder.rglob("*") if path.name.endswith((".partial", ".old", ".damaged"))]


def test_the_tiny_run_wins_and_loses(undisturbed: tuple[Path, int, float]) -> None:
    """So that what is compared is not all zero: rewards, what is learnable, the best, what is remembered."""
    folder, _, _ = undisturbed
    lines = read_metrics(folder)
    success = [line["success"] for line in lines]
    report = json.loads((folder / "report.json").read_text())

    assert 0.0 < sum(success) < len(success)
    assert {0.0} < {evaluation["success_rate"] for evaluation in report["evaluations"].values()}
    with LongTermMemory(folder / MEMORY) as memory:
        assert memory.state_dict()["entries"]


def test_a_lora_killed_in_a_checkpoint_ends_as_one_that_was_not(attempts: Attempts, tmp_path: Path) -> None:
    """Adapters, their optimizers and the base that they lie on come back as well."""
    lora = ("model.adapter=lora", "model.rank=2", "iterations=3")
    whole, folder = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    assert 0 == attempts.at(whole, overrides=lora)[0]
    assert -signal.SIGKILL == attempts.at(folder, events=5, within="checkpoints/000002", overrides=lora)[0]
    assert 0 == attempts.at(folder, overrides=lora)[0]

    check_same((whole, 0, 0.0), folder)


# -- what else may have happened -----------------------------------------------------------------------------------


def copied(undisturbed: tuple[Path, int, float], to: Path, iteration: int) -> Path:
    """The undisturbed run as a kill would have left it after the first iteration whose checkpoint is still there."""
    folder = to / "run"
    shutil.copytree(undisturbed[0], folder)
    for path in (folder / "checkpoints").iterdir():
        if int(path.name) > iteration:
            shutil.rmtree(path)
    return folder


def resumed(folder: Path, settings: RunSettings = SETTINGS) -> dict[str, list[dict[str, Any]]]:
    """Finish a run; what it told, by event."""
    told: dict[str, list[dict[str, Any]]] = {}
    Run(settings, folder, report=lambda event, figures: told.setdefault(event, []).append(dict(figures))).execute(
        resume=True
    )
    return told


def check_same(undisturbed: tuple[Path, int, float], folder: Path) -> None:
    """Nothing tells a run from the undisturbed one."""
    wanted, found = left_by(undisturbed[0]), left_by(folder)
    assert wanted.keys() == found.keys()
    assert [] == [name for name in wanted if wanted[name] != found[name]]


@pytest.mark.parametrize("moment", ["warm_start", "evaluation", "iteration", "resumed"])
def test_a_full_disk_is_a_clear_error_and_no_loss(
    undisturbed: tuple[Path, int, float], tmp_path: Path, mount: Callable[..., None], moment: str
) -> None:
    """It fills up at some moment: our error; with room again, the run goes on and ends as it would have."""
    mount(tmp_path, "-o", "size=4m")
    folder = copied(undisturbed, tmp_path, 2) if moment == "resumed" else tmp_path / "run"
    before = left_by(folder) if moment == "resumed" else {}
    ballast = tmp_path / "ballast"

    def fill(event: str, figures: Mapping[str, Any]) -> None:
        if event == moment and not ballast.exists():
            with pytest.raises(OSError, match="No space left"), FileIO(ballast, "w") as file:
                while True:
                    file.write(bytes(1024))

    with pytest.raises((CheckpointError, LogError), match=r"cannot be written: .*Make room"):
        Run(SETTINGS, folder, report=fill).execute(resume=moment == "resumed")
    assert ballast.exists()
    whole = [path for path in (folder / "checkpoints").glob("[0-9]*") if path.suffix == ""]
    assert [int(path.name) for path in whole] == [checkpoint.load(path).iteration for path in whole]
    if moment == "resumed":
        assert "000002" in {path.name for path in whole}
        assert before["000002/weights"] == left_in(folder / "checkpoints" / "000002")["000002/weights"]
    ballast.unlink()
    resumed(folder)

    check_same(undisturbed, folder)


def test_a_file_that_may_not_grow_leaves_whole_lines(tmp_path: Path) -> None:
    """The kernel refuses in the middle of a line of metrics, or of a report: an error of ours, nothing torn."""
    folder = RunFolder(tmp_path)
    folder.append_metrics({"iteration": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30, hard))
    try:
        with pytest.raises(
            LogError, match=r"metrics\.jsonl cannot be written: File too large; what was there is whole"
        ):
            folder.append_metrics({"iteration": 2})
        with pytest.raises(LogError, match=r"report\.json cannot be written"):
            folder.write_report({"text": "x" * 100})
        with pytest.raises(CheckpointError, match="000001 cannot be written"):
            checkpoint.save(folder.checkpoints, 1, {"weights": torch.zeros(100)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert '{"iteration": 1}\n' == (tmp_path / "metrics.jsonl").read_text()
    assert ["checkpoints", "metrics.jsonl"] == sorted(path.name for path in tmp_path.iterdir())
    assert [] == list(folder.checkpoints.iterdir())


def test_a_damaged_checkpoint_costs_time_and_nothing_else(undisturbed: tuple[Path, int, float], tmp_path: Path) -> None:
    """The newest are damaged: it is said which and why, they are set aside, and the one before is gone on from."""
    folder = copied(undisturbed, tmp_path, 6)
    (folder / "checkpoints" / "000006" / "state.pt").write_bytes(b"junk")
    (folder / "checkpoints" / "000005" / "manifest.json").unlink()
    with (folder / "training.jsonl").open("ab") as file:
        file.write(b'{"kind":"header","sch')  # torn, as by a crash
    told = resumed(folder)

    assert [{"iteration": 2}] == told["resumed"]
    assert [3, 4, 5, 6] == [line["iteration"] for line in told["iteration"]]
    texts = [figures["text"] for figures in told["notice"]]
    assert 2 == len(texts)
    assert "000006 is damaged: state.pt has bytes 4; wanted " in texts[0]
    assert "It is set aside as 000006.damaged; what came after 000002 is done again" in texts[0]
    assert "000005 is damaged: manifest.json cannot be read" in texts[1]
    for name in ("000005.damaged", "000006.damaged"):
        shutil.rmtree(folder / "checkpoints" / name)
    check_same(undisturbed, folder)


def test_a_run_that_had_ended_ends_again(undisturbed: tuple[Path, int, float], tmp_path: Path) -> None:
    """Resuming it evaluates once more and changes nothing; the evaluation before tuning is not played again."""
    folder = copied(undisturbed, tmp_path, 6)
    told = resumed(folder)

    assert "iteration" not in told
    assert ["before"] * 4 + ["after"] * 4 == [figures["when"] for figures in told["evaluation"]]
    check_same(undisturbed, folder)


def test_what_a_kill_left_to_remove_is_removed(undisturbed: tuple[Path, int, float], tmp_path: Path) -> None:
    """Killed behind the last write: a checkpoint too many, and one half removed, are gone when the run has ended."""
    folder = copied(undisturbed, tmp_path, 6)
    checkpoints = folder / "checkpoints"
    shutil.copytree(checkpoints / "000005", checkpoints / "000004")
    shutil.copytree(checkpoints / "000005", checkpoints / "000003.old")
    resumed(folder)

    check_same(undisturbed, folder)
    assert ["000002", "000005", "000006"] == sorted(path.name for path in checkpoints.iterdir())


def test_a_checkpoint_of_another_version_is_a_clear_mistake(
    undisturbed: tuple[Path, int, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`cmat train --resume` says what came, what was wanted and what to do, with status 2; nothing is changed."""
    folder = copied(undisturbed, tmp_path, 6)
    manifest = folder / "checkpoints" / "000006" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema": 2', '"schema": 9'))
    before = contents(folder)

    assert 2 == main(["train", "any", "--out", str(folder), "--resume"])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "000006 is a checkpoint of schema 9; this cmat-env" in said
    assert "reads schema 2. Go on with the version that wrote it, or train anew into another --out" in said
    assert before == contents(folder)


def contents(folder: Path) -> dict[Path, bytes]:
    """Of every file, but for those that SQLite lays beside a database while it is open."""
    beside = ("-shm", "-wal")
    return {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file() and path.name[-4:] not in beside}


def test_a_read_only_folder_is_a_clear_mistake(
    undisturbed: tuple[Path, int, float],
    tmp_path: Path,
    mount: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Resuming there says so at once, with status 2, and what is there stays readable."""
    if os.geteuid():
        folder = copied(undisturbed, tmp_path, 6)
        folder.chmod(0o555)
    else:  # for root, a mode is no obstacle
        mount(tmp_path, "-o", "size=4m")
        folder = copied(undisturbed, tmp_path, 6)
        mount(tmp_path, "-o", "remount,ro")

    assert 2 == main(["train", "any", "--out", str(folder), "--resume"])
    assert f"{folder} cannot be written to: it is read-only; make it writable" in " ".join(
        capsys.readouterr().err.split()
    )
    check_same(undisturbed, folder)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("metrics.jsonl", lambda data: data[:-200], "metrics.jsonl has .* bytes, but had .* at the checkpoint"),
        ("warm_start/model.safetensors", lambda data: data[:-4] + b"\0\0\0\0", "put back warm_start/"),
        ("warm_start/model.safetensors", lambda data: data[:2000], "the model in .*warm_start cannot be loaded: "),
        ("config.toml", lambda data: data.replace(b'"full"', b'"lora"'), "model.adapter='lora' was 'full' when"),
        (
            "config.toml",
            lambda data: data.replace(b', "checker"]', b"]"),
            "team.roles=.*'assistant'] was .*, 'checker'] ",
        ),
    ],
    ids=["a log that was cut", "another base", "a torn base", "another adapter", "another team"],
)
def test_what_does_not_fit_is_refused(
    undisturbed: tuple[Path, int, float],
    tmp_path: Path,
    name: str,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    """Rather than going on from something else; logs and checkpoints stay as they were."""
    folder = copied(undisturbed, tmp_path, 6)
    path = folder / name
    data = change(path.read_bytes())
    assert data != path.read_bytes()
    path.write_bytes(data)
    before = {log: (folder / log).read_bytes() for log in LOGS}

    with pytest.raises((CheckpointError, ConfigError), match=words):
        resumed(folder, load(folder / "config.toml"))
    assert before == {log: (folder / log).read_bytes() for log in LOGS}


def test_a_model_of_another_size_is_refused(
    undisturbed: tuple[Path, int, float], make_policy: Callable[..., HFPolicy], tmp_path: Path
) -> None:
    """The weights that were saved do not fit it."""
    folder = copied(undisturbed, tmp_path, 6)
    make_policy().save(tmp_path / "other")
    model = dataclasses.replace(SETTINGS.model, path=str(tmp_path / "other"))

    with pytest.raises(CheckpointError, match=r"000006: its weights do not fit this run .*change it back"):
        resumed(folder, dataclasses.replace(SETTINGS, model=model))


def test_settings_may_be_changed_and_it_is_said(undisturbed: tuple[Path, int, float], tmp_path: Path) -> None:
    """More iterations for a run that had ended, at another learning rate: it goes on, and names both."""
    folder = copied(undisturbed, tmp_path, 6)
    tuner = dataclasses.replace(SETTINGS.tuner, learning_rate=1e-5)
    told = resumed(folder, dataclasses.replace(SETTINGS, iterations=7, tuner=tuner))

    assert [7] == [line["iteration"] for line in told["iteration"]]
    assert ["settings changed since iteration 6: iterations, tuner.learning_rate"] == [
        n["text"] for n in told["notice"]
    ]


def test_other_versions_of_packages_are_named(undisturbed: tuple[Path, int, float], tmp_path: Path) -> None:
    """The last bits may differ then, which is said."""
    folder = copied(undisturbed, tmp_path, 6)
    manifest = folder / "checkpoints" / "000006" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["versions"]["torch"] = "1.0"
    manifest.write_text(json.dumps(content))
    [notice] = resumed(folder)["notice"]

    assert notice["text"].startswith("the checkpoint was written by torch 1.0, now ")


def test_one_process_at_a_time(undisturbed: tuple[Path, int, float], tmp_path: Path) -> None:
    """A second one in the same folder is refused while the first is at work."""
    folder = copied(undisturbed, tmp_path, 6)
    with (
        RunFolder(folder).open(SETTINGS, resume=True),
        pytest.raises(ConfigError, match="another process is training in"),
    ):
        resumed(folder)
    with RunFolder(folder).open(SETTINGS, resume=True):
        pass


def test_global_generators_are_put_back(tmp_path: Path) -> None:
    """A task or a model of a user's own that draws from them draws the same after resuming."""

    def draw() -> tuple[Any, ...]:
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), np.random.randn(), random.random()

    before = RandomStates().state_dict()
    try:
        np.random.randn()  # leaves a second number behind, which is part of the state
        checkpoint.save(tmp_path, 1, {"random": RandomStates().state_dict()})
        first = draw()
        found = checkpoint.latest(tmp_path)
        assert found is not None
        restore(found, {"random": RandomStates()})
        assert first == draw()
    finally:
        RandomStates().load_state_dict(before)


def test_a_state_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    """Such as one of another kind of run; what it holds is named."""
    checkpoint.save(tmp_path, 1, {"weights": {}})
    found = checkpoint.latest(tmp_path)
    assert found is not None

    with pytest.raises(CheckpointError, match="holds no state of 'random'; it holds weights"):
        restore(found, {"random": RandomStates()})


def test_a_torn_line_of_metrics_is_left_out(tmp_path: Path) -> None:
    """Also one that was torn behind an inner bracket, for the curve of a run that was killed."""
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 1}\n{"iteration": 2, "roles": {"a": {}}')

    assert [{"iteration": 1}] == read_metrics(tmp_path)
