"""Stores in this process: files, folders shared by processes, and a query that is killed."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmat_env.envs.knowledge_graph import KGEnv, OxigraphStore, QueryTimeoutError, StoreError, build_folder
from cmat_env.errors import ConfigError, TaskFileError

ALL = "SELECT ?s WHERE { ?s ?p ?o }"
ENDLESS = "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }"
LINE = "<http://e/s> <http://e/p> <http://e/o> ."


@pytest.fixture(scope="module")
def folder(agentbench: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's cities as a store on disk."""
    place = tmp_path_factory.mktemp("store") / "geo"
    assert 48_640 == build_folder([agentbench / "kg" / "geo.nt.gz"], place)
    return place


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("g.nt", LINE),
        ("g.nq", LINE),
        ("g.ttl", "@prefix : <http://e/> . :s :p :o ."),
        ("g.trig", "@prefix : <http://e/> . :s :p :o ."),
        ("g.nt.gz", LINE),
    ],
)
def test_files_are_read_by_their_suffix(tmp_path: Path, name: str, content: str) -> None:
    """Each format, packed or not."""
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)

    assert 1 == len(OxigraphStore.of_file(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("g.csv", b"a,b", "its suffix is '.csv', wanted one of .nt"),
        ("g.nt", b"<a> <b>", "cannot be read as a graph"),
        ("g.nt.gz", b"no gzip", "cannot be read as a graph"),
        ("g.nt.gz", gzip.compress(LINE.encode() * 99, mtime=0)[:-12], "cannot be read as a graph"),
        ("g.ttl", b"\xff\xfe\x00", "cannot be read as a graph"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """The error names the file and what is wrong with it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TaskFileError, match=f"{name}: {says}"):
        OxigraphStore.of_file(tmp_path / name)


def test_a_missing_graph_and_a_wrong_folder_are_told(tmp_path: Path) -> None:
    """As a user's mistakes, with what was wanted."""
    with pytest.raises(TaskFileError, match="there is no such graph; wanted a file, a folder or a URL"):
        KGEnv(graphs=tmp_path / "missing.nt")
    with pytest.raises(ConfigError, match=r"is no store of pyoxigraph .*; make one by"):
        KGEnv(graphs=tmp_path)


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_endless_query_is_killed(folder: Path, agentbench: Path, on_disk: bool) -> None:
    """Its process is gone after the time limit, and the next query is answered by a new one."""
    store = (
        OxigraphStore.of_folder(folder, inline_work=0)
        if on_disk
        else OxigraphStore.of_file(agentbench / "kg" / "geo.nt.gz", inline_work=0)
    )
    before = set(multiprocessing.active_children())
    started = time.monotonic()
    with pytest.raises(QueryTimeoutError, match=r"0\.5 s"):
        store.select(ENDLESS, seconds=0.5)

    # Half a second for the query; the rest is for starting and killing a process on a machine with other work.
    assert time.monotonic() - started < 4
    assert before == set(multiprocessing.active_children())
    assert 5 == len(store.select(ALL + " LIMIT 5", seconds=30))
    assert 1 == len(set(multiprocessing.active_children()) - before)
    store.close()
    store.close()
    assert before == set(multiprocessing.active_children())


def test_the_child_and_this_process_give_the_same(agentbench: Path) -> None:
    """Where a query runs changes nothing; a refused one is a store's error in both."""
    file = agentbench / "kg" / "geo.nt.gz"
    here, there = OxigraphStore.of_file(file), OxigraphStore.of_file(file, inline_work=0)
    query = "SELECT ?s ?n WHERE { ?s <http://example.org/geo/geo.city.population> ?n } ORDER BY ?s LIMIT 50"

    assert here.select(query) == there.select(query, seconds=30)
    for store in (here, there):
        with pytest.raises(StoreError, match="pyoxigraph refuses a query"):
            store.select("SELECT", seconds=30)
    there.close()


def test_a_child_that_dies_is_a_store_error(people: OxigraphStore) -> None:
    """Killed from outside, as by the system when memory is short: an error, then a new child."""
    store = OxigraphStore(people._store, inline_work=0)
    before = set(multiprocessing.active_children())
    store.select(ALL, seconds=30)
    (child,) = set(multiprocessing.active_children()) - before
    os.kill(child.pid or 0, 9)
    child.join()
    with pytest.raises(StoreError, match="died"):
        store.select(ALL, seconds=30)

    assert len(people) == len(store.select(ALL, seconds=30))
    store.close()


def test_many_processes_read_one_folder(folder: Path, agentbench: Path) -> None:
    """Two workers play the same tasks from one store on disk, and do as well as memory does."""
    command = [
        sys.executable, "-m", "cmat_env.cli", "eval", "cmat/KG-v0", "--tasks", "generated:dev", "--graphs", str(folder),
        "--roles", "assistant", "--assistant", "gold", "--episodes", "12", "--workers", "2",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)

    assert (0, True) == (done.returncode, "correct 12" in done.stdout), done.stderr
    in_memory = KGEnv("generated:dev", graphs=agentbench / "kg" / "geo.nt.gz")
    on_disk = KGEnv("generated:dev", graphs=folder)
    assert [in_memory.reset(seed=s) for s in range(9)] == [on_disk.reset(seed=s) for s in range(9)]


def test_the_build_command(tmp_path: Path) -> None:
    """It says how many triples there are, and what is wrong."""
    (tmp_path / "g.nt").write_text(LINE)
    command = [sys.executable, "-m", "cmat_env.envs.knowledge_graph.build"]
    done = subprocess.run([*command, tmp_path / "g.nt", tmp_path / "s"], capture_output=True, text=True, check=False)
    failed = subprocess.run([*command, tmp_path / "no.nt", tmp_path / "t"], capture_output=True, text=True, check=False)
    bare = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, f"1 triples in {tmp_path / 's'}\n") == (done.returncode, done.stdout)
    assert (2, True) == (failed.returncode, failed.stderr.startswith("error: "))
    assert (2, True) == (bare.returncode, "FILE... FOLDER" in bare.stderr)
