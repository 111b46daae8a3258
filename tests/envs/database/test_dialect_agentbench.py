"""The MySQL dialect on the 60 development tasks of AgentBench, by the benchmark's own rules; and what it costs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmat_env.envs.database.backend import Row, Table
from cmat_env.envs.database.sqlite import SQLiteBackend


@pytest.fixture(scope="module")
def tasks(agentbench: Path) -> list[dict[str, Any]]:
    """The lines of the file."""
    lines = (agentbench / "db" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _table(task: dict[str, Any]) -> Table:
    table = task["table"]
    columns = tuple(column["name"] for column in table["table_info"]["columns"])
    return Table(table["table_name"], columns, tuple(map(tuple, table["table_info"]["rows"])))


def _md5(rows: list[Row]) -> str:
    def digest(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    return digest(",".join(sorted(digest(",".join(str(cell) for cell in row if cell is not None))[:5] for row in rows)))


def _matches(answer: list[str], label: list[str]) -> bool:
    """The comparison of AgentBench main, as far as these answers need it."""

    def clean(cells: list[str]) -> list[str]:
        texts = [cell.strip().strip("'\"").removesuffix("%").replace(",", "") for cell in cells]
        return ["0" if text.lower() in ("", "none", "null") else text for text in texts]

    def numbers(cells: list[str]) -> list[float] | None:
        try:
            return sorted(map(float, cells))
        except ValueError:
            return None

    mine, theirs = clean(answer), clean(label)
    left, right = numbers(mine), numbers(theirs)
    if left is not None and right is not None and mine:
        return len(left) == len(right) and all(abs(a - b) <= 0.01 for a, b in zip(left, right, strict=True))
    return set(mine) == set(theirs)


def test_gold_statements_leave_the_state_that_is_wanted(tasks: list[dict[str, Any]]) -> None:
    """All 40 gold writes run, and the state afterwards has the hash that the benchmark recorded on MySQL."""
    backend = SQLiteBackend("mysql")
    right = Counter[str]()
    for task in tasks:
        kind = task["type"][0]
        if kind not in ("INSERT", "UPDATE"):
            continue
        table = _table(task)
        backend.load([table])
        assert backend.execute(task["label"][0]).error is None
        rows = backend.table_rows(table.name, table.columns)
        assert rows is not None
        right[kind] += f"[('{_md5(rows)}',)]" == task["answer_md5"]

    assert {"INSERT": 20, "UPDATE": 20} == right


def test_reference_queries_fare_as_on_mariadb(tasks: list[dict[str, Any]]) -> None:
    """The noisy reference queries: 4 right, 6 syntax errors, 3 unknown names, the others run and give something else.

    MariaDB gives the same, but for task 5, whose table it cannot make.
    """
    backend = SQLiteBackend("mysql")
    outcomes = Counter[str]()
    for task in tasks:
        if task["type"][0] in ("INSERT", "UPDATE"):
            continue
        backend.load([_table(task)])
        result = backend.execute(task["sql"]["query"])
        if result.error_code is not None:
            outcomes["syntax" if result.error_code == 1064 else "name"] += 1
        else:
            outcomes[str(_matches([str(cell) for row in result.rows for cell in row], task["label"]))] += 1

    assert {"True": 4, "syntax": 6, "name": 3, "False": 7} == outcomes


def test_the_dialect_is_imported_when_it_is_used() -> None:
    """Making a backend of SQLite's own dialect imports no SQL parser."""
    program = (
        "import sys; import cmat_env.envs.database; from cmat_env.envs.database.sqlite import SQLiteBackend; "
        "SQLiteBackend(); print('sqlglot' in sys.modules); SQLiteBackend('mysql'); print('sqlglot' in sys.modules)"
    )

    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert ["False", "True"] == output.split()


VOCABULARY = """
    SELECT FROM WHERE t a b `c_d` * , ( ) ' " = < > AND OR NOT IN LIKE BETWEEN GROUP BY ORDER HAVING LIMIT 1 2.5 'x'
    COUNT( SUM( CONCAT( CASE WHEN THEN END UPDATE SET DELETE INSERT INTO VALUES JOIN ON AS UNION ALL WITH NULL IS -- ;
    INTERVAL DAY EXISTS ANY DISTINCT OVER CAST( SIGNED CREATE DROP ALTER TABLE INDEX VIEW DESC SHOW @x := . é \\
"""
WORDS = st.sampled_from(VOCABULARY.split())


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=25))
def test_no_mixture_of_words_raises(words: list[str]) -> None:
    """Whatever an agent writes, it gets a result, and the backend works afterwards."""
    backend = SQLiteBackend("mysql")
    backend.load([Table("t", ("a", "b", "c d"), (("1", "x", "y"),))])

    backend.execute(" ".join(words))

    assert ((2,),) == backend.execute("SELECT 1 + 1").rows
    backend.close()
