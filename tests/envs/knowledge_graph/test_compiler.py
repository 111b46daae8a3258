"""The compiler: random programs mean the same in SPARQL as on plain triples, and no agent's text gets into SPARQL."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmat_env.envs.knowledge_graph import Facts, OxigraphStore
from cmat_env.envs.knowledge_graph.compiler import FIDELITIES, ImpossibleError, members, predicates
from cmat_env.envs.knowledge_graph.program import And, Count, Entity, Extreme, Join, Program, nodes, text
from cmat_env.envs.knowledge_graph.schema import Schema

BASE = "http://e/"
NODES = tuple(f"{BASE}n{index}" for index in range(5))
RELATIONS = (f"{BASE}r", f"{BASE}s")
ATTRIBUTE = f"{BASE}a"
SCHEMA = Schema(BASE, {"r": RELATIONS[0], "s": RELATIONS[1]}, {"a": ATTRIBUTE}, dict.fromkeys(RELATIONS, "t"))
XSD = "http://www.w3.org/2001/XMLSchema#"

INTEGERS = st.integers(-3, 3).map(lambda number: f'"{number}"^^<{XSD}integer>')
ANY_VALUE = st.one_of(
    INTEGERS,
    st.sampled_from(("0.5", "2.0", "-1.5", "NaN")).map(lambda number: f'"{number}"^^<{XSD}double>'),
    st.sampled_from(("2001-01-01", "1999-12-31")).map(lambda day: f'"{day}"^^<{XSD}date>'),
    st.sampled_from(('"b"', '"a"@en', '"z"@fr', f"<{NODES[0]}>")),
)
LABELS = st.sampled_from(('"x"', '"y"@en', '"w"@fr'))


def graphs(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Small graphs in N-Triples: edges, literals at the end of a relation, and values of the attribute."""
    node = st.sampled_from(NODES)
    edge = st.tuples(node, st.sampled_from(RELATIONS), node.map(lambda iri: f"<{iri}>") | LABELS)
    value = st.tuples(node, st.just(ATTRIBUTE), values)
    some = st.tuples(st.lists(edge, min_size=8, max_size=40), st.lists(value, min_size=4, max_size=12))
    lines = some.map(lambda both: [*both[0], *both[1]])
    return lines.map(lambda triples: "\n".join(f"<{s}> <{p}> {o} ." for s, p, o in triples))


