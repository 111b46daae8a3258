"""Opens the graph that a user names: our own, a file, a folder on disk, or an endpoint. Opened ones are shared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from cmat_env.checks import check_known
from cmat_env.envs.knowledge_graph.compiler import DIALECTS, Dialect
from cmat_env.envs.knowledge_graph.endpoint import EndpointStore
from cmat_env.envs.knowledge_graph.generate.facts import Facts
from cmat_env.envs.knowledge_graph.generate.isles import isles
from cmat_env.envs.knowledge_graph.oxigraph import OxigraphStore
from cmat_env.envs.knowledge_graph.schema import FREEBASE, Schema, derive_schema, load_ontology
from cmat_env.envs.knowledge_graph.store import Store
from cmat_env.errors import ConfigError, TaskFileError

_OPEN_AT_ONCE = 8


@dataclass(frozen=True)
class Graph:
    """An open graph.

    Attributes:
        store: answers queries.
        schema: its vocabulary.
        name: as the user named it.
    """

    store: Store
    schema: Schema
    name: str

    @cached_property
    def facts(self) -> Facts:
        """All triples in Python's own structures, for the generator.

        Raises:
            ConfigError: the graph lies behind an endpoint.
        """
        if not isinstance(self.store, OxigraphStore):
            raise ConfigError(
                f"tasks cannot be generated from {self.name}; generate them from a file and pass the tasks themselves"
            )
        return Facts.of(self.store.triples(), self.schema)


def open_graph(
    graphs: str | Path | Store | None,
    *,
    ontology: str | Path | None = None,
    dialect: Dialect = "1.1",
    named_graph: str | None = None,
) -> Graph:
    """Open a graph, or give the one that is open already.

    Args:
        graphs: None = our own; a file of triples or quads; a folder that `build_folder` made; the URL of a SPARQL
            endpoint; or a store.
        ontology: AgentBench's folder of ontology files; None = the folder "ontology" beside a file of Freebase's, and
            for any other graph what is read off it.
        dialect: of an endpoint.
        named_graph: the one that the vocabulary is read off; None = the default graph.

    Raises:
        TaskFileError: a file is missing or malformed.
        ConfigError: a folder is no store, an endpoint does not answer, or there is no such dialect.
    """
    check_known("dialect", dialect, DIALECTS)
    if isinstance(graphs, str) and graphs.startswith(("http://", "https://")):
        return _open_url(graphs, dialect, None if ontology is None else str(Path(ontology).resolve()), named_graph)
    if graphs is None or isinstance(graphs, str | Path):
        folder = None if ontology is None else str(Path(ontology).resolve())
        if graphs is None:
            return _open_file(None, 0, 0, folder, None)
        path = Path(graphs).resolve()
        if not path.exists():
            raise TaskFileError(f"{graphs}: there is no such graph; wanted a file, a folder or a URL")
        state = path.stat()
        return _open_file(path, state.st_mtime_ns, state.st_size, folder, named_graph)
    return _with_schema(graphs, type(graphs).__name__, ontology, named_graph)


@lru_cache(maxsize=_OPEN_AT_ONCE)
def _open_file(path: Path | None, changed: int, size: int, ontology: str | None, named_graph: str | None) -> Graph:
    """One store for all environments of this process; `changed` and `size` tell a new content."""
    if path is None:
        return _with_schema(OxigraphStore.of_text(isles()), "our own graph", ontology, None)
    store = OxigraphStore.of_folder(path) if path.is_dir() else OxigraphStore.of_file(path)
    beside = path.parent / "ontology"
    if ontology is None and beside.is_dir() and _is_freebase(store):
        ontology = str(beside)
    return _with_schema(store, str(path), ontology, named_graph)


@lru_cache(maxsize=_OPEN_AT_ONCE)
def _open_url(url: str, dialect: Dialect, ontology: str | None, named_graph: str | None) -> Graph:
    """One client for all environments of this process."""
    store = EndpointStore(url, dialect=dialect)
    store.check()
    return _with_schema(store, url, ontology, named_graph)


def _with_schema(store: Store, name: str, ontology: str | Path | None, named_graph: str | None) -> Graph:
    schema = derive_schema(store, graph=named_graph) if ontology is None else load_ontology(ontology)
    return Graph(store, schema, name)


def _is_freebase(store: Store) -> bool:
    rows = store.select("SELECT ?s WHERE { ?s ?p ?o } LIMIT 20")
    return any(row[0] is not None and row[0].value.startswith(FREEBASE) for row in rows)
