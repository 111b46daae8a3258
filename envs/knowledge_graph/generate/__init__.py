"""Seeded generator of questions over any graph: a task is a pure function of graph, split and seed.

What a question asks (its shape, relations and named entities) has a checksum, which puts it into one split for good:
no two splits share a question, nor a program with the same entities.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import Literal, get_args

from cmat_env.envs.knowledge_graph.generate.facts import Facts
from cmat_env.envs.knowledge_graph.generate.shapes import SHAPES, DeadEndError, Draft, Walk, settled
from cmat_env.envs.knowledge_graph.program import Count
from cmat_env.envs.knowledge_graph.tasks import KGTask
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["SPLITS", "Facts", "Split", "answers_of", "families", "generate", "split_of_walk"]

Split = Literal["train", "dev", "heldout"]
SPLITS: tuple[Split, ...] = get_args(Split)

_CLASSES = 5
_HELDOUT, _DEV = 0, 1
_TRIES = 5_000
_MOST_ANSWERS = 50
_WORDINGS = ("Find {}.", "Name {}.", "List {}.", "Look up {}.")
_COUNTS = ("Count {}.", "How many are there: {}?", "Find the number of {}.")


def families() -> tuple[str, ...]:
    """The shapes of questions."""
    return tuple(SHAPES)


def generate(facts: Facts, split: Split, *, seed: int, only: Sequence[str] = ()) -> KGTask:
    """Draw one task.

    Args:
        facts: the graph.
        split: "train", "dev" (for choosing settings) or "heldout".
        seed: any whole number; neighbours are unrelated.
        only: shapes to draw from; by default all.

    Raises:
        UnknownNameError: there is no such split or shape.
        ConfigError: the graph has no such question.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r} is unknown; {did_you_mean(split, SPLITS)}")
    for name in only:
        if name not in SHAPES:
            raise UnknownNameError(f"no family is called {name!r}; {did_you_mean(name, SHAPES)}")
    rng = random.Random(f"{split}/{seed}")
    shapes = tuple(only) or families()
    shape = rng.choice(shapes)
    for attempt in range(_TRIES):
        if attempt % 100 == 99:  # a small graph may lack questions of a shape
            shape = rng.choice(shapes)
        draft = Draft(facts, rng)
        try:
            walk = SHAPES[shape](draft)
            answers = answers_of(facts, walk)
        except DeadEndError:
            continue
        if split_of_walk(walk) == split:
            return _task(draft, walk, answers, shape=shape, split=split, seed=seed)
    raise ConfigError(
        f"no question of the shapes {', '.join(shapes)} was found for split {split!r}; wanted a graph with named "
        "entities (rdfs:label, name), relations between them and numbers as attributes"
    )


def answers_of(facts: Facts, walk: Walk) -> tuple[str, ...]:
    """The right answers, if both rules agree on them and there are not too many."""
    found = settled(facts, walk.program)
    if not 0 < len(found) <= _MOST_ANSWERS or any(kind == "blank" for kind, _ in found):
        raise DeadEndError
    if isinstance(walk.program, Count) and found == {("number", "0")}:
        raise DeadEndError
    return tuple(sorted(facts.schema.short(text) if kind == "iri" else text for kind, text in found))


def split_of_walk(walk: Walk) -> Split:
    """By what is asked: the words of the phrase, in whatever order and with whatever wording."""
    number = zlib.crc32(" ".join(sorted(walk.phrase.split())).encode()) % _CLASSES
    return {_HELDOUT: "heldout", _DEV: "dev"}.get(number, "train")  # type: ignore[return-value]


def _task(draft: Draft, walk: Walk, answers: tuple[str, ...], *, shape: str, split: Split, seed: int) -> KGTask:
    wordings = [words.format(walk.phrase) for words in (_COUNTS if isinstance(walk.program, Count) else _WORDINGS)]
    return KGTask(
        id=f"{split}-{seed}",
        family=shape,
        question=draft.rng.choice(wordings),
        entities={name: draft.facts.schema.short(iri) for name, iri in draft.entities.items()},
        answers=answers,
        actions=tuple(draft.calls),
        split=split,
        wordings=tuple(wordings),
    )
