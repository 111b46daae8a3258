"""From what an agent typed to search terms: letters and digits only, so that no operator reaches an engine."""

from __future__ import annotations

import re
import unicodedata

MOST_TERMS = 32
MOST_LETTERS = 2_000
_TERM = re.compile(r"[a-z0-9]{1,40}")
_WORDS = """
    a about also am an and any are as at be but buy by can choose color colored dollars find for from get give has have
    help i id im in interested into is it its like look looking lower made me most my need no not of on one or order
    please price priced pick prefer search searching should size so some than that the their them these they this to
    under up us want which with would you your
    """
STOPWORDS = frozenset(_WORDS.split())


def fold(text: str) -> str:
    """Lower-case ASCII: accents are dropped, other alphabets become spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(letter if letter.isascii() else "" if unicodedata.combining(letter) else " " for letter in text)
    return text.lower()


def query_terms(text: str) -> tuple[str, ...]:
    """The terms of a query: each once, in order, without stopwords (unless there is nothing else), at most 32.

    Args:
        text: anything; only its first 2,000 characters are read.
    """
    terms = dict.fromkeys(_TERM.findall(fold(text[:MOST_LETTERS])))
    telling = [term for term in terms if term not in STOPWORDS]
    return tuple((telling or list(terms))[:MOST_TERMS])