def grown(inner: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
    """One step more."""
    return st.one_of(
        st.builds(Join, st.sampled_from(RELATIONS), inner),
        st.builds(
            And, st.builds(Join, st.sampled_from(RELATIONS), inner), st.builds(Join, st.just(RELATIONS[0]), inner)
        ),
        st.builds(Extreme, st.builds(Join, st.sampled_from(RELATIONS), inner), st.just(ATTRIBUTE), st.booleans()),
    )


PROGRAMS = st.builds(
    Join, st.sampled_from(RELATIONS), st.recursive(st.builds(Entity, st.sampled_from(NODES)), grown, max_leaves=4)
) | st.recursive(st.builds(Join, st.sampled_from(RELATIONS), st.builds(Entity, st.sampled_from(NODES))), grown)
NEAR = st.builds(Join, st.sampled_from(RELATIONS), st.builds(Entity, st.sampled_from(NODES)))
BEST = st.builds(Extreme, NEAR | st.builds(Join, st.sampled_from(RELATIONS), NEAR), st.just(ATTRIBUTE), st.booleans())
COUNTED = st.one_of(PROGRAMS, BEST, st.builds(Join, st.sampled_from(RELATIONS), BEST), st.builds(Count, PROGRAMS))


def agree(graph: str, program: Program, fidelity: Any) -> None:
    """Both evaluators give the same values, or both refuse."""
    store = OxigraphStore.of_text(graph, format="N_TRIPLES")
    facts = Facts.of(store.triples(), SCHEMA)
    try:
        wanted = {value for _, value in facts.members(program, fidelity=fidelity)}
    except ValueError:
        with pytest.raises(ImpossibleError):
            members(program, fidelity=fidelity, limit=1000)
        return
    rows = store.select(members(program, fidelity=fidelity, limit=1000))

    assert wanted == {term.value for (term,) in rows if term is not None}
    if not isinstance(program, Count):
        ways = store.select(predicates(program, fidelity=fidelity, limit=1000))
        assert {edge for iri in wanted for edge in facts.out.get(iri, ())} == {term.value for (term,) in ways if term}


@settings(max_examples=400, deadline=None, derandomize=True)
@given(graph=graphs(ANY_VALUE), program=COUNTED)
def test_fixed_programs_mean_what_they_say(graph: str, program: Program) -> None:
    """Our compiler on pyoxigraph, and a plain evaluator over the triples, with values of every kind."""
    if program.size <= 60:
        agree(graph, program, "fixed")


@settings(max_examples=400, deadline=None, derandomize=True)
@given(graph=graphs(INTEGERS), program=COUNTED)
def test_upstream_programs_mean_what_upstream_says(graph: str, program: Program) -> None:
    """Named entities are no answers, a superlative is flattened, two of them or a count of one are broken queries."""
    if program.size <= 60:
        agree(graph, program, "upstream")


def test_the_upstream_filter_and_flattening_by_hand() -> None:
    """What the two rules differ in, on five triples."""
    graph = f"""<{NODES[0]}> <{RELATIONS[0]}> <{NODES[0]}> , <{NODES[1]}> , <{NODES[2]}> .
        <{NODES[1]}> <{ATTRIBUTE}> 1 . <{NODES[2]}> <{ATTRIBUTE}> 2 . <{NODES[1]}> <{RELATIONS[1]}> <{NODES[3]}> ."""
    store = OxigraphStore.of_text(graph)
    all_ = Join(RELATIONS[0], Entity(NODES[0]))
    after = Join(RELATIONS[1], Extreme(all_, ATTRIBUTE, largest=True))

    def asked(program: Program, fidelity: Any) -> list[str]:
        rows = store.select(members(program, fidelity=fidelity, limit=9))
        return sorted(row[0].value[-2:] for row in rows if row[0] is not None)

    assert ["n1", "n2"] == asked(all_, "upstream")
    assert ["n0", "n1", "n2"] == asked(all_, "fixed")
    assert ["n3"] == asked(after, "upstream")
    assert [] == asked(after, "fixed")


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_paths_do_not_explode(fidelity: Any) -> None:
    """Fifteen hops through 200 nodes that all lead to each other: 200^14 paths, answered in seconds."""
    nodes_ = [f"<{BASE}k{index}>" for index in range(200)]
    graph = "\n".join(f"{one} <{RELATIONS[0]}> {other} ." for one in nodes_ for other in nodes_)
    store = OxigraphStore.of_text(graph, format="N_TRIPLES", inline_work=10**9)
    program: Program = Entity(f"{BASE}k0")
    for _ in range(15):
        program = Join(RELATIONS[0], program)
    started = time.monotonic()
    rows = store.select(members(program, fidelity=fidelity, limit=1000))

    assert {"upstream": 199, "fixed": 200}[fidelity] == len(rows)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "iri",
    ["", "a b", "http://e/x> . } DELETE WHERE { ?a ?b ?c", 'x"y', "a\nb", "<x>", "{", "`", "^", "\\", "a|b", "\0"],
)
def test_what_is_no_iri_makes_no_program(iri: str) -> None:
    """Nothing that could end an IRI gets between the angle brackets."""
    for make in (lambda: Entity(iri), lambda: Join(iri, Entity("x")), lambda: Extreme(Entity("x"), iri, largest=True)):
        with pytest.raises(ValueError, match="is no IRI"):
            make()


def test_a_program_is_written_as_an_s_expression() -> None:
    """In AgentBench's form."""
    program = Count(And(Join("p", Entity("m.1")), Extreme(Join("q", Entity("m.2")), "a", largest=False)))

    assert "(COUNT (AND (JOIN p_inv m.1) (ARGMIN (JOIN q_inv m.2) a)))" == text(program)
    assert 7 == len(nodes(program))
