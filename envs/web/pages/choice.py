"""The choice among candidates: groups of five, a winner of each goes on, and how an answer is read and graded."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from cmat_env.envs.web.pages.dom import Node, by_node_id, usable, words_of
from cmat_env.envs.web.pages.sample import OPERATIONS, Operation, PageSample
from cmat_env.envs.web.search import open_engine, query_terms

Ranking = Literal["all", "bm25", "given"]
GROUP = 5
NONE = "A"
_LETTERS = "BCDEF"
_ANSWER = re.compile(r"answer\s*+[:=]?\s*+[(\"'*_`]*+([a-z])(?![a-z])", re.IGNORECASE)
_ACTION = re.compile(r"action\s*+[:=]\s*+[(\"'*_`]*+(click|type|select)(?![a-z])", re.IGNORECASE)
_VALUE = re.compile(r"value[ \t]*+[:=][ \t]*+(.*)", re.IGNORECASE)
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer.

    Attributes:
        letter: "A" = none of them.
        operation: what to do with the chosen element; None where that is not said.
        value: what to type or select.
    """

    letter: str
    operation: Operation | None = None
    value: str = ""


def read_choice(text: str) -> Choice | None:
    """The last answer in a text; None where there is none among A to F."""
    text = text[:_LONGEST]
    letters = _ANSWER.findall(text)
    if not letters or letters[-1].upper() not in NONE + _LETTERS:
        return None
    operations = _ACTION.findall(text)
    values = _VALUE.findall(text)
    known = [each for each in OPERATIONS if operations and each == operations[-1].upper()]
    operation: Operation | None = known[0] if known else None  # type: ignore[assignment]
    return Choice(letters[-1].upper(), operation, values[-1].strip() if values else "")


def write_choice(position: int | None, operation: Operation, value: str) -> str:
    """The text of an answer; position of the element in its group, None = none of them."""
    if position is None:
        return f"Answer: {NONE}."
    lines = [f"Answer: {_LETTERS[position]}.", f"Action: {operation}"]
    return "\n".join([*lines, f"Value: {value}"] if operation != "CLICK" else lines)


def letter_of(position: int) -> str:
    """The letter of a place in a group."""
    return _LETTERS[position]


def position_of(letter: str) -> int | None:
    """The place in a group; None for "A"."""
    return None if letter == NONE else _LETTERS.index(letter)


def rank(sample: PageSample, root: Node, *, ranking: Ranking, top_k: int) -> tuple[str, ...]:
    """The candidates that are shown, in order.

    Args:
        sample: the step.
        root: its page.
        ranking: "all" = every element that can be used, in the order of the document; "given" = those of the file, in
            its order; "bm25" = the best `top_k` of those that can be used, by the words of the task and of what was
            done before, in the order of the document.
        top_k: how many BM25 keeps.
    """
    nodes = by_node_id(root)
    if ranking == "given":
        return tuple(name for name in sample.candidates if name in nodes)
    names = usable(root)
    known = [*names, *(name for name in sample.candidates if name in nodes and name not in set(names))]
    if ranking == "all":
        return tuple(known)
    engine = open_engine(((name.zfill(12), words_of(nodes[name])) for name in known), name="fts5")
    wanted = query_terms(f"{sample.task} {' '.join(sample.previous)}")
    found = [name.lstrip("0") or "0" for name in engine.search(wanted, top_k)]
    engine.close()
    best = {*found, *[name for name in known if name not in found][: max(0, top_k - len(found))]}
    return tuple(name for name in known if name in best)


@dataclass(frozen=True, slots=True)
class Grade:
    """Mind2Web's measures of a step.

    Attributes:
        element: is the chosen element a right one?
        f1: of the words of operation and value.
        step: both right.
    """

    element: bool
    f1: float
    step: bool


def grade(sample: PageSample, node: str | None, choice: Choice) -> Grade:
    """Grade a final choice; none at all is wrong in every measure."""
    if node is None:
        return Grade(element=False, f1=0.0, step=False)
    element = node in sample.positives
    given = choice.value if choice.operation != "CLICK" else ""
    f1 = token_f1(f"{choice.operation or ''} {given}", f"{sample.operation} {sample.value}")
    return Grade(element, f1, element and f1 == 1.0)


def token_f1(given: str, wanted: str) -> float:
    """F1 of two bags of words, case aside."""
    ours, theirs = Counter(given.lower().split()), Counter(wanted.lower().split())
    shared = (ours & theirs).total()
    if not shared:
        return 0.0
    precision, recall = shared / ours.total(), shared / theirs.total()
    return 2 * precision * recall / (precision + recall)
