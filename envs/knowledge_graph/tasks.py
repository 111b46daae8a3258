"""Knowledge-graph tasks: what one is, and the loader of AgentBench's files with their offline status.

`dev.json`, `train.json` and the standard file of an AgentBench checkout have one format: a JSON list. Beside it, or
beside the graphs, a file such as `dev_offline_status.json` may say which tasks an offline graph cannot answer, and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmat_env.errors import ConfigError, TaskFileError
from cmat_env.types import Brief

TOOLS: Mapping[str, tuple[str, ...]] = {
    "get_relations": ("variable",),
    "get_neighbors": ("variable", "relation"),
    "intersection": ("variable1", "variable2"),
    "get_attributes": ("variable",),
    "argmax": ("variable", "attribute"),
    "argmin": ("variable", "attribute"),
    "count": ("variable",),
}
"""Every tool with the names of its arguments."""

_ACTION = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool, its arguments as text: "#0", the name or id of an entity, a relation, an attribute."""

    tool: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.tool}({', '.join(self.arguments)})"


@dataclass(frozen=True, slots=True)
class KGTask:
    """One question about a graph.

    Attributes:
        id: names the task in its source.
        family: its type, such as "count" or "superlative".
        question: in words.
        entities: name -> id of those that the question mentions; an id is an IRI, or one without the graph's base.
        answers: the right answer: ids, or lexical forms of literals.
        actions: the calls of a right episode; the last variable is the answer. () = not known.
        done: how many of these calls earlier parts of a composite task have made.
        split: where a generated task belongs, or the name of its file.
        offline: why the offline graph cannot answer it by AgentBench's rules; "" = it can, or nobody has looked.
        wordings: all ways to say a generated question, itself among them.

    Raises:
        ConfigError: it has no answer, or an action that is no call.
    """

    id: str
    family: str
    question: str
    entities: Mapping[str, str]
    answers: tuple[str, ...]
    actions: tuple[Call, ...] = ()
    done: int = 0
    split: str = ""
    offline: str = ""
    wordings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.answers:
            raise ConfigError(f"task {self.id!r} has no answer; give at least one")
        for call in self.actions:
            if call.tool not in TOOLS or len(call.arguments) != len(TOOLS[call.tool]):
                raise ConfigError(f"task {self.id!r}: {call} is no call of a tool; tools are {', '.join(TOOLS)}")

    @property
    def brief(self) -> Brief | None:
        """What the user of a generated task wants and knows; None = no more than the statement."""
        return Brief(entities_of(self.entities), (self.question,), (self.wordings,)) if self.wordings else None


def entities_of(names: Collection[str]) -> str:
    """How the entities that a question mentions are listed."""
    return f"Entities: [{', '.join(names)}]"


def load_tasks(path: str | Path, *, graphs: str | Path | None = None) -> tuple[KGTask, ...]:
    """Read an AgentBench knowledge-graph file.

    Args:
        path: a JSON list of tasks.
        graphs: the file of their graphs; a status file may lie beside it, too.

    Raises:
        TaskFileError: the file or its status file is missing, no JSON, or an entry is malformed.
    """
    path = Path(path)
    entries = _json_list(path)
    places = [path.parent, *([Path(graphs).parent] if graphs is not None else [])]
    status = _status(path.stem, places)
    tasks = tuple(_Entry(path, index).task(entry, status) for index, entry in enumerate(entries))
    if not tasks:
        raise TaskFileError(f"{path}: holds no task; wanted a list of at least one")
    return tasks


def family_of(actions: tuple[Call, ...]) -> str:
    """What kind of question these calls answer."""
    tools = {call.tool for call in actions}
    if "count" in tools:
        return "count"
    if tools & {"argmax", "argmin"}:
        return "superlative"
    return "intersection" if "intersection" in tools else "chain"


def _json_list(path: Path) -> list[Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TaskFileError(f"{path}: cannot be read ({error}); wanted AgentBench's JSON list of tasks") from error
    except (ValueError, RecursionError) as error:
        raise TaskFileError(f"{path}: is not JSON ({error}); wanted AgentBench's JSON list of tasks") from None
    if not isinstance(entries, list):
        raise TaskFileError(f"{path}: is {type(entries).__name__}, wanted a list of tasks")
    return entries


def _status(stem: str, places: list[Path]) -> dict[str, str]:
    """The reasons by task id; empty where there is no status file."""
    for place in places:
        path = place / f"{stem}_offline_status.json"
        if not path.is_file():
            continue
        try:
            reasons = {str(entry["qid"]): str(entry["offline"]) for entry in _json_list(path)}
        except (KeyError, TypeError) as error:
            raise TaskFileError(f"{path}: an entry lacks qid or offline ({error!r})") from error
        return {qid: reason for qid, reason in reasons.items() if reason != "ok"}
    return {}


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a task stands, and how to read it there."""

    path: Path
    index: int

    def task(self, entry: Any, status: Mapping[str, str]) -> KGTask:
        if not isinstance(entry, dict):
            raise self.error(f"is {type(entry).__name__}, wanted an object")
        qid = entry.get("qid", f"{self.path.stem}-{self.index}")
        actions = tuple(self.call(text) for text in self.texts(entry, "actions"))
        return KGTask(
            id=str(qid),
            family=family_of(actions),
            question=self.text(entry, "question"),
            entities=self.entities(entry),
            answers=self.answers(entry),
            actions=actions,
            split=self.path.stem,
            offline=status.get(str(qid), ""),
        )

    def error(self, what: str, *, field: str | None = None) -> TaskFileError:
        return TaskFileError(f"{self.path}, task {self.index}{f', field {field!r}' if field else ''}: {what}")

    def text(self, entry: Mapping[str, Any], name: str) -> str:
        value = entry.get(name)
        if not isinstance(value, str):
            raise self.error(f"is {type(value).__name__}, wanted text", field=name)
        return value

    def texts(self, entry: Mapping[str, Any], name: str) -> list[str]:
        value = entry.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error("wanted a list of texts", field=name)
        return value

    def call(self, text: str) -> Call:
        match = _ACTION.fullmatch(text.strip())
        known = match is not None and match[1] in TOOLS
        arguments = tuple(part.strip() for part in match[2].split(",")) if match else ()
        if match is None or not known or len(arguments) != len(TOOLS[match[1]]):
            raise self.error(f"{text!r:.80} is no call, such as 'get_relations(m.02r8js)'", field="actions")
        return Call(match[1], arguments)

    def entities(self, entry: Mapping[str, Any]) -> dict[str, str]:
        value = entry.get("entities")
        if not isinstance(value, dict) or not all(isinstance(id, str) and id for id in value.values()):
            raise self.error("wanted an object of names and ids", field="entities")
        return dict(value)

    def answers(self, entry: Mapping[str, Any]) -> tuple[str, ...]:
        value = entry.get("answer")
        if not isinstance(value, list) or not value:
            raise self.error("wanted a list of at least one answer", field="answer")
        found = [item.get("answer_argument") if isinstance(item, dict) else item for item in value]
        if not all(isinstance(item, str | int | float) for item in found):
            raise self.error("wanted objects with an answer_argument", field="answer")
        return tuple(str(item) for item in found)
