"""Text of web pages as data: cleaned to one line, quoted where somebody else wrote it, compared without its accidents.

A page's author can write whatever they like. Here it loses all that could make it look like the environment's own
words: line breaks, control and invisible characters, the separator and the quotation marks of observations.
"""

from __future__ import annotations

import re
import unicodedata

OPEN, CLOSE = "«", "»"
SEPARATOR = "[SEP]"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_FORGED = str.maketrans({OPEN: "<", CLOSE: ">"})
_BLANK = re.compile(r"\s+")
_MARK = re.compile(r"\[\s*/?\s*(sep|button_?|clicked button_?)\s*\]", re.IGNORECASE)


def clean(text: str, *, limit: int = 20_000) -> str:
    """One line of visible characters in NFC, that can forge neither a separator nor a quotation mark.

    Args:
        text: what somebody wrote.
        limit: characters; the rest is cut.
    """
    text = text[:limit]
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", _BLANK.sub(" ", text))
        text = "".join(letter for letter in text if unicodedata.category(letter) not in _HIDDEN).translate(_FORGED)
    if "[" in text:
        text = _MARK.sub(r"(\1)", text)
    return " ".join(text.split())


def quoted(text: str) -> str:
    """A clean text in the marks that say that somebody else wrote it."""
    return f"{OPEN}{text}{CLOSE}"


def match_key(text: str) -> str:
    """What two ways to write the same label have in common: case, width, spaces and invisible characters aside."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(" " if letter.isspace() else letter for letter in text)
        text = "".join(letter for letter in text if unicodedata.category(letter) not in _HIDDEN)
        text = text.translate({ord(OPEN): None, ord(CLOSE): None})
    return " ".join(text.casefold().split())
