"""Graphs in this process: pyoxigraph in memory, or a folder on disk that many processes read.

pyoxigraph cannot stop a query. One whose work is bounded to a moment runs here; any other runs in a child process,
which is killed at the time limit. The child of a store in memory is forked, so that it shares the triples; that of a
store on disk opens the folder itself.
"""

from __future__ import annotations

import gzip
import multiprocessing
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from cmat_env.envs.knowledge_graph.store import QueryTimeoutError, Row, StoreError, Term
from cmat_env.errors import ConfigError, MissingExtraError, TaskFileError

if TYPE_CHECKING:
    import pyoxigraph

INLINE_WORK = 2_000_000
"""Weight times triples up to which a query runs in this process: about a second at the very worst."""
SUFFIXES = {".nt": "N_TRIPLES", ".nq": "N_QUADS", ".ttl": "TURTLE", ".trig": "TRIG", ".rdf": "RDF_XML", ".n3": "N3"}

_NUMERIC = frozenset(
    "http://www.w3.org/2001/XMLSchema#" + name
    for name in (
        *("integer", "decimal", "float", "double", "long", "int", "short", "byte", "nonNegativeInteger"),
        *("positiveInteger", "nonPositiveInteger", "negativeInteger"),
        *("unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte"),
    )
)
Triple = tuple[Term, str, Term]


class OxigraphStore:
    """A graph read by pyoxigraph.

    Args:
        store: the open store; it is only read from here on.
        folder: where it lies on disk; None = in memory.
        inline_work: see INLINE_WORK; 0 runs every query in the child process.
    """

    def __init__(self, store: pyoxigraph.Store, *, folder: Path | None = None, inline_work: int = INLINE_WORK) -> None:
        self._store, self._folder, self._inline_work = store, folder, inline_work
        self._triples = len(store)
        default = next(iter(store.quads_for_pattern(None, None, None, _default_graph())), None)
        self.graphs_named = default is None and self._triples > 0
        self._child = _Child(self._serve)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._triples

    @classmethod
    def of_file(cls, path: str | Path, **settings: Any) -> OxigraphStore:
        """Read a file of triples or quads into memory: .nt .nq .ttl .trig .rdf .n3, each also with .gz.

        Raises:
            TaskFileError: it is missing, has another suffix, or does not parse.
        """
        store = _pyoxigraph().Store()
        _load(store, Path(path))
        return cls(store, **settings)

    @classmethod
    def of_text(cls, text: str | bytes, *, format: str = "TURTLE", **settings: Any) -> OxigraphStore:
        """Read a text in memory; `format` is a name of pyoxigraph's RdfFormat."""
        ox = _pyoxigraph()
        store = ox.Store()
        store.load(text, format=getattr(ox.RdfFormat, format))
        return cls(store, **settings)

    @classmethod
    def of_folder(cls, folder: str | Path, **settings: Any) -> OxigraphStore:
        """Open a store on disk for reading; `build_folder` makes one.

        Raises:
            ConfigError: the folder is no store.
        """
        folder = Path(folder)
        try:
            return cls(_pyoxigraph().Store.read_only(str(folder)), folder=folder, **settings)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"{folder} is no store of pyoxigraph ({error}); make one by "
                "python -m cmat_env.envs.knowledge_graph.build FILE FOLDER"
            ) from error

    def select(self, query: str, *, graph: str | None = None, weight: int = 1, seconds: float = 5.0) -> list[Row]:
        """The rows of a SELECT query; see `Store.select`."""
        if weight * self._triples <= self._inline_work:
            try:
                return _run(self._store, query, graph, self.graphs_named)
            except (ValueError, SyntaxError, OSError, RuntimeError) as error:
                raise StoreError(f"pyoxigraph refuses a query: {error}") from error
        with self._lock:
            return self._child.ask(query, graph, seconds)

    def triples(self) -> Iterator[Triple]:
        """All triples, whatever graph they are in; those of blank subjects are left out."""
        for quad in self._store.quads_for_pattern(None, None, None, None):
            subject, object_ = _term(quad.subject), _precise(quad.object)
            if subject.kind == "iri":
                yield subject, quad.predicate.value, object_

    def close(self) -> None:
        """End the child process, if there is one; twice is fine."""
        self._child.end()

    def _serve(self, connection: Connection) -> None:
        """In the child: answer until the other end is closed."""
        store = self._store if self._folder is None else _pyoxigraph().Store.read_only(str(self._folder))
        with suppress(EOFError, OSError):
            while True:
                query, graph = connection.recv()
                try:
                    connection.send(_run(store, query, graph, self.graphs_named))
                except (ValueError, SyntaxError, RuntimeError) as error:
                    connection.send(f"pyoxigraph refuses a query: {error}")


