"""A real Virtuoso, an endpoint that fails on purpose, and small graphs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from cmat_env.envs.knowledge_graph import OxigraphStore
from cmat_env.envs.knowledge_graph.virtuoso import LocalVirtuoso

PEOPLE = """\
@prefix : <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:paris a :city ; rdfs:label "Paris, France" ; :size 9 ; :seen 1.5 .
:rome a :city ; rdfs:label "Rome (Italy)" ; :size 7 ; :seen "2001-01-01"^^xsd:date .
:oslo a :city ; rdfs:label "Oslo" ; :size 7 ; :seen "NaN"^^xsd:double .
:bonn a :city ; rdfs:label "Bonn" .
:ada a :person ; rdfs:label "Ada" ; :likes :paris , :rome , :oslo , :bonn ; :home :rome ; :knows :ben .
:ben a :person ; rdfs:label "Ben" ; :likes :rome , :oslo ; :home :bonn ; :knows :ada .
:paris :fans :ada . :rome :fans :ada , :ben . :oslo :fans :ada , :ben .
"""


@pytest.fixture(scope="session")
def people() -> OxigraphStore:
    """Two people and four cities; names hold a comma and brackets, values are of mixed types."""
    return OxigraphStore.of_text(PEOPLE)


@pytest.fixture(scope="session")
def start_virtuoso() -> Callable[..., LocalVirtuoso]:
    """Starts a real Virtuoso; without its packages the test is skipped, or fails under CI=true."""
    if not LocalVirtuoso.installed():
        if os.environ.get("CI") == "true":
            pytest.fail("Virtuoso is missing: apt-get install virtuoso-server virtuoso-opensource-7-bin")
        pytest.skip("Virtuoso is not installed: apt-get install virtuoso-server virtuoso-opensource-7-bin")
    return LocalVirtuoso


@pytest.fixture(scope="module")
def virtuoso(start_virtuoso: Callable[..., LocalVirtuoso], agentbench: Path) -> Iterator[LocalVirtuoso]:
    """A Virtuoso with the graphs of AgentBench's dev tasks and the world's cities."""
    files = [agentbench / "kg" / "dev_graphs.nq.gz", agentbench / "kg" / "geo.nt.gz"]
    with start_virtuoso(files, graph="urn:geo") as server:
        yield server


class Fault:
    """An endpoint on loopback in front of a store, which answers as it is told.

    Attributes:
        plan: what to do with the next requests: "ok", "500", "503", "429", "400", "html", "torn", "cut", "slow",
            "drip" or "vanish"; the last one stays.
        asked: how many requests came.
        most_rows: at how many rows it cuts answers without a word; None = never.
    """

    def __init__(self, store: OxigraphStore) -> None:
        self.store, self.plan, self.asked, self.most_rows = store, ["ok"], 0, None
        fault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body leave together; apart, each answer waits 40 ms for an acknowledgement

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                with contextlib.suppress(ConnectionError):  # a client that has given up
                    fault.answer(self, form["query"][0])

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/sparql"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    most_rows: int | None

    def answer(self, handler: BaseHTTPRequestHandler, query: str) -> None:
        """Answer one request as the plan has it."""
        self.asked += 1
        todo = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        body = self._body(query)
        if todo == "slow" and "AS ?one" not in query:
            time.sleep(1.5)
        if todo == "vanish":
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        if todo == "html":
            body = b"<!DOCTYPE html><title>Virtuoso</title>"
        if todo == "torn":
            body = body[: len(body) // 2]
        handler.send_response(int(todo) if todo.isdigit() else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if todo == "cut":
            handler.wfile.write(body[: len(body) // 2])
            handler.close_connection = True
            return
        if todo == "drip":
            for index in range(len(body)):
                handler.wfile.write(body[index : index + 1])
                handler.wfile.flush()
                time.sleep(0.1)
            return
        handler.wfile.write(body)

    def _body(self, query: str) -> bytes:
        rows = self.store.select(query)
        count = "COUNT(*)" in query
        if not count and self.most_rows is not None:
            rows = rows[: self.most_rows]
        kinds = {"iri": "uri", "blank": "bnode", "literal": "literal"}
        names = [f"c{index}" for index in range(len(rows[0]) if rows else 1)]
        bindings: list[dict[str, Any]] = [
            {
                name: {"type": kinds[term.kind], "value": term.value}
                for name, term in zip(names, row, strict=True)
                if term
            }
            for row in rows
        ]
        return json.dumps({"head": {"vars": names}, "results": {"bindings": bindings}}).encode()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def fault(people: OxigraphStore) -> Iterator[Fault]:
    """An endpoint that fails on purpose."""
    endpoint = Fault(people)
    yield endpoint
    endpoint.stop()
