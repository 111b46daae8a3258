"""The generator: exact answers on any graph, splits that share nothing, a task that depends on its seed alone."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from cmat_env.envs.knowledge_graph import KGEnv, OxigraphStore
from cmat_env.envs.knowledge_graph.generate import SPLITS
from cmat_env.envs.knowledge_graph.generate.isles import isles
from cmat_env.errors import ConfigError

GRAPHS = ("geo", "isles")
FOREIGN = """\
@prefix foaf: <http://xmlns.com/foaf/0.1/> . @prefix s: <https://schema.org/> . @prefix : <urn:ex/> .
:a a s:Person ; foaf:name "Ann" ; foaf:knows :b , :c ; s:age 3 .
:b a s:Person ; foaf:name "Bo" ; foaf:knows :c ; s:age 5 . :c a s:Person ; foaf:name "Cy" ; foaf:knows :a .
"""


def open_env(graph: str, split: str, agentbench: Path) -> KGEnv:
    """Generated tasks over the world's cities, or over our own graph."""
    return KGEnv(f"generated:{split}", graphs=agentbench / "kg" / "geo.nt.gz" if graph == "geo" else None)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_gold_solves_every_generated_task(graph: str, split: str, agentbench: Path) -> None:
    """Exact answers come out of Python's own sets, and the tools reach each of them: 200 of 200, all 16 shapes."""
    env = open_env(graph, split, agentbench)
    shapes: Counter[str] = Counter()
    solved = 0
    for seed in range(200):
        env.reset(seed=seed)
        for action in env.solution():
            *_, info = env.step(action)
        solved += info["success"]
        shapes[info["task_type"]] += 1

    assert (200, 16) == (solved, len(shapes))
    assert set(shapes) == set(env.task_types)


@pytest.mark.parametrize("graph", GRAPHS)
def test_splits_share_nothing(graph: str, agentbench: Path) -> None:
    """No question, and no program with the same entities."""
    questions: dict[str, set[str]] = {}
    programs: dict[str, set[str]] = {}
    for split in SPLITS:
        env = open_env(graph, split, agentbench)
        tasks = [env.source.pick(seed) for seed in range(300)]
        questions[split] = {task.question for task in tasks}
        programs[split] = {" ".join(sorted(map(str, task.actions))) for task in tasks}

    for one, other in (("train", "dev"), ("train", "heldout"), ("dev", "heldout")):
        assert set() == questions[one] & questions[other]
        assert set() == programs[one] & programs[other]
    assert len(questions["train"]) > 200


def test_a_task_depends_on_its_seed_alone() -> None:
    """Also in another process with another hash seed."""
    env = KGEnv()
    code = "from cmat_env.envs.knowledge_graph import KGEnv; e = KGEnv(); print([e.reset(seed=s)[0] for s in range(9)])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "77"}, capture_output=True, text=True, check=True
    )

    assert str([env.reset(seed=seed)[0] for seed in range(9)]) == done.stdout.strip()
    assert env.source.pick(5) == env.source.named(5) == env.source.named("train-5")


def test_any_turtle_will_do() -> None:
    """Other namespaces, no types for some, names by foaf:name."""
    env = KGEnv(graphs=OxigraphStore.of_text(FOREIGN), families=["hop_1", "most", "count_1"])
    kinds = set()
    for seed in range(30):
        env.reset(seed=seed)
        for action in env.solution():
            *_, info = env.step(action)
        assert info["success"]
        kinds.add(info["task_type"])

    assert {"hop_1", "most", "count_1"} >= kinds and "hop_1" in kinds
    assert {"knows": "http://xmlns.com/foaf/0.1/knows"} == env.graph.schema.relations
    assert {"age": "https://schema.org/age"} == env.graph.schema.attributes


@pytest.mark.parametrize("text", ["", "<http://e/a> <http://e/b> 1 .", "<http://e/a> <http://e/b> <http://e/c> ."])
def test_a_graph_without_questions_is_told(text: str) -> None:
    """Nothing to walk on, or no names: what is missing is said."""
    with pytest.raises(ConfigError, match="wanted a graph with named entities"):
        KGEnv(graphs=OxigraphStore.of_text(text))


def test_our_own_graph_needs_no_file() -> None:
    """About three thousand triples, the same everywhere."""
    store = OxigraphStore.of_text(isles())

    assert 3_008 == len(store)
    assert 16 == len(KGEnv().task_types)
