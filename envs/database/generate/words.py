"""The words of generated tasks, and which pairs of them belong to which split.

A pair is a table with one of its columns, or a column with one of its values. Its checksum puts it into training,
`dev` or `heldout` for good: training has only pairs of its own, `dev` and `heldout` have those and some of their own.
No word is a keyword of SQLite or MySQL.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

Split = Literal["train", "dev", "heldout", "unseen_words"]
SPLITS: tuple[Split, ...] = get_args(Split)

_CLASSES = 5
_HELDOUT, _DEV = 0, 1


@dataclass(frozen=True, slots=True)
class Words:
    """A pool of names.

    Attributes:
        tables: names of tables.
        texts: names of columns that hold text.
        numbers: names of columns that hold whole numbers.
        values: what stands in the cells of text columns.
        jargon: what no column is called, and a house may call one.
    """

    tables: tuple[str, ...]
    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    values: tuple[str, ...]
    jargon: tuple[str, ...]


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SEEN = Words(
    tables=_split(
        "cars boats hotels books films songs shops farms ships planes trains parks mines banks clubs labs towers "
        "bridges lakes horses"
    ),
    texts=_split("owner team city color brand coach label country style maker guide captain"),
    numbers=_split("price speed score weight height depth age cost power seats width votes"),
    values=_split(
        "rome paris oslo lima cairo delhi tokyo berlin madrid dublin red blue green black white amber lion tiger eagle "
        "wolf bear fox hawk otter anna boris clara david elena frank grace henry irene jonas iron gold silver copper "
        "steel north south east west oak pine maple cedar"
    ),
    jargon=_split("grade tier mark yield worth load pulse merit"),
)
UNSEEN = Words(
    tables=_split("tents kites vans ovens tanks barns piers flats lamps drums"),
    texts=_split("region sponsor tenant vendor breed flavor driver chief"),
    numbers=_split("rent fuel rating gears tickets doors profit volume"),
    values=_split(
        "quito milan perth kyoto turin violet teal beige coral olive zebra moose crane badger lynx kurt lydia mario "
        "nadia oscar zinc brass nickel cobalt tin birch aspen elm willow fir"
    ),
    jargon=_split("vigor drift bulk flair"),
)


def words_of(split: Split) -> Words:
    """The pool that a split draws from."""
    return UNSEEN if split == "unseen_words" else SEEN


def is_new(split: Split, left: str, right: str) -> bool:
    """Does the pair (table, column) or (column, value) belong to this split and not to training?"""
    if split == "unseen_words":
        return True
    return _class(left, right) == {"heldout": _HELDOUT, "dev": _DEV}.get(split)


@cache
def allowed(split: Split, left: str, among: Literal["texts", "numbers", "values", "jargon"]) -> tuple[str, ...]:
    """The words that may stand beside `left` in a split: columns of a table, or values of a column."""
    words: tuple[str, ...] = getattr(words_of(split), among)
    return tuple(right for right in words if is_new(split, left, right) or _class(left, right) > _DEV)


@cache
def new_values(split: Split, column: str) -> tuple[str, ...]:
    """The values of a column that training never has in it; in training, all that it may have."""
    values = allowed(split, column, "values")
    return values if split == "train" else tuple(value for value in values if is_new(split, column, value))


@cache
def _class(left: str, right: str) -> int:
    """0 = held out, 1 = dev, above = training."""
    return zlib.crc32(f"{left}.{right}".encode()) % _CLASSES
