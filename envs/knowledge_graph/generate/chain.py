"""Composite questions over any graph: two to four parts, each about what the one before has found.

The variables of a part stay at hand in the next one, so that "those" need not be found again. Two splits never share a
first part, and so no composite task.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence

from cmat_env.envs.composite.tasks import Composite
from cmat_env.envs.knowledge_graph.generate import SPLITS, Split, answers_of, split_of_walk
from cmat_env.envs.knowledge_graph.generate.facts import Facts
from cmat_env.envs.knowledge_graph.generate.shapes import SHAPES, DeadEndError, Draft, Walk
from cmat_env.envs.knowledge_graph.program import Count, Extreme
from cmat_env.envs.knowledge_graph.tasks import KGTask, entities_of
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

LENGTHS = (2, 3, 4)
_TRIES = 20_000
_FIRST = ("hop_1", "hop_2", "meet")
_ASKED = ("Find {}.", "Name {}.", "Look up {}.")
_COUNTED = ("Count {}.", "Find the number of {}.")

LATER: Mapping[str, Callable[[Draft, Walk], Walk]] = {
    "hop": lambda draft, walk: draft.hop(walk),
    "meet": lambda draft, walk: draft.meet(walk, draft.partner(walk)),
    "most": lambda draft, walk: draft.best(walk, largest=True),
    "least": lambda draft, walk: draft.best(walk, largest=False),
    "count": lambda draft, walk: draft.count(walk),
}
"""What may be asked about what was found."""


def generate_chain(
    facts: Facts, split: Split, *, seed: int, lengths: Sequence[int] = LENGTHS, vague: bool = False
) -> Composite[KGTask]:
    """Draw one composite task: a pure function of all arguments.

    Args:
        facts: the graph.
        split: "train", "dev" or "heldout".
        seed: any whole number; neighbours are unrelated.
        lengths: numbers of parts to draw from.
        vague: leave out of "most" and "least" what is compared; the user knows it.

    Raises:
        UnknownNameError: there is no such split.
        ConfigError: there is no such length, or the graph has no such question.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"split {split!r} is unknown; {did_you_mean(split, SPLITS)}")
    if not lengths or not set(lengths) <= set(LENGTHS):
        raise ConfigError(f"parts={lengths!r}: wanted some of {', '.join(map(str, LENGTHS))}")
    rng = random.Random(f"chain/{split}/{seed}")
    length = rng.choice(tuple(lengths))
    for _ in range(_TRIES):
        try:
            return _drawn(facts, rng, split, seed=seed, length=length, vague=vague)
        except DeadEndError:
            continue
    raise ConfigError(f"no question of {length} parts was found for split {split!r}; the graph is too small for it")


def _drawn(facts: Facts, rng: random.Random, split: Split, *, seed: int, length: int, vague: bool) -> Composite[KGTask]:
    draft = Draft(facts, rng)
    names = [rng.choice(_FIRST)]
    walk = SHAPES[names[0]](draft)
    if split_of_walk(walk) != split:
        raise DeadEndError
    walks, calls = [walk], [0, len(draft.calls)]
    while len(walks) < length:
        name = rng.choice([name for name in LATER if name not in names[1:]])
        asked = LATER[name](draft, dataclasses.replace(walk, phrase="those"))
        walk = walk if name == "count" else asked  # "those" are never a number
        names.append(name)
        walks.append(asked)
        calls.append(len(draft.calls))
    answers = [answers_of(facts, each) for each in walks]
    entities = {name: facts.schema.short(iri) for name, iri in draft.entities.items()}
    hidden = {
        place: draft.words(each.program.attribute)
        for place, each in enumerate(walks)
        if vague and isinstance(each.program, Extreme)
    }
    for place, words in hidden.items():
        phrase = walks[place].phrase.replace(f" {words} among ", " value among ")
        walks[place] = dataclasses.replace(walks[place], phrase=phrase)
    said = [
        tuple(words.format(each.phrase) for words in (_COUNTED if isinstance(each.program, Count) else _ASKED))
        for each in walks
    ]
    id = f"composite-{split}-{seed}"
    parts = tuple(
        KGTask(
            id=f"{id}/{place}",
            family=name,
            question=said[place][0],
            entities=entities,
            answers=answers[place],
            actions=tuple(draft.calls[: calls[place + 1]]),
            done=calls[place],
            split=split,
        )
        for place, name in enumerate(names)
    )
    return Composite(
        id=id,
        family=f"{length} parts",
        parts=parts,
        families=tuple(names),
        opening=entities_of(entities),
        goals=tuple(rng.choice(words) for words in said),
        wordings=tuple(said),
        facts=tuple(f"Part {place + 1}: the value that counts is the {words}." for place, words in hidden.items()),
    )
