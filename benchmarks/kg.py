"""Tool calls a second on a graph of 1e5 and 1e6 triples: pyoxigraph in memory and on disk, Virtuoso, rdflib.

    make bench-kg          or    python -m benchmarks.kg [--sizes 100000 1000000] [--seconds 20]

Every row is measured in a process of its own, with the calls of a two-hop question with a superlative and a count.
rdflib walks over every triple, for seconds a call: it is stopped after the question in which its time is up, which may
be its first; the column "calls" says how many there were. Wall times depend on what else the machine does; calls a CPU
second, for stores in this process, do so less. The table is written to docs/kg.md by the command itself, row by row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import report
from cmat_env.envs.knowledge_graph import Call, EndpointStore, OxigraphStore, Store, build_folder
from cmat_env.envs.knowledge_graph.knowledge import Knowledge
from cmat_env.envs.knowledge_graph.schema import Schema
from cmat_env.envs.knowledge_graph.store import Limits, Row, Term
from cmat_env.envs.knowledge_graph.tools import Session, perform
from cmat_env.envs.knowledge_graph.virtuoso import LocalVirtuoso

BASE = "http://example.org/bench/"
KINDS, RELATIONS, LINKS = 20, 60, 6
DOC = Path(__file__).resolve().parents[1] / "docs" / "kg.md"
ROWS = {
    "memory": "pyoxigraph in memory",
    "disk": "pyoxigraph on disk",
    "virtuoso": "Virtuoso over HTTP",
    "rdflib": "rdflib",
}
RANGES = {f"{BASE}rel.{number}": "thing" for number in range(RELATIONS)}
SCHEMA = Schema(
    BASE,
    {iri.removeprefix(BASE): iri for iri in RANGES},
    {name: BASE + name for name in ("size", "weight")},
    RANGES,
)


def triples(count: int) -> Iterator[str]:
    """N-Triples, ten an entity: a type, a name, two numbers, six links with relations of Zipf's frequencies."""
    rng = random.Random(count)
    entities = count // 10
    weights = [1 / (rank + 1) for rank in range(RELATIONS)]
    xsd = "http://www.w3.org/2001/XMLSchema#"
    for entity in range(entities):
        subject = f"<{BASE}m.{entity}>"
        yield f"{subject} <{BASE}type> <{BASE}kind.{entity % KINDS}> ."
        yield f'{subject} <{BASE}name> "entity {entity}"@en .'
        yield f'{subject} <{BASE}size> "{rng.randrange(10_000)}"^^<{xsd}integer> .'
        yield f'{subject} <{BASE}weight> "{rng.uniform(0, 99):.3f}"^^<{xsd}float> .'
        links: set[tuple[int, int]] = set()
        while len(links) < LINKS:
            relation = rng.choices(range(RELATIONS), weights)[0]
            links.add((relation, rng.randrange(entities)))
        for relation, other in sorted(links):
            yield f"{subject} <{BASE}rel.{relation}> <{BASE}m.{other}> ."


class RdflibStore:
    """The peer: rdflib's own store and SPARQL engine, asked the same queries."""

    graphs_named = False

    def __init__(self, file: Path) -> None:
        import rdflib  # noqa: PLC0415 - only this row needs it

        self._graph = rdflib.Graph()
        self._graph.parse(file, format="nt")

    def select(self, query: str, *, graph: str | None = None, weight: int = 1, seconds: float = 5.0) -> list[Row]:
        """The rows of a SELECT query."""
        rows: list[Any] = list(self._graph.query(query))
        return [tuple(Term(str(cell)) for cell in row) for row in rows]

    def close(self) -> None:
        """Nothing to close."""


def episode(knowledge: Knowledge, rng: random.Random, entities: int) -> Iterator[float]:
    """One question; the seconds of each call."""
    session = Session()
    made = -1

    def ask(tool: str, *arguments: str) -> list[str]:
        nonlocal session
        outcome = perform(Call(tool, arguments), session, knowledge=knowledge, names=names)
        assert not outcome.error, outcome.observation
        session = outcome.session
        return [name for name in outcome.observation.partition("[")[2].strip("]").split(", ") if name]

    names = {"E": f"m.{rng.randrange(entities)}"}
    place = "E"
    for _ in range(2):
        started = time.perf_counter()
        relations = ask("get_relations", place)
        yield time.perf_counter() - started
        if not relations:
            return
        started = time.perf_counter()
        ask("get_neighbors", place, rng.choice(relations))
        yield time.perf_counter() - started
        made += 1
        place = f"#{made}"
    for call in (
        ("get_attributes", place),
        ("argmax", place, "size"),
        ("count", place),
        ("intersection", place, place),
    ):
        started = time.perf_counter()
        told = ask(*call)
        yield time.perf_counter() - started
        if not told and call[0] == "get_attributes":  # the walk came back to where it began, which does not count
            return
    started = time.perf_counter()
    ask("get_attributes", f"#{made + 1}")
    yield time.perf_counter() - started


