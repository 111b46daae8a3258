"""The collation MYCI: texts are equal and ordered as under MySQL's utf8mb4_0900_ai_ci.

Case and accents are ignored, trailing blanks count, punctuation comes before symbols, digits and letters. The key of
a text has one character for each primary weight of the Unicode collation: exact for Latin, Greek, Cyrillic and
punctuation (`weights` says where the table comes from); other scripts keep the order of their code points.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from cmat_env.envs.database.mysql.weights import ALIKE, IGNORED, ORDER

NAME = "MYCI"

_CACHED_LENGTH = 200  # longer texts are folded anew each time, so that the cache stays small


class _Weights(dict[int, str]):
    """Characters by code point; those without a place in the table come after it, in their own order."""

    def __missing__(self, point: int) -> str:
        return chr(min(point + len(ORDER), 0x10FFFF))


_RANKS = {character: chr(1 + rank) for rank, character in enumerate(ORDER)}
_WEIGHTS = _Weights(
    {ord(character): rank for character, rank in _RANKS.items()}
    | {ord(character): "".join(_RANKS[other] for other in others) for character, others in ALIKE.items()}
    | {ord(character): "" for character in IGNORED}
)


def _key(text: str) -> str:
    if text.isascii():
        return text.lower().translate(_WEIGHTS)
    folded = unicodedata.normalize("NFKD", text)
    return "".join(char for char in folded if not unicodedata.combining(char)).casefold().translate(_WEIGHTS)


_cached_key = lru_cache(maxsize=16_384)(_key)


def key(text: str) -> str:
    """The text's sort key: equal keys = equal texts."""
    return _cached_key(text) if len(text) <= _CACHED_LENGTH else _key(text)


def compare(left: str, right: str) -> int:
    """-1, 0 or 1, as SQLite asks of a collation."""
    if left == right:
        return 0
    first, second = key(left), key(right)
    return (first > second) - (first < second)
