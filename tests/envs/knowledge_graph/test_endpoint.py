"""Endpoints: identical outcomes on a real Virtuoso, and every way in which an endpoint may fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmat_env.collab import CollabEnv
from cmat_env.envs.knowledge_graph import (
    Call,
    EndpointStore,
    KGEnv,
    KGTask,
    OxigraphStore,
    QueryTimeoutError,
    StoreError,
)
from cmat_env.envs.knowledge_graph import virtuoso as server_module
from cmat_env.envs.knowledge_graph.virtuoso import LocalVirtuoso
from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate

ANYTHING = "SELECT ?s WHERE { ?s ?p ?o } LIMIT 10001"
ENDLESS = "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }"
TASK = KGTask(
    "home",
    "hop_1",
    "Where does Ada live?",
    {"Ada": "ada"},
    ("rome",),
    (Call("get_relations", ("ada",)), Call("get_neighbors", ("ada", "home"))),
)


def episodes(env: KGEnv, tasks: int) -> list[tuple[Any, ...]]:
    """Every observation and the end of the gold episodes, with the members of the last variable."""
    found = []
    for task in range(tasks):
        env.reset(seed=task)
        seen: list[str] = []
        info: dict[str, Any] = {}
        for action in env.solution():
            observation, *_, over, _, info = env.step(action)
            seen.append(observation)
            if over:
                break
        found.append((seen, info, env.knowledge.answer(env.snapshot().episode.session.variables[-1].program)))
    return found


@pytest.mark.parametrize("fidelity", ["upstream", "fixed"])
@pytest.mark.parametrize("dialect", ["virtuoso", "1.1"])
def test_virtuoso_and_pyoxigraph_agree_on_dev(
    virtuoso: LocalVirtuoso, agentbench: Path, dialect: Any, fidelity: Any
) -> None:
    """Every observation, answer and outcome of the 20 dev tasks is the same on both."""
    folder = agentbench / "kg"
    here = KGEnv(folder / "dev.json", graphs=folder / "dev_graphs.nq.gz", fidelity=fidelity)
    there = KGEnv(
        folder / "dev.json", graphs=virtuoso.url, ontology=folder / "ontology", dialect=dialect,
        named_graph="urn:kgtask:{id}", fidelity=fidelity,
    )  # fmt: skip
    ours = episodes(here, 20)

    assert ours == episodes(there, 20)
    assert {"upstream": 18, "fixed": 19}[fidelity] == sum(info.get("success", False) for _, info, _ in ours)


def test_virtuoso_and_pyoxigraph_agree_on_generated_tasks(virtuoso: LocalVirtuoso, agentbench: Path) -> None:
    """The vocabulary read off by SPARQL is the same, and so is every observation of all shapes of question."""
    file = agentbench / "kg" / "geo.nt.gz"
    generated = KGEnv("generated:heldout", graphs=file)
    tasks = [generated.source.pick(seed) for seed in range(40)]
    here = KGEnv(tasks, graphs=file)
    there = KGEnv(tasks, graphs=EndpointStore(virtuoso.url, dialect="virtuoso"), named_graph="urn:geo")
    ours = episodes(here, 40)

    assert here.graph.schema == there.graph.schema
    assert ours == episodes(there, 40)
    assert 40 == sum(info["success"] for _, info, _ in ours)


def test_virtuoso_ends_an_endless_query(virtuoso: LocalVirtuoso) -> None:
    """The time limit is passed on to the server; the next query is answered."""
    store = EndpointStore(virtuoso.url, dialect="virtuoso", retries=1, backoff=0.01)
    started = time.monotonic()
    with pytest.raises(QueryTimeoutError):
        store.select(ENDLESS, seconds=1.0)

    assert time.monotonic() - started < 20
    assert 10_001 == len(store.select(ANYTHING, graph="urn:geo"))


def test_virtuoso_cuts_answers_silently_and_is_caught(
    start_virtuoso: Callable[..., LocalVirtuoso], agentbench: Path
) -> None:
    """ResultSetMaxRows = 70: 71 rows come as 70 with status 200; that is an error, not an answer."""
    with start_virtuoso([agentbench / "kg" / "geo.nt.gz"], most_rows=70) as server:
        store = EndpointStore(server.url, dialect="virtuoso")
        store.check()
        assert 70 == store.most_rows
        assert 69 == len(store.select("SELECT ?s WHERE { ?s ?p ?o } LIMIT 69"))
        with pytest.raises(StoreError, match="ResultSetMaxRows"):
            store.select(ANYTHING)


def test_a_virtuoso_that_dies_is_no_mistake_of_the_agent(
    start_virtuoso: Callable[..., LocalVirtuoso], agentbench: Path
) -> None:
    """Killed in the middle of an episode: the step raises, and says what is down."""
    folder = agentbench / "kg"
    with start_virtuoso([folder / "dev_graphs.nq.gz"]) as server:
        store = EndpointStore(server.url, dialect="virtuoso", retries=1, backoff=0.01)
        env = KGEnv(folder / "dev.json", graphs=store, ontology=folder / "ontology", named_graph="urn:kgtask:{id}")
        env.reset(seed=0)
        env.step(env.solution()[0])
        server.stop()
        with pytest.raises(StoreError, match="failed 2 times"):
            for action in env.solution()[1:]:
                env.step(action)


def test_a_port_that_was_taken_in_between_is_given_up(
    virtuoso: LocalVirtuoso, start_virtuoso: Callable[..., LocalVirtuoso], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another Virtuoso listens where ours was to: it is not mistaken for ours, and ours starts on other ports."""
    choose = server_module._free_ports
    chosen = [(virtuoso._sql, choose()[1]), (choose()[0], int(virtuoso.url.split(":")[2].split("/")[0])), choose()]
    monkeypatch.setattr(server_module, "_free_ports", lambda: chosen.pop(0))
    with start_virtuoso() as server:
        assert [] == chosen
        assert str(server._folder) in server.sql("SELECT virtuoso_ini_path();")
        assert [] == EndpointStore(server.url).select(ANYTHING, graph="urn:geo")
    assert 10_001 == len(EndpointStore(virtuoso.url).select(ANYTHING, graph="urn:geo"))


