"""The loader of AgentBench's dbbench files, and what it says of a malformed one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cmat_env.envs.database.backend import Table
from cmat_env.envs.database.tasks import DBTask, load_tasks
from cmat_env.errors import ConfigError, TaskFileError

READ: dict[str, Any] = {
    "description": "how many?",
    "add_description": "Table t (a, b).",
    "type": ["counting"],
    "label": ["2"],
    "table": {
        "table_name": "t",
        "table_info": {"columns": [{"name": "a", "type": "INT"}, {"name": "b"}], "rows": [["x", 1], ["y", None]]},
    },
}
WRITE: dict[str, Any] = {
    **READ,
    "type": ["UPDATE"],
    "label": ["UPDATE t SET a = 'z'"],
    "answer_md5": "[('0123456789abcdef0123456789abcdef',)]",
}


def write(path: Path, *entries: object) -> Path:
    """A file of these lines."""
    file = path / "tasks.jsonl"
    file.write_text("\n".join(json.dumps(entry) for entry in entries) + "\n\n", encoding="utf-8")
    return file


def changed(entry: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of an entry with one field set, or taken away if the value is Ellipsis."""
    copy: dict[str, Any] = json.loads(json.dumps(entry))
    *parents, last = path.split(".")
    at: Any = copy
    for part in parents:
        at = at[int(part) if part.isdigit() else part]
    if value is ...:
        del at[last]
    else:
        at[int(last) if last.isdigit() else last] = value
    return copy


def test_the_dev_file_has_the_published_composition(agentbench: Path) -> None:
    """Sixty tasks: twenty inserts, twenty updates, twenty questions; number 5 is marked, none is dropped."""
    tasks = load_tasks(agentbench / "db" / "dev.jsonl")

    assert {"INSERT": 20, "UPDATE": 20, "other": 4, "comparison": 4, "counting": 3, "ranking": 3} | {
        "aggregation-SUM": 2,
        "aggregation-MAX": 2,
        "aggregation-MIN": 1,
        "aggregation-AVG": 1,
    } == Counter(task.family for task in tasks)
    assert [f"dev-{index}" for index in range(60)] == [task.id for task in tasks]
    assert ["dev-5"] == [task.id for task in tasks if task.known_bad]
    assert all(task.answers and not task.reference for task in tasks if not task.write)
    assert all(task.answer_md5 and task.reference for task in tasks if task.write)


def test_one_table_or_several(tmp_path: Path) -> None:
    """`table` is an object, or a list of them; the first is graded."""
    several = changed(READ, "table", [READ["table"], {**READ["table"], "table_name": "u"}])
    one, two = load_tasks(write(tmp_path, READ, several))

    assert (Table("t", ("a", "b"), (("x", 1), ("y", None))),) == one.tables
    assert ["t", "u"] == [table.name for table in two.tables]
    assert (False, ("2",), None) == (one.write, one.answers, one.reference)


def test_a_write_keeps_its_statement_and_its_hash(tmp_path: Path) -> None:
    """The label of a write is the right statement; answer_md5 is read out of its wrapping."""
    (task,) = load_tasks(write(tmp_path, WRITE))

    assert (True, (), "UPDATE t SET a = 'z'") == (task.write, task.answers, task.reference)
    assert "0123456789abcdef0123456789abcdef" == task.answer_md5


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("description", ..., "field 'description': is missing"),
        ("description", 5, "field 'description': is int, wanted text"),
        ("type", "counting,", None),
        ("type", [], "field 'type': is [], wanted one text"),
        ("label", "2", "field 'label': is '2', wanted a list"),
        ("label", [], "field 'label': is [], wanted a list of at least one text"),
        ("table", 3, "field 'table': is int, wanted an object"),
        ("table", [], "field 'table': is an empty list"),
        ("table.table_name", ..., "field 'table.table_name': is missing"),
        ("table.table_info", [], "field 'table.table_info': is list, wanted an object"),
        ("table.table_info.columns", [], "field 'table.table_info.columns': wanted a list of at least one"),
        ("table.table_info.columns", ["a", "b"], "field 'table.table_info.columns[0]': is str, wanted an object"),
        ("table.table_info.columns.1.name", "a", "field 'table.table_info.columns[1].name': the column 'a' stands"),
        ("table.table_info.rows", {}, "field 'table.table_info.rows': is dict, wanted a list"),
        ("table.table_info.rows.1", ["x"], "field 'table.table_info.rows[1]': is 1 cells, wanted a list of 2"),
        ("table.table_info.rows.1", "xy", "field 'table.table_info.rows[1]': is str, wanted a list of 2"),
        ("table.table_info.rows.1", ["x", {}], "field 'table.table_info.rows[1]': holds {}, wanted text or a number"),
    ],
)
def test_a_malformed_line_is_told_by_file_line_and_field(
    tmp_path: Path, field: str, value: object, message: str | None
) -> None:
    """The error names file, line, field, what came and what was wanted."""
    file = write(tmp_path, READ, changed(READ, field, value))
    if message is None:
        assert 2 == len(load_tasks(file))
        return
    with pytest.raises(TaskFileError) as caught:
        load_tasks(file)

    assert str(caught.value).startswith(f"{file}, line 2, {message}")


@pytest.mark.parametrize("value", [..., "d41d8cd98f00b204e9800998ecf8427e", "[('xyz',)]", None])
def test_a_write_without_its_hash_is_malformed(tmp_path: Path, value: object) -> None:
    """answer_md5 is wanted as upstream writes it."""
    with pytest.raises(TaskFileError, match="line 1, field 'answer_md5'"):
        load_tasks(write(tmp_path, changed(WRITE, "answer_md5", value)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no task"),
        (b"\n\n", "holds no task"),
        (b"{", "line 1: is not JSON"),
        (b"[" * 100_000, "line 1: is not JSON"),
        (b"[]", "line 1: is list, wanted a JSON object"),
        (b"\xff\xfe", "cannot be read"),
    ],
    ids=["empty", "blank", "torn", "nested", "list", "bytes"],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    """Whatever the file is, the error is ours and names it."""
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(content)

    with pytest.raises(TaskFileError, match=message):
        load_tasks(file)


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_missing_file_is_told(tmp_path: Path, name: str) -> None:
    """A path that cannot be opened is a user's mistake with a clear line."""
    with pytest.raises(TaskFileError, match="cannot be read"):
        load_tasks(tmp_path / name)


def test_a_task_needs_a_table_and_a_write_its_ending() -> None:
    """A task that nobody could grade is refused when it is made."""
    table = Table("t", ("a",), (("x",),))
    with pytest.raises(ConfigError, match="has no table"):
        DBTask("1", "other", "q", "", (), answers=("x",))
    with pytest.raises(ConfigError, match="no right ending"):
        DBTask("1", "UPDATE", "q", "", (table,), write=True)
