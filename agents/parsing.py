"""Verdicts as text: what a checker writes, read tolerantly and written canonically.

    Verdict: approve
    Verdict: revise. the column is called `year`
    Verdict: revise, confidence 0.8. the column is called `year`

Everything here is linear in the length of the text: each pattern consumes possessively and never looks back.
"""

from __future__ import annotations

import json
import re
from typing import Any

from cmat_env.types import Verdict


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_APPROVE = _words("""
    accept acceptable accepted accepts agree agreed agrees approve approved approves correct execute fine good lgtm ok
    okay pass passed passes proceed right true valid yep yes
""")
_REVISE = _words("""
    bad deny denied disagree disagrees fail failed fails false incorrect invalid no nope redo refuse refused reject
    rejected rejects retry revise revised revises revision veto wrong
""")
_NEGATIONS = _words("cannot can't don't isn't never not won't wouldn't")
_FILLERS = _words("""
    a action be check checker do i is it it's looks must my please proposal query seems should so that that's the
    therefore this to verdict we would you
""")
_NO_FAULT = _words("error errors issue issues mistake mistakes objection objections problem problems")
_WORDS_READ = 8

_LABEL = re.compile(r"\b(?:verdict|decision)\b(?:\s++is\b)?+[\s:=\"'*_`#>\-]*+(?=[a-z])", re.IGNORECASE)
_LABEL_FIRST = re.compile(r"[\s*_`#>]*+(?:verdict|decision)\b", re.IGNORECASE)
_WORD = re.compile(r"[\W_]*+([^\W_][\w']*+)")
_NUMBER = r"(\d++(?:\.\d++)?+(?:e[+-]?+\d++)?+|\.\d++)(\s?%)?+"
_CONFIDENCE = re.compile(rf"[\s,;:.(*_\-]*+confidence[\s:=*]*+(?:of\s|is\s)?+{_NUMBER}", re.IGNORECASE)
_CONFIDENCE_ANYWHERE = re.compile(rf"\(?+\bconfidence[\s:=*]*+(?:of\s|is\s)?+{_NUMBER}\)?+", re.IGNORECASE)
_EDGES = " \t\r\n.,:;!-*_`)\"'}"
_CURLY_QUOTE = "\u2019"
_OBJECT = re.compile(r"\s*+(?:```\w*+\s*+)?+\{")
_JSON_LENGTH = 20_000


def parse_verdict(text: str) -> Verdict:
    """What a checker meant.

    Read in this order: a JSON object with `verdict`, `decision` or `approve`; a word after the label "Verdict" or
    "Decision" (the one the text begins with, or else the last one); the first words of the text; the first words of
    its last line. Words such as yes, ok, approved, no, reject, wrong count, and "not" turns them round.

    Args:
        text: anything, of any length.

    Returns:
        The verdict. Where nothing was one, an approval with `parsed=False`.
    """
    text = text.replace(_CURLY_QUOTE, "'")
    verdict = _from_json(text)
    if verdict is not None:
        return verdict
    found = _labelled(text) or _opening(text, 0) or _opening(text, text.rstrip().rfind("\n") + 1)
    if found is None:
        return Verdict(approve=True, parsed=False)
    approve, end = found
    return _with_rest(approve, text[end:])


def format_verdict(verdict: Verdict) -> str:
    """The canonical text of a verdict; `parse_verdict` reads it back equal."""
    text = "Verdict: approve" if verdict.approve else "Verdict: revise"
    reason = _clean(verdict.reason)
    if verdict.confidence != 1.0 or _CONFIDENCE_ANYWHERE.search(reason):
        text = f"{text}, confidence {verdict.confidence!r}"
    return f"{text}. {reason}" if reason else text


def _labelled(text: str) -> tuple[bool, int] | None:
    """What a labelled verdict says and where its words end: the first if the text begins with it, or else the last."""
    found = None
    first_wins = _LABEL_FIRST.match(text) is not None
    for label in _LABEL.finditer(text):
        found = _opening(text, label.end()) or found
        if found and first_wins:
            break
    return found


def _opening(text: str, start: int) -> tuple[bool, int] | None:
    """What the words from `start` on say, after words that say nothing, and where they end."""
    negated = False
    end = start
    for _ in range(_WORDS_READ):
        match = _WORD.match(text, end)
        if match is None:
            return None
        word, end = match[1].lower(), match.end()
        if word in _NEGATIONS:
            negated = not negated
        elif word in _APPROVE or word in _REVISE:
            following = _WORD.match(text, end) if word == "no" else None
            no_fault = following is not None and following[1].lower() in _NO_FAULT
            return (word in _APPROVE) != (negated or no_fault), end
        elif word not in _FILLERS:
            return None
    return None


def _with_rest(approve: bool, rest: str) -> Verdict:
    """The verdict with the reason and confidence that `rest` gives."""
    match = _CONFIDENCE.match(rest)
    if match:
        return Verdict(approve, _clean(rest[match.end() :]), _confidence(match))
    match = _CONFIDENCE_ANYWHERE.search(rest)
    if match:
        return Verdict(approve, _clean(_clean(rest[: match.start()]) + rest[match.end() :]), _confidence(match))
    return Verdict(approve, _clean(rest))


def _from_json(text: str) -> Verdict | None:
    begin = _OBJECT.match(text)
    if begin is None:
        return None
    try:
        data, _ = json.JSONDecoder().raw_decode(text[begin.end() - 1 : begin.end() + _JSON_LENGTH])
    except (ValueError, RecursionError):
        return None
    word = next((data[key] for key in ("verdict", "decision", "approve", "approved") if key in data), None)
    found = (word, 0) if isinstance(word, bool) else _opening(word, 0) if isinstance(word, str) else None
    if found is None:
        return None
    reason = next((data[key] for key in ("reason", "feedback", "comment") if isinstance(data.get(key), str)), "")
    return Verdict(found[0], _clean(reason), _number(data.get("confidence")))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        return 1.0
    return float(value)


def _confidence(match: re.Match[str]) -> float:
    value = float(match[1])
    return _number(value / 100.0 if match[2] or value > 1.0 else value)


def _clean(reason: str) -> str:
    return reason.lstrip(_EDGES).rstrip(" \t\r\n*_`")