@pytest.mark.parametrize("todo", ["500", "503", "429", "html", "torn", "cut", "vanish"])
def test_a_failure_that_passes_is_retried(fault: Any, todo: str) -> None:
    """Two bad answers, then a good one: the query succeeds on the third try."""
    fault.plan = [todo, todo, "ok"]
    rows = EndpointStore(fault.url, backoff=0.01).select(ANYTHING)

    assert (3, len(fault.store)) == (fault.asked, len(rows))


@pytest.mark.parametrize(
    ("todo", "says"),
    [
        ("500", "status 500"),
        ("503", "status 503"),
        ("429", "status 429"),
        ("html", "not SPARQL's JSON .*DOCTYPE html"),
        ("torn", "not SPARQL's JSON"),
        ("cut", "peer closed connection"),
        ("vanish", "disconnected|closed"),
    ],
)
def test_a_failure_that_stays_is_told(fault: Any, todo: str, says: str) -> None:
    """After the last try the error names the endpoint, the number of tries and what came."""
    fault.plan = [todo]
    with pytest.raises(StoreError, match=f"{fault.url} failed 3 times.*{says}"):
        EndpointStore(fault.url, backoff=0.01, retries=2).select(ANYTHING)

    assert 3 == fault.asked


def test_a_refused_query_is_not_tried_again(fault: Any) -> None:
    """Status 400 will not change: one try."""
    fault.plan = ["400"]
    with pytest.raises(StoreError, match="refuses a query with status 400"):
        EndpointStore(fault.url, backoff=0.01).select(ANYTHING)

    assert 1 == fault.asked


