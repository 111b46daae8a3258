"""One step on a web page, in Mind2Web's schema, and a loader for its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from cmat_env.errors import TaskFileError

Operation = Literal["CLICK", "TYPE", "SELECT"]
OPERATIONS: tuple[str, ...] = get_args(Operation)


@dataclass(frozen=True, slots=True)
class PageSample:
    """What is to be done next on a page.

    Attributes:
        id: annotation and action.
        website: such as "united".
        domain: its family.
        task: what the user wants in the end.
        previous: what was done so far, in words.
        html: the page; elements carry `backend_node_id`.
        operation: what to do, and with which value ("" for CLICK).
        value: what to type or to select.
        positives: node ids of the right element; several where they are nested or alike.
        candidates: node ids of all elements that may be chosen, in the order of the file.
    """

    id: str
    website: str
    domain: str
    task: str
    previous: tuple[str, ...]
    html: str
    operation: Operation
    value: str
    positives: frozenset[str]
    candidates: tuple[str, ...]


def load_mind2web(path: str | Path) -> list[PageSample]:
    """Read a Mind2Web file, or all JSON files of a folder.

    Raises:
        TaskFileError: a file is missing or malformed.
    """
    place = Path(path)
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    samples: list[PageSample] = []
    for file in files:
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
            samples.extend(sample for row in rows for sample in samples_of(row))
        except OSError as error:
            raise TaskFileError(f"{file} cannot be read: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TaskFileError(f"{file} is no Mind2Web file: {type(error).__name__}: {error}") from error
    if not samples:
        raise TaskFileError(f"{place}: not a single step; wanted Mind2Web's JSON, such as data/train/train_0.json")
    return samples


def samples_of(row: Mapping[str, Any]) -> Iterator[PageSample]:
    """The steps of one annotated task."""
    said: Sequence[str] = row.get("action_reprs") or ()
    for index, action in enumerate(row["actions"]):
        operation = action["operation"]
        kind = operation["op"]
        if kind not in OPERATIONS:
            raise ValueError(f"operation {kind!r} is none of {', '.join(OPERATIONS)}")
        right = [str(node["backend_node_id"]) for node in action["pos_candidates"]]
        others = [str(node["backend_node_id"]) for node in action["neg_candidates"]]
        yield PageSample(
            id=f"{row['annotation_id']}_{action['action_uid']}",
            website=row.get("website", "-") or "-",
            domain=row.get("domain", "-") or "-",
            task=row["confirmed_task"],
            previous=tuple(said[:index]),
            html=action["cleaned_html"],
            operation=kind,
            value=operation.get("value") or "",
            positives=frozenset(right),
            candidates=tuple(dict.fromkeys([*right, *others])),
        )
