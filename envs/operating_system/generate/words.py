"""The words of generated tasks, and which split may ask a family for which of them.

What a question names is one combination of a family and words. Its checksum puts it into training, `dev` or `heldout`
for good. `unseen_words` has other words than these three.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Literal, get_args

Split = Literal["train", "dev", "heldout", "unseen_words"]
SPLITS: tuple[Split, ...] = get_args(Split)

_CLASSES: Mapping[Split, tuple[int, ...]] = {"heldout": (0,), "dev": (1,), "train": (2, 3, 4)}
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
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

    @cached_property
    def all(self) -> frozenset[str]:
        """Each of them."""
        return frozenset(word for pool in astuple(self) for word in pool)

    def named(self, text: str) -> tuple[str, ...]:
        """Those that a text names, in alphabetical order."""
        return tuple(sorted(self.all.intersection(_WORD.findall(text.lower()))))


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SEEN = Words(
    folders=_split("data project archive inbox media workspace records library stage vault attic garage"),
    files=_split(
        "alpha report notes draft summary budget plan letter index orders sketch memo ledger receipt roster minutes "
        "invoice outline score quiz"
    ),
    endings=_split("txt log csv md dat cfg ini"),
    people=_split("alice bruno carla dario emil frida gustav hanna ivan petra quentin rosa stefan tilda"),
    texts=_split("error apple river stone cloud paper green warning melon ocean brick storm glass"),
    programs=_split("indexer watcher mailer poller syncer logger batcher merger fetcher scanner packer sorter"),
)
UNSEEN = Words(
    folders=_split("shelf depot harbor cellar studio orchard"),
    files=_split("journal recipe survey essay lyrics itinerary catalog timetable poem manual"),
    endings=_split("json tsv bak xml"),
    people=_split("joana karim lucia mirko nadia"),
    texts=_split("failure peach desert marble thunder copper"),
    programs=_split("crawler resizer notifier archiver"),
)


def words_of(split: Split) -> Words:
    """The vocabulary of a split."""
    return UNSEEN if split == "unseen_words" else SEEN


def belongs(split: Split, family: str, description: str) -> bool:
    """May this split ask this family for what the description names?"""
    if split == "unseen_words":
        return True
    checksum = zlib.crc32(" ".join((family, *SEEN.named(description))).encode())
    return checksum % 5 in _CLASSES[split]