def test_nobody_listens(fault: Any) -> None:
    """A port without a server: a store error in an episode, a user's mistake when it is opened."""
    fault.stop()
    with pytest.raises(StoreError, match="failed 2 times"):
        EndpointStore(fault.url, retries=1, backoff=0.01).select(ANYTHING)
    with pytest.raises(ConfigError, match="wanted the URL of a SPARQL endpoint that is up"):
        EndpointStore(fault.url, retries=0).check()


@pytest.mark.parametrize("todo", ["slow", "drip"])
def test_a_query_that_takes_too_long_is_told_to_the_agent(fault: Any, todo: str, monkeypatch: Any) -> None:
    """The endpoint answers other questions in time, but not this one, twice: that is the query's own weight."""
    monkeypatch.setattr("cmat_env.envs.knowledge_graph.endpoint._GRACE", 0.1)
    store = EndpointStore(fault.url, backoff=0.01, retries=2)
    monkeypatch.setattr(store, "_alive", lambda seconds: True)
    fault.plan = [todo]
    with pytest.raises(QueryTimeoutError):
        store.select(ANYTHING, seconds=0.3)

    assert 2 == fault.asked


def test_an_endpoint_that_is_slow_for_everything_is_a_failure(fault: Any, monkeypatch: Any) -> None:
    """Where even the smallest question is not answered in time, no agent is to blame."""
    monkeypatch.setattr("cmat_env.envs.knowledge_graph.endpoint._GRACE", 0.05)
    store = EndpointStore(fault.url, backoff=0.01, retries=1)
    fault.plan = ["drip"]
    with pytest.raises(StoreError, match=r"no .*answer within"):
        store.select(ANYTHING, seconds=0.2)


def test_an_answer_cut_without_a_word_is_an_error(fault: Any, people: OxigraphStore) -> None:
    """The endpoint's own limit is found when it is opened."""
    fault.most_rows = 20
    store = EndpointStore(fault.url)
    store.check()

    assert 20 == store.most_rows
    with pytest.raises(StoreError, match="ResultSetMaxRows"):
        store.select(ANYTHING)
    fault.most_rows = None
    store.check()
    assert store.most_rows is None
    assert len(people) == len(store.select(ANYTHING))


def test_a_slow_query_is_an_observation_and_no_error(people: OxigraphStore) -> None:
    """The agent reads that the query was stopped; the episode goes on, and counts a timeout, not a mistake."""

    class Slow:
        graphs_named = False

        def select(self, query: str, **settings: Any) -> Any:
            if "SELECT DISTINCT ?p WHERE { <" in query:
                raise QueryTimeoutError("5 s")
            return people.select(query)

        def close(self) -> None:
            """Nothing to close."""

    env = KGEnv([TASK], graphs=Slow())
    env.reset(seed=0)
    observation, reward, terminated, truncated, _ = env.step("Action: get_relations(Ada)")

    assert "get_relations(Ada) was stopped after 5 s: the query takes too long." == observation
    assert (0.0, False, False) == (reward, terminated, truncated)
    assert (0, 1) == (env.snapshot().episode.errors, env.snapshot().episode.timeouts)


def test_a_broken_store_drops_the_episode_and_counts_nowhere(people: OxigraphStore) -> None:
    """An evaluation goes on without it: no score, no success, an error line."""

    class Broken:
        graphs_named = False
        broken = False

        def select(self, query: str, **settings: Any) -> Any:
            if "SELECT DISTINCT ?p WHERE { <" in query:
                raise StoreError("the endpoint is down")
            return people.select(query)

        def close(self) -> None:
            """Nothing to close."""

    report = evaluate(
        lambda: CollabEnv(KGEnv([TASK], graphs=Broken()), roles=("assistant",), env_id="cmat/KG-v0"),
        {"assistant": "gold"},
        episodes=2,
    )

    assert (0, 2) == (report.episodes, len(report.dropped))
    assert "the endpoint is down" in report.dropped[0]
