"""Environments that come and go leave nothing: no file, thread, process or memory."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyoxigraph
import pytest

from cmat_env.envs.knowledge_graph import EndpointStore, KGEnv, KGTask, OxigraphStore, build_folder
from cmat_env.envs.knowledge_graph.tasks import Call

TASK = KGTask(
    "home",
    "hop_1",
    "Where does Ada live?",
    {"Ada": "ada"},
    ("rome",),
    (Call("get_relations", ("ada",)), Call("get_neighbors", ("ada", "home"))),
)


def held() -> tuple[int, int, int]:
    """Open files, threads, and children of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(multiprocessing.active_children())


def resident() -> int:
    """Resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def play(env: KGEnv) -> None:
    """One gold episode, then out, twice."""
    env.reset(seed=0)
    for action in env.solution():
        *_, over, _, info = env.step(action)
    assert over and info["success"]
    env.close()
    env.close()


@pytest.mark.parametrize("kind", ["own graph", "file", "memory", "child process", "disk", "endpoint"])
def test_open_and_close_cycles_leave_nothing(kind: str, people: OxigraphStore, fault: Any, tmp_path: Path) -> None:
    """However the graph is held: 30 to 500 environments of it, opened, played and closed."""
    text = people._store.dump(format=pyoxigraph.RdfFormat.TRIG)
    assert text is not None
    (tmp_path / "people.trig").write_bytes(text)
    if kind == "disk":
        build_folder([tmp_path / "people.trig"], tmp_path / "disk")

    def with_store(open_store: Callable[[], Any]) -> None:
        store = open_store()
        play(KGEnv([TASK], graphs=store))
        store.close()
        store.close()

    cycles: dict[str, tuple[int, Callable[[], None]]] = {
        "own graph": (300, lambda: play(KGEnv("generated:dev"))),
        "file": (500, lambda: play(KGEnv([TASK], graphs=tmp_path / "people.trig"))),
        "memory": (200, lambda: with_store(lambda: OxigraphStore.of_text(text, format="TRIG"))),
        "child process": (30, lambda: with_store(lambda: OxigraphStore(people._store, inline_work=0))),
        "disk": (30, lambda: with_store(lambda: OxigraphStore.of_folder(tmp_path / "disk", inline_work=0))),
        "endpoint": (30, lambda: with_store(lambda: EndpointStore(fault.url))),
    }
    number, cycle = cycles[kind]
    for _ in range(10 if kind == "endpoint" else 30):  # RocksDB fills its caches in the first dozens of openings
        cycle()
    before, memory = held(), [resident()]
    for _ in range(2):
        for _ in range(number // 2):
            cycle()
        memory.append(resident())
    after = held()
    assert (before[2], True) == (after[2], after[0] <= before[0] + 3 and after[1] <= before[1] + 3), (before, after)
    grown = [now - earlier for earlier, now in itertools.pairwise(memory)]  # a leak grows all the time, a heap by jumps
    assert min(grown) < 8_000_000, grown
