"""What relations and attributes a graph has, and how they and its entities are called.

Freebase's comes from AgentBench's ontology files. Any other graph's is read off the graph itself: a relation leads to
an IRI, an attribute to a number or a date, and the type that a relation leads to is the commonest one of its objects.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cmat_env.envs.knowledge_graph.store import Store
from cmat_env.errors import TaskFileError

FREEBASE = "http://rdf.freebase.com/ns/"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
NAME_LOCALS = ("label", "type.object.name", "name", "prefLabel", "title")
_XSD = "http://www.w3.org/2001/XMLSchema#"
_DATES = ("date", "dateTime", "gYear", "gYearMonth")
_SAFE = re.compile(r"[^\s,()\[\]#\"'<>]+")
_ENOUGH = 100_000


@dataclass(frozen=True)
class Schema:
    """The vocabulary of a graph.

    Attributes:
        base: the namespace that names leave out.
        relations: name -> IRI of what get_relations may offer.
        attributes: name -> IRI of what get_attributes may offer.
        ranges: IRI of a relation -> name of the type that it leads to.
        freebase: are ids Freebase's, so that any that has their form may be asked for?
    """

    base: str
    relations: Mapping[str, str]
    attributes: Mapping[str, str]
    ranges: Mapping[str, str]
    freebase: bool = False
    relation_names: Mapping[str, str] = field(init=False, repr=False)
    attribute_names: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "relation_names", {iri: name for name, iri in self.relations.items()})
        object.__setattr__(self, "attribute_names", {iri: name for name, iri in self.attributes.items()})

    def short(self, iri: str) -> str:
        """The id of an entity: its IRI without the base."""
        return iri.removeprefix(self.base)

    def iri(self, id: str) -> str:
        """The IRI of an id."""
        return id if re.match(r"[a-z][a-z0-9+.-]*:", id) else self.base + id


def load_ontology(folder: str | Path) -> Schema:
    """Read AgentBench's `vocab.json` and `fb_roles`.

    Raises:
        TaskFileError: a file is missing or malformed.
    """
    return _load_ontology(Path(folder).resolve())


@lru_cache(maxsize=2)
def _load_ontology(folder: Path) -> Schema:
    try:
        vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        roles = (folder / "fb_roles").read_text(encoding="utf-8").split("\n")
        relations, attributes = ({name: FREEBASE + name for name in vocab[key]} for key in ("relations", "attributes"))
        # Upstream's file has one line that runs into the next; as upstream, the first three words of a line count.
        ranges = {FREEBASE + words[1]: words[2] for words in (line.split() for line in roles) if words}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TaskFileError(
            f"{folder}: wanted AgentBench's ontology there, vocab.json and fb_roles ({error!r})"
        ) from error
    return Schema(FREEBASE, relations, attributes, ranges, freebase=True)


def derive_schema(store: Store, *, graph: str | None = None, seconds: float = 600.0) -> Schema:
    """Read the vocabulary off a graph.

    Args:
        store: of the graph; a few queries go over all of it.
        graph: a named graph; None = the default graph.
        seconds: wall time of each.
    """

    def column(query: str) -> list[str]:
        return [row[0].value for row in store.select(query, graph=graph, seconds=seconds) if row[0] is not None]

    dates = ", ".join(f"<{_XSD}{name}>" for name in _DATES)
    linking = column("SELECT DISTINCT ?p WHERE { ?s ?p ?o FILTER (isIRI(?o)) } ORDER BY ?p")
    numeric = column(
        f"SELECT DISTINCT ?p WHERE {{ ?s ?p ?o FILTER (isNumeric(?o) || datatype(?o) IN ({dates})) }} ORDER BY ?p"
    )
    types = [iri for iri in linking if is_type(iri)]
    base = _base(column(f"SELECT ?s WHERE {{ ?s ?p ?o }} LIMIT {_ENOUGH}"))
    relations = [iri for iri in linking if iri not in types]
    ranges = _ranges(store, types, relations, base=base, graph=graph, seconds=seconds)
    return Schema(
        base,
        {name: iri for iri, name in _names(base, relations).items()},
        {name: iri for iri, name in _names(base, numeric).items()},
        ranges,
    )


def _ranges(
    store: Store, types: Iterable[str], relations: Iterable[str], *, base: str, graph: str | None, seconds: float
) -> dict[str, str]:
    """The commonest type of what each relation leads to; "entity" where nothing has a type."""
    ranges = dict.fromkeys(relations, "entity")
    seen: dict[str, Counter[str]] = {}
    for kind in types:
        rows = store.select(
            f"SELECT ?p ?t (COUNT(?o) AS ?n) WHERE {{ ?s ?p ?o . ?o <{kind}> ?t FILTER (isIRI(?t)) }} GROUP BY ?p ?t",
            graph=graph,
            seconds=seconds,
        )
        for predicate, type_, number in rows:
            if predicate is not None and type_ is not None and number is not None:
                seen.setdefault(predicate.value, Counter())[type_.value] += int(number.value)
    names = _names(base, {type_ for counted in seen.values() for type_ in counted})
    for iri, counted in seen.items():
        if iri in ranges:
            most = max(counted.values())
            ranges[iri] = names[min(type_ for type_, number in counted.items() if number == most)]
    return ranges


def is_type(predicate: str) -> bool:
    """Does a predicate say what something is?"""
    return predicate == RDF_TYPE or predicate.endswith("/type.object.type")


def local(iri: str) -> str:
    """What stands after the last slash or hash."""
    return re.split(r"[/#]", iri.rstrip("/#"))[-1] or iri


def _base(subjects: Iterable[str]) -> str:
    """The namespace of most subjects."""
    spaces = Counter(iri[: len(iri) - len(re.split(r"[/#]", iri)[-1])] for iri in subjects)
    if not spaces:
        return ""
    most = max(spaces.values())
    return min(space for space, number in spaces.items() if number == most)


def _names(base: str, iris: Iterable[str]) -> dict[str, str]:
    """IRI -> a name that an agent can write in a call: without the base, else the last part, else a numbered one."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for iri in sorted(set(iris), key=lambda iri: (not iri.startswith(base), iri)):
        name = iri.removeprefix(base) if iri.startswith(base) else local(iri)
        name = "".join(_SAFE.findall(name)) or "unnamed"
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique)
        names[iri] = unique
    return names
