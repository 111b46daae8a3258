"""The words of generated tasks; those of training and held-out tasks have nothing in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
