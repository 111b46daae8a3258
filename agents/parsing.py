"""What roles say to each other as text, read tolerantly and written canonically: verdicts, questions, farewells.

    Ask: which table do you mean?
    End of dialogue.
    Verdict: approve
    Verdict: revise. the column is called `year`
    Verdict: revise, confidence 0.8. the column is called `year`

Everything here is linear in the length of the text: each pattern consumes possessively and never looks back.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from cmat_env.agents.verdict_words import opening, taken_back
from cmat_env.types import Verdict

_LABEL = re.compile(
    r"(?<!/)\b(?:verdict|vedict|decision|judge?ment)\b(?:\s++is\b)?+[\s:=\"'*_`#>|\uff1a\-]*+(?=[^\W\d_])",
    re.IGNORECASE,
)
_LABEL_FIRST = re.compile(r"(?:[\s*_`#<>\[|]|\d++[.)])*+(?:verdict|vedict|decision|judge?ment)\b", re.IGNORECASE)
_OTHER_LABEL = re.compile(
    r"^[ \t*_`#<>\[|]*+(?:final\s++)?+(?:answer|assessment|conclusion|evaluation|result|status)\b[\s*_`\"']*+[:=>]",
    re.IGNORECASE | re.MULTILINE,
)
_MARKS = re.compile(
    r"[\s*_`#>\-]*+(?:([\u2611\u2705\u2713\u2714\U0001f44d])|[\u2716\u2717\u2718\u274c\u26d4\U0001f44e\U0001f6ab])\ufe0f?"
)
_NUMBER = r"(\d++(?:\.\d++)?+(?:e[+-]?+\d++)?+|\.\d++)(\s?%)?+"
_CONFIDENCE = re.compile(rf"[\s,;:.(*_\-]*+confidence[\s:=*]*+(?:of\s|is\s)?+{_NUMBER}", re.IGNORECASE)
_CONFIDENCE_ANYWHERE = re.compile(rf"\(?+\bconfidence[\s:=*]*+(?:of\s|is\s)?+{_NUMBER}\)?+", re.IGNORECASE)
_EDGES = " \t\r\n.,:;!-*_`)]}>|\"'\u2013\u2014\u3002\uff0c\uff1a"
_REASON = re.compile(
    rf"(?:[{re.escape(_EDGES)}]|</\w++|(?:reason|feedback|explanation|comment)s?+[*_`\"']*+\s*+[:=])*+", re.IGNORECASE
)
_CURLY_QUOTE = "\u2019"
_VERDICT_KEYS = (
    *("verdict", "decision", "judgement", "judgment", "approve", "approved", "accept", "accepted"),
    *("is_correct", "correct", "is_valid", "valid"),
)
_REASON_KEYS = ("reason", "reasons", "feedback", "explanation", "comment")
_JSON_LENGTH = 20_000
_FIELD = re.compile(
    rf"[\"']({'|'.join(_VERDICT_KEYS)})[\"']\s*+:\s*+(?:[\"'])?+([a-z01]++)", re.IGNORECASE
)  # of an object that is cut off, or has quotes of another kind
_REASON_FIELD = re.compile(rf"[\"'](?:{'|'.join(_REASON_KEYS)})[\"']\s*+:\s*+([\"'])", re.IGNORECASE)


def parse_verdict(text: str) -> Verdict:
    """What a checker meant.

    Read in this order: a JSON object with `verdict`, `decision`, `approve`, `is_correct` or the like, also one that is
    cut off; a word after the label "Verdict", "Decision" or "Judgement" (the one the text begins with, or else the last
    one); a tick or a cross; the first words of the text; a word after a line's label "Status", "Answer" or the like;
    the first words of its last line. Words such as yes, ok, approved, no, reject, wrong count; "not" turns them round.
    A question says what its answer says, and of several in a row all must approve. An approval on a condition ("if",
    "once") is a refusal, and so is one without a label that goes on with "but" or "however" and a refusal.

    Args:
        text: anything, of any length.

    Returns:
        The verdict. Where nothing was one, an approval with `parsed=False`.
    """
    text = text.replace(_CURLY_QUOTE, "'")
    confidence = _CONFIDENCE.match(text)
    if confidence is None:
        return _read(text)
    verdict = _read(text[confidence.end() :])
    return replace(verdict, confidence=_confidence(confidence)) if verdict.parsed else verdict


def _read(text: str) -> Verdict:
    """The verdict of a text that does not begin with a confidence."""
    verdict = None if _LABEL_FIRST.match(text) else _from_json(text)
    if verdict is not None:
        return verdict
    found = _labelled(text)
    if found is not None:
        verdict = _with_rest(found[0], text[found[1] :])
        return verdict if verdict.reason else _with_reason_before(text, verdict)
    found = _marked(text) or opening(text, 0) or _otherwise_labelled(text)
    found = found or opening(text, text.rstrip().rfind("\n") + 1)
    if found is None:
        return Verdict(approve=True, parsed=False)
    approve, rest = found[0], text[found[1] :]
    return _with_rest(approve and not taken_back(rest), rest)


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
        found = opening(text, label.end()) or found
        if found and first_wins:
            break
    return found


def _otherwise_labelled(text: str) -> tuple[bool, int] | None:
    """The same of labels that say less, and only at the beginning of a line."""
    found = None
    for label in _OTHER_LABEL.finditer(text):
        found = opening(text, label.end()) or found
    return found


def _marked(text: str) -> tuple[bool, int] | None:
    """A tick or a cross that the text begins with, and the words that say the same."""
    mark = _MARKS.match(text)
    if mark is None:
        return None
    approve = mark[1] is not None
    words = opening(text, mark.end())
    return words if words is not None and words[0] == approve else (approve, mark.end())


def _with_rest(approve: bool, rest: str) -> Verdict:
    """The verdict with the reason and confidence that `rest` gives."""
    match = _CONFIDENCE.match(rest)
    if match:
        return Verdict(approve, _clean(rest[match.end() :]), _confidence(match))
    match = _CONFIDENCE_ANYWHERE.search(rest)
    if match:
        return Verdict(approve, _clean(_clean(rest[: match.start()]) + rest[match.end() :]), _confidence(match))
    return Verdict(approve, _clean(rest))


def _with_reason_before(text: str, verdict: Verdict) -> Verdict:
    """The verdict with the reason that the text begins with, if it says so."""
    reason = text[: next(label.start() for label in _LABEL.finditer(text))]
    said = _clean(reason)
    return replace(verdict, reason=said) if said != reason.strip() and said else verdict


def _from_json(text: str) -> Verdict | None:
    start = text.find("{")
    if start < 0:
        return None
    part = text[start : start + _JSON_LENGTH]
    try:
        data, _ = json.JSONDecoder().raw_decode(part)
        fields = {str(key).lower(): value for key, value in data.items()}
    except (ValueError, RecursionError):
        fields = _fields_of(part)
    words = [fields[key] for key in _VERDICT_KEYS if key in fields]
    found = _meaning(words[0]) if words else None
    if found is None:
        return None
    reasons = [fields[key] for key in _REASON_KEYS if isinstance(fields.get(key), str | list)]
    reason = reasons[0] if reasons else ""
    if isinstance(reason, list):
        reason = "; ".join(map(str, reason))
    return Verdict(found, _clean(reason), _number(fields.get("confidence")))


def _fields_of(part: str) -> dict[str, Any]:
    """What can be read of an object that is no JSON."""
    verdict, reason = _FIELD.search(part), _REASON_FIELD.search(part)
    fields: dict[str, Any] = {verdict[1].lower(): verdict[2]} if verdict else {}
    if reason:
        fields["reason"] = part[reason.end() :].partition(reason[1])[0]
    return fields


def _meaning(value: object) -> bool | None:
    if isinstance(value, str):
        found = opening(value, 0)
        return found[0] if found else {"1": True, "0": False}.get(value)
    return bool(value) if value in (0, 1) else None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        return 1.0
    return float(value)


def _confidence(match: re.Match[str]) -> float:
    value = float(match[1])
    return _number(value / 100.0 if match[2] or value > 1.0 else value)


def _clean(reason: str) -> str:
    start = _REASON.match(reason)
    return reason[start.end() if start else 0 :].rstrip(" \t\r\n*_`")


_ASK = re.compile(
    r"^[ \t*_`#>]*+(?:action:[ \t]*+)?+ask(?:[ \t]the)?+(?:[ \t]user)?+[ \t*_`]*+:(.*)", re.IGNORECASE | re.MULTILINE
)
_FAREWELL = re.compile(
    r"\W*+(?:(?:end|stop)(?:[ _](?:of|the))*+[ _](?:dialogue|dialog|conversation|task)|stop|done|good ?bye|"
    r"that is all|that's all)\W*+",
    re.IGNORECASE,
)


def parse_question(text: str) -> str | None:
    """What an assistant asks the user in a line "Ask: ..." or a call of the tool `ask`; None if it asks nothing."""
    asked = _ASK.search(text)
    if asked is not None:
        return asked[1].strip(" *_`") or text[asked.end() :].strip() or None
    start = text.find("{")
    return None if start < 0 else _question_called(text[start : start + _JSON_LENGTH])


def _question_called(part: str) -> str | None:
    """The first argument of a call of the tool `ask` or `ask_user`."""
    try:
        call, _ = json.JSONDecoder().raw_decode(part)
    except (ValueError, RecursionError):
        return None
    arguments = call.get("arguments") if call.get("name") in ("ask", "ask_user") else None
    question = next(iter(arguments.values()), None) if isinstance(arguments, dict) else None
    return question.strip() or None if isinstance(question, str) else None


def parse_farewell(text: str) -> bool:
    """Does a user end the dialogue? Its last line must say nothing else."""
    return _FAREWELL.fullmatch(text.replace(_CURLY_QUOTE, "'").rstrip().rpartition("\n")[2]) is not None
