"""The words of generated tasks; those of training and held-out tasks have nothing in common.

About half of a task's words are made up of syllables, so that who learns from the tasks learns to copy what is asked
for, and no list of names by heart.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Literal, get_args

Split = Literal["train", "dev", "heldout"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class Words:
    """A vocabulary.

    Attributes:
        folders: names of folders.
        files: stems of file names.
        endings: of file names.
        people: names of users.
        texts: words in files.
        programs: names of processes.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...]
    endings: tuple[str, ...]
    people: tuple[str, ...]
    texts: tuple[str, ...]
    programs: tuple[str, ...]


WORDS: Mapping[Split, Words] = {
    "train": Words(
        ("data", "project", "archive", "inbox", "media", "workspace", "records"),
        ("alpha", "report", "notes", "draft", "summary", "budget", "plan", "letter", "index", "orders"),
        ("txt", "log", "csv", "md"),
        ("alice", "bruno", "carla", "dario", "emil"),
        ("error", "apple", "river", "stone", "cloud", "paper", "green"),
        ("indexer", "watcher", "mailer", "poller"),
    ),
    "dev": Words(
        ("library", "stage", "vault", "attic", "garage"),
        ("sketch", "memo", "ledger", "receipt", "roster", "minutes", "invoice", "outline", "score", "quiz"),
        ("dat", "cfg", "ini"),
        ("frida", "gustav", "hanna", "ivan"),
        ("warning", "melon", "ocean", "brick", "storm", "glass"),
        ("syncer", "logger", "batcher"),
    ),
    "heldout": Words(
        ("shelf", "depot", "harbor", "cellar", "studio", "orchard"),
        ("journal", "recipe", "survey", "essay", "lyrics", "itinerary", "catalog", "timetable", "poem", "manual"),
        ("json", "tsv", "bak", "xml"),
        ("joana", "karim", "lucia", "mirko", "nadia"),
        ("failure", "peach", "desert", "marble", "thunder", "copper"),
        ("crawler", "resizer", "notifier", "archiver"),
    ),
}

_BEGIN = ("", *"bcdfghjklmnprstvwz", "br", "ch", "cl", "dr", "fl", "gr", "pl", "sh", "st", "th", "tr")
_MIDDLE = (*"aeiou", "ai", "ea", "oo", "ou")
_END = ("", "", "", *"dklmnprstx", "ck", "ng", "rd", "st")
_CLASSES: Mapping[Split, tuple[int, ...]] = {"heldout": (0,), "dev": (1,), "train": (2, 3, 4)}
_LISTED = frozenset(word for words in WORDS.values() for pool in astuple(words) for word in pool)
_TAKEN = frozenset({"adm", "bin", "daemon", "games", "list", "mail", "man", "news", "proxy", "root", "staff", "users"})
"""Users and groups that machines have."""


def words_of(split: Split, rng: random.Random) -> Words:
    """The words of one task: those of its split, about half of them replaced by words that are made up."""
    listed, known = WORDS[split], set(_LISTED | _TAKEN)

    def mixed(pool: tuple[str, ...], syllables: int = 2) -> tuple[str, ...]:
        return tuple(_made_up(split, syllables, rng, known) if rng.random() < 0.5 else word for word in pool)

    return Words(
        mixed(listed.folders),
        mixed(listed.files),
        mixed(listed.endings, syllables=1),
        mixed(listed.people),
        mixed(listed.texts),
        mixed(listed.programs),
    )


def _made_up(split: Split, syllables: int, rng: random.Random, known: set[str]) -> str:
    """A word that no other split can have, and that was not known."""
    while True:
        word = "".join(rng.choice(part) for part in (_BEGIN, _MIDDLE, _END) * syllables)
        if len(word) > 1 and word not in known and zlib.crc32(word.encode()) % 5 in _CLASSES[split]:
            known.add(word)
            return word