def opened(row: str, file: Path, folder: Path, size: int) -> tuple[Store, Any]:
    """The store of a row, loaded, and what must be stopped afterwards."""
    if row == "memory":
        return OxigraphStore.of_file(file), None
    if row == "disk":
        build_folder([file], folder)
        return OxigraphStore.of_folder(folder), None
    if row == "virtuoso":
        server = LocalVirtuoso([file], graph=BASE.strip("/"), buffers=100_000)
        return EndpointStore(server.url, dialect="virtuoso"), server
    return RdflibStore(file), None


def measure(row: str, file: Path, size: int, seconds: float) -> dict[str, Any]:
    """Load a store and play questions for a while."""
    before = _memory(os.getpid())
    with tempfile.TemporaryDirectory(prefix="cmat-bench-") as place:
        started = time.perf_counter()
        store, server = opened(row, file, Path(place) / "store", size)
        load = time.perf_counter() - started
        try:
            memory = _memory(server.pid) if server else _memory(os.getpid()) - before
            graph = BASE.strip("/") if server else None
            knowledge = Knowledge(store, SCHEMA, "upstream", Limits(seconds=600), graph)
            rng = random.Random(1)
            for _ in range(0 if row == "rdflib" else 20):  # what takes seconds a call needs no warming
                list(episode(knowledge, rng, size // 10))
            times: list[float] = []
            started, cpu = time.perf_counter(), time.process_time()
            clock, begun = (time.perf_counter, started) if server else (time.process_time, cpu)
            while clock() - begun < seconds:
                times += episode(knowledge, rng, size // 10)
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        finally:
            if server is not None:
                server.stop()
    times.sort()
    return {
        "row": row, "size": size, "calls": len(times), "wall_rate": len(times) / wall,
        "cpu_rate": None if server else len(times) / cpu, "p50": statistics.median(times),
        "p99": times[min(int(len(times) * 0.99), len(times) - 1)], "load": load, "memory": memory,
        "peak": report.peak_megabytes() * 1024 * 1024,
    }  # fmt: skip


def _memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def table(results: list[dict[str, Any]]) -> str:
    """The figures in Markdown."""
    lines = [
        f"Measured {date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load average {os.getloadavg()[0]:.1f} at the end.",
        "",
        "| store | triples | calls/s (wall) | calls/CPU-s | p50 | p99 | calls | load | memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in results:
        cpu = "-" if each["cpu_rate"] is None else f"{each['cpu_rate']:,.0f}"
        lines.append(
            f"| {ROWS[each['row']]} | {each['size']:,} | {_rate(each['wall_rate'])} | {cpu} | {_ms(each['p50'])} | "
            f"{_ms(each['p99'])} | {each['calls']:,} | {each['load']:.1f} s | {each['memory'] / 2**20:,.0f} MB |"
        )
    return "\n".join(lines)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3f} ms" if seconds < 1 else f"{seconds:.2f} s"


def main() -> None:
    """Measure every row in a process of its own, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of each row, after loading; CPU seconds where we ask in-process"
    )
    parser.add_argument("--no-docs", action="store_true", help="print only")
    parser.add_argument("--one", nargs=3, metavar=("ROW", "FILE", "SIZE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        row, file, size = given.one
        print(json.dumps(measure(row, Path(file), int(size), given.seconds)))
        return
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="cmat-bench-") as folder:
        for size in given.sizes:
            file = Path(folder) / f"{size}.nt"
            file.write_text("\n".join(triples(size)) + "\n")
            for row in given.rows:
                one = [
                    sys.executable,
                    "-m",
                    "benchmarks.kg",
                    "--one",
                    row,
                    str(file),
                    str(size),
                    "--seconds",
                    str(given.seconds),
                ]
                done = subprocess.run(one, check=True, capture_output=True, text=True)
                results.append(json.loads(done.stdout))
                print(table(results[-1:]).splitlines()[-1], flush=True)
                if not given.no_docs:
                    report.write("kg", table(results), DOC)


if __name__ == "__main__":
    main()
