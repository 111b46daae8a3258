"""AgentBench's knowledge-graph files: what is read, what is refused, and the status files beside them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cmat_env.envs.knowledge_graph import Call, KGEnv, KGTask, load_tasks
from cmat_env.envs.knowledge_graph.schema import load_ontology
from cmat_env.errors import ConfigError, TaskFileError

ENTRY: dict[str, Any] = {
    "qid": "1_grailqa",
    "question": "who?",
    "entities": {"A": "m.01"},
    "actions": ["get_relations(m.01)", "get_neighbors(m.01,p.q.r)"],
    "answer": [{"answer_type": "Entity", "answer_argument": "m.02"}, {"answer_argument": "m.03"}],
}


def write(folder: Path, *entries: object) -> Path:
    """A task file."""
    file = folder / "some.json"
    file.write_text(json.dumps(list(entries)), encoding="utf-8")
    return file


def test_the_files_have_the_published_composition(agentbench: Path) -> None:
    """20 and 1,214 tasks; answers without a type are read too; the status files' reasons are kept."""
    dev = load_tasks(agentbench / "kg" / "dev.json")
    train = load_tasks(agentbench / "kg" / "train.json")

    assert (20, 1214) == (len(dev), len(train))
    assert {"type mismatch": 2} == Counter(task.offline for task in dev if task.offline)
    reasons = Counter(task.offline for task in train if task.offline)
    assert [74, 20, 12, 8, 3] == [count for _, count in reasons.most_common()]
    assert {"intersection": 747, "superlative": 271, "count": 196} == Counter(task.family for task in train)


def test_an_entry(tmp_path: Path) -> None:
    """Calls are read into their parts."""
    (task,) = load_tasks(write(tmp_path, ENTRY))

    assert (Call("get_relations", ("m.01",)), Call("get_neighbors", ("m.01", "p.q.r"))) == task.actions
    assert ("1_grailqa", "chain", ("m.02", "m.03"), "some", "") == (
        task.id, task.family, task.answers, task.split, task.offline,
    )  # fmt: skip


def test_a_status_file_may_lie_beside_the_tasks_or_the_graphs(tmp_path: Path) -> None:
    """The first one that is there counts."""
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "some_offline_status.json").write_text('[{"i": 0, "qid": "1_grailqa", "offline": "why"}]')
    file = write(tmp_path, ENTRY)

    assert "" == load_tasks(file)[0].offline
    assert "why" == load_tasks(file, graphs=tmp_path / "graphs" / "g.nq.gz")[0].offline


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("question", 5, "field 'question': is int, wanted text"),
        ("question", ..., "field 'question': is NoneType, wanted text"),
        ("entities", [], "field 'entities': wanted an object"),
        ("entities", {"A": 1}, "field 'entities': wanted an object"),
        ("answer", [], "field 'answer': wanted a list of at least one"),
        ("answer", "x", "field 'answer': wanted a list of at least one"),
        ("answer", [{}], "field 'answer': wanted objects with an answer_argument"),
        ("actions", "x", "field 'actions': wanted a list of texts"),
        ("actions", ["drop(x)"], r"field 'actions': 'drop\(x\)' is no call"),
        ("actions", ["count(a,b)"], r"field 'actions': 'count\(a,b\)' is no call"),
    ],
)
def test_a_malformed_entry_is_told(tmp_path: Path, field: str, value: object, says: str) -> None:
    """By file, number and field."""
    bad = {key: each for key, each in ({**ENTRY, field: value}).items() if each is not ...}
    with pytest.raises(TaskFileError, match=f"some.json, task 1, {says}"):
        load_tasks(write(tmp_path, ENTRY, bad))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not JSON"),
        (b"[", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"{}", "is dict, wanted a list of tasks"),
        (b"[]", "holds no task"),
        (b"[1]", "task 0: is int, wanted an object"),
        (b"\xff", "cannot be read"),
    ],
    ids=range(7),
)
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes, says: str) -> None:
    """Whatever it is."""
    file = tmp_path / "some.json"
    file.write_bytes(content)
    with pytest.raises(TaskFileError, match=says):
        load_tasks(file)
    with pytest.raises(TaskFileError, match="cannot be read"):
        load_tasks(tmp_path / "missing.json")


@pytest.mark.parametrize("content", ["[{}]", "[3]"])
def test_a_malformed_status_file_is_told(tmp_path: Path, content: str) -> None:
    """It names the status file."""
    (tmp_path / "some_offline_status.json").write_text(content)
    with pytest.raises(TaskFileError, match=r"some_offline_status\.json: an entry lacks qid or offline"):
        load_tasks(write(tmp_path, ENTRY))


def test_the_ontology_is_read_or_told(agentbench: Path, tmp_path: Path) -> None:
    """13,100 relations and 3,384 attributes; a folder without them is a user's mistake."""
    schema = load_ontology(agentbench / "kg" / "ontology")

    assert (13_100, 3_384) == (len(schema.relations), len(schema.attributes))
    assert "people.profession" == schema.ranges["http://rdf.freebase.com/ns/people.person.profession"]
    with pytest.raises(TaskFileError, match="wanted AgentBench's ontology there"):
        KGEnv(ontology=tmp_path)


def test_a_task_needs_an_answer_and_real_calls() -> None:
    """Refused when it is made."""
    with pytest.raises(ConfigError, match="has no answer"):
        KGTask("1", "x", "q", {}, ())
    with pytest.raises(ConfigError, match="is no call of a tool"):
        KGTask("1", "x", "q", {}, ("a",), (Call("union", ("#0", "#1")),))
