"""Database tasks: what one is, and the loader of AgentBench's dbbench files.

The standard file has the same format as the dev file: JSON lines, one task a line. `sql` of a line is noisy and is not
read: the label is the truth. A task that is known to be bad is kept and marked, so that scores stay comparable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmat_env.envs.database.backend import Row, Table
from cmat_env.errors import ConfigError, TaskFileError
from cmat_env.types import Brief

WRITE_TYPES = ("INSERT", "UPDATE", "DELETE")

_MD5 = re.compile(r"\[\('([0-9a-f]{32})',?\)\]")
_EMPTY_COLUMN = "a column has no name, which MySQL refuses (error 1166): no agent can pass it upstream"


@dataclass(frozen=True, slots=True)
class Slip:
    """A systematic error of the imperfect demonstrator.

    Attributes:
        weight: share among the errors of the task; they sum to 1.
        sql: the wrong statement.
    """

    weight: float
    sql: str


@dataclass(frozen=True, slots=True)
class DBTask:
    """One question about a database, or one change to make in it.

    Attributes:
        id: names the task in its source.
        family: its type, such as "counting", "INSERT" or "count_where".
        description: the question or the instruction.
        add_description: what the tables and their columns are called.
        tables: the database; a write is graded on the first one.
        write: is it graded by the final table? Else by the answer.
        answers: the label of a read.
        gold_rows: the final rows of a write; None = what `reference` makes of them.
        answer_md5: the hash of the final table as the file states it.
        reference: SQL that is known to be right: of a write, or of a generated read.
        slips: wrong statements of the imperfect demonstrator.
        evidence: a hint that belongs to the question (in AgentBench's training file).
        jargon: a word of the question that no column has, and that only those know who work there.
        split: where a generated task belongs, or the name of its file.
        known_bad: why nobody can solve it as it stands; "" = it is fine.
        wordings: all ways to say the description of a generated task, itself among them.

    Raises:
        ConfigError: it has no table, or a write without a right ending.
    """

    id: str
    family: str
    description: str
    add_description: str
    tables: tuple[Table, ...]
    write: bool = False
    answers: tuple[str, ...] = ()
    gold_rows: tuple[Row, ...] | None = None
    answer_md5: str | None = None
    reference: str | None = None
    slips: tuple[Slip, ...] = ()
    evidence: str = ""
    jargon: str = ""
    split: str = ""
    known_bad: str = ""
    wordings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.tables:
            raise ConfigError(f"task {self.id!r} has no table; give at least one")
        if self.write and self.gold_rows is None and self.reference is None:
            raise ConfigError(f"write task {self.id!r} has no right ending; give gold_rows or a reference statement")

    @property
    def brief(self) -> Brief | None:
        """What the user of a generated task wants and knows; None = no more than the statement."""
        return Brief(self.add_description, (self.description,), (self.wordings,)) if self.wordings else None


def load_tasks(path: str | Path) -> tuple[DBTask, ...]:
    """Read a dbbench file.

    Args:
        path: JSON lines in AgentBench's format; blank lines are skipped.

    Returns:
        Its tasks in order; task number i of file "dev.jsonl" has the id "dev-i".

    Raises:
        TaskFileError: the file is missing, is not text, has no task, or a line is malformed.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskFileError(f"{path}: cannot be read ({error}); wanted a dbbench file of JSON lines") from error
    tasks: list[DBTask] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            tasks.append(_Line(path, number).task(line, index=len(tasks)))
    if not tasks:
        raise TaskFileError(f"{path}: holds no task; wanted one JSON object a line")
    return tuple(tasks)


@dataclass(frozen=True, slots=True)
class _Line:
    """Where a task stands, and how to read it there."""

    path: Path
    number: int

    def task(self, line: str, *, index: int) -> DBTask:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.error(f"is not JSON ({error})") from None
        if not isinstance(entry, dict):
            raise self.error(f"is {type(entry).__name__}, wanted a JSON object")
        family = self.family(entry)
        labels = self.labels(entry)
        write = family in WRITE_TYPES
        tables = self.tables(entry)
        return DBTask(
            id=f"{self.path.stem}-{index}",
            family=family,
            description=self.text(entry, "description"),
            add_description=self.text(entry, "add_description"),
            tables=tables,
            write=write,
            answers=() if write else labels,
            answer_md5=self.md5(entry) if write else None,
            reference=labels[0] if write else None,
            evidence=self.text(entry, "evidence", optional=True),
            split=self.path.stem,
            known_bad=_EMPTY_COLUMN if any("" in table.columns for table in tables) else "",
        )

    def error(self, what: str, *, field: str | None = None) -> TaskFileError:
        return TaskFileError(f"{self.path}, line {self.number}{f', field {field!r}' if field else ''}: {what}")

    def field(self, entry: Mapping[str, Any], name: str, *, within: str = "") -> Any:
        if name not in entry:
            raise self.error("is missing", field=within + name)
        return entry[name]

    def text(self, entry: Mapping[str, Any], name: str, *, optional: bool = False, within: str = "") -> str:
        value = entry.get(name, "") if optional else self.field(entry, name, within=within)
        if not isinstance(value, str):
            raise self.error(f"is {type(value).__name__}, wanted text", field=within + name)
        return value

    def family(self, entry: Mapping[str, Any]) -> str:
        value = self.field(entry, "type")
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, str):
            raise self.error(f"is {value!r}, wanted one text in a list, such as ['counting']", field="type")
        return value

    def labels(self, entry: Mapping[str, Any]) -> tuple[str, ...]:
        value = self.field(entry, "label")
        if not isinstance(value, list) or not value or not all(isinstance(item, str | int | float) for item in value):
            raise self.error(f"is {value!r:.60}, wanted a list of at least one text", field="label")
        return tuple(str(item) for item in value)

    def md5(self, entry: Mapping[str, Any]) -> str:
        value = self.text(entry, "answer_md5")
        match = _MD5.fullmatch(value)
        if match is None:
            raise self.error(f"is {value!r:.60}, wanted \"[('32 hex digits',)]\"", field="answer_md5")
        return match[1]

    def tables(self, entry: Mapping[str, Any]) -> tuple[Table, ...]:
        value = self.field(entry, "table")
        several = isinstance(value, list)
        if not several:
            value = [value]
        if not value:
            raise self.error("is an empty list, wanted a table", field="table")
        return tuple(self.table(item, within=f"table[{i}]" if several else "table") for i, item in enumerate(value))

    def table(self, item: object, *, within: str) -> Table:
        if not isinstance(item, dict):
            raise self.error(f"is {type(item).__name__}, wanted an object", field=within)
        name = self.text(item, "table_name", within=f"{within}.")
        info = self.field(item, "table_info", within=f"{within}.")
        within = f"{within}.table_info"
        if not isinstance(info, dict):
            raise self.error(f"is {type(info).__name__}, wanted an object", field=within)
        columns = self.columns(self.field(info, "columns", within=f"{within}."), within=f"{within}.columns")
        rows = self.field(info, "rows", within=f"{within}.")
        if not isinstance(rows, list):
            raise self.error(f"is {type(rows).__name__}, wanted a list of rows", field=f"{within}.rows")
        return Table(
            name, columns, tuple(self.row(row, len(columns), f"{within}.rows[{i}]") for i, row in enumerate(rows))
        )

    def columns(self, value: object, *, within: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise self.error("wanted a list of at least one column", field=within)
        names: list[str] = []
        for index, column in enumerate(value):
            if not isinstance(column, dict):
                raise self.error(
                    f"is {type(column).__name__}, wanted an object with a name", field=f"{within}[{index}]"
                )
            names.append(self.text(column, "name", within=f"{within}[{index}]."))
            if names[-1] in names[:-1]:
                raise self.error(f"the column {names[-1]!r} stands there twice", field=f"{within}[{index}].name")
        return tuple(names)

    def row(self, value: object, width: int, within: str) -> Row:
        if not isinstance(value, list) or len(value) != width:
            came = f"{len(value)} cells" if isinstance(value, list) else type(value).__name__
            raise self.error(f"is {came}, wanted a list of {width} cells, one a column", field=within)
        for cell in value:
            if cell is not None and not isinstance(cell, str | int | float):
                raise self.error(f"holds {cell!r:.40}, wanted text or a number", field=within)
        return tuple(value)