class _Child:
    """A process that answers queries one after the other, and can be killed; a new one begins when it is needed."""

    def __init__(self, serve: Any) -> None:
        self._serve = serve
        self._process: Any = None
        self._connection: Connection | None = None
        self._owner = 0

    def ask(self, query: str, graph: str | None, seconds: float) -> list[Row]:
        connection = self._begun()
        try:
            connection.send((query, graph))
            if not connection.poll(seconds):
                self.end()
                raise QueryTimeoutError(f"{seconds:g} s")
            answer = connection.recv()
        except (EOFError, OSError) as error:
            self.end()
            raise StoreError(f"the process that asks the graph died: {error!r}") from error
        if isinstance(answer, str):
            raise StoreError(answer)
        rows: list[Row] = answer
        return rows

    def end(self) -> None:
        """Kill it."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _child(self, ours: Connection, other: Connection) -> None:
        """In the child: it ends with us, however we end, so it must not hold our end of the pipe."""
        ours.close()
        self._serve(other)

    def _begun(self) -> Connection:
        if self._owner != os.getpid():  # this process is a fork of the one that began the child
            self._process = self._connection = None
        if self._connection is None:
            context = multiprocessing.get_context("fork")
            self._connection, other = context.Pipe()
            self._process = context.Process(target=self._child, args=(self._connection, other), daemon=True)
            self._process.start()
            other.close()
            self._owner = os.getpid()
        return self._connection


def build_folder(files: Iterable[str | Path], folder: str | Path) -> int:
    """Load files into a store on disk and say how many triples it holds.

    Raises:
        TaskFileError: a file is missing or does not parse.
        ConfigError: the folder cannot be used.
    """
    try:
        store = _pyoxigraph().Store(str(folder))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} cannot become a store ({error}); name a new or empty folder") from error
    for path in files:
        _load(store, Path(path))
    store.flush()
    store.optimize()
    return len(store)


def _load(store: pyoxigraph.Store, path: Path) -> None:
    ox = _pyoxigraph()
    packed = path.suffix == ".gz"
    suffix = Path(path.stem).suffix if packed else path.suffix
    if suffix not in SUFFIXES:
        raise TaskFileError(f"{path}: its suffix is {suffix!r}, wanted one of {' '.join(SUFFIXES)}, also with .gz")
    try:
        with cast("IO[bytes]", gzip.open(path) if packed else path.open("rb")) as file:
            store.bulk_load(file, getattr(ox.RdfFormat, SUFFIXES[suffix]), base_iri=f"file:///{path.name}")
    except (OSError, EOFError, ValueError, SyntaxError) as error:
        raise TaskFileError(f"{path}: cannot be read as a graph ({error})") from error


def _run(store: pyoxigraph.Store, query: str, graph: str | None, union: bool) -> list[Row]:
    if graph is not None:
        found: Any = store.query(query, default_graph=_pyoxigraph().NamedNode(graph))
    else:
        found = store.query(query, use_default_graph_as_union=union)
    width = len(found.variables)
    if width == 1:
        return [(_term(solution[0]),) for solution in found]
    return [tuple(_term(solution[index]) for index in range(width)) for solution in found]


def _term(term: Any) -> Term:
    kind = type(term).__name__
    if kind == "NamedNode":
        return Term(term.value)
    return Term(str(term), "blank") if kind in ("BlankNode", "Triple") else Term(term.value, "literal")


def _precise(term: Any) -> Term:
    """A term whose kind tells numbers and other languages than English from other literals."""
    plain = _term(term)
    if plain.kind != "literal":
        return plain
    if term.language is not None and not re.fullmatch(r"en(-.*)?", term.language, re.IGNORECASE):
        return Term(plain.value, "foreign")
    return Term(plain.value, "number") if term.datatype.value in _NUMERIC else plain


def _default_graph() -> Any:
    return _pyoxigraph().DefaultGraph()


def _pyoxigraph() -> Any:
    try:
        import pyoxigraph  # noqa: PLC0415 - an optional dependency, loaded when a graph is opened
    except ImportError as error:
        raise MissingExtraError.of("pyoxigraph", "kg") from error
    return pyoxigraph
