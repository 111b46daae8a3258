"""What the words of a verdict say: statements, questions with their answers, conditions, and what is taken back.

Everything here is linear in the length of the text: patterns consume possessively, and how far they look is bounded.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_APPROVE = _words("""
    accept acceptable accepted accepts agree agreed agrees approve approved approves correct execute executed fine good
    granted lgtm ok okay pass passed passes proceed right solve solved solves true valid work works y yep yes
""")
_REVISE = _words("""
    bad denied deny disagree disagrees disapprove disapproved fail failed fails false incorrect invalid n no nope redo
    refuse refused reject rejected rejects retry revise revised revises revising revision unacceptable unapproved veto
    wrong
""")
_NEGATIONS = _words("""
    cannot can't doesn't don't isn't needn't never not nothing shouldn't won't wouldn't
""")
_FILLERS = _words("""
    a action an any appears approval are assistant be boxed check checker command contains do does final has i is it
    it's looks must my need needs please proposal proposed query recommend seems should so sql statement suggest that
    that's text the there therefore this to verdict we will would you
""")
_FAULTS = _words("error errors issue issues mistake mistakes objection objections problem problems")
_NO_FAULT = _FAULTS | _words("change changes need revision revisions")
_CONDITIONS = _words("if once only provided unless")
_WORDS_READ = 8
_QUESTIONS_READ = 8

_WORD = re.compile(r"[\W_]*+([^\W_][\w']*+)")
_NEXT_WORD = re.compile(r"\s++([^\W_][\w']*+)")
_SAID_NO = re.compile(
    r"(?:\s++(?:is\s++)?+(?:needed|required))?+[\s*_`\"']*+[:=][\s*_`\"']*+(?:(yes|true|1)|no|false|0)\b(?!\.\d)",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"(?:[\W_]|\d++[.)])*+([^.,:;!?\n]{1,200}+\?)")
_YES_OR_NO = re.compile(r"[\W_]*+(?:(yes|yep|y|true)|no|nope|n|false)\b", re.IGNORECASE)
_BUT = re.compile(r"\b(?:but|however)\b", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[.,;:!?\n]")


def opening(text: str, start: int) -> tuple[bool, int] | None:
    """What the words from `start` on say, and where they end: a statement, or questions of which all must approve."""
    question = _QUESTION.match(text, start)
    if question is None:
        return _said(text, start)
    found = None
    for _ in range(_QUESTIONS_READ):
        answer = _answer(text, question) if question else None
        if answer is None:
            break
        found = answer
        if not answer[0]:
            break
        question = _QUESTION.match(text, answer[1])
    return found


def _answer(text: str, question: re.Match[str]) -> tuple[bool, int] | None:
    """What a question says with its answer; one that is not answered approves nothing.

    Yes and no say the opposite where a revision or an error was asked for ("Needs revision? No."). Where it was
    something else, a "no" is a refusal, and a "yes" says nothing.
    """
    asked = _said(question[1], 0)
    answer = _said(text, question.end())
    if answer is None:
        return None if asked is None or asked[0] else (False, question.end())
    plain = _YES_OR_NO.match(text, question.end())
    if plain is None or answer[0] != (plain[1] is not None):
        return answer
    if asked is None:
        return None if answer[0] else answer
    return answer[0] == asked[0], answer[1]


def _said(text: str, start: int, *, anywhere: bool = False) -> tuple[bool, int] | None:
    """What a statement says, after words that say nothing, and where they end.

    Args:
        text, start: where from.
        anywhere: may other words come before; "no" then only turns round what comes after it.
    """
    negated = False
    end = start
    for count in range(_WORDS_READ):
        match = _WORD.match(text, end)
        if match is None:
            return None
        word, end = match[1].lower(), match.end()
        if word in _NEGATIONS or (anywhere and word == "no"):
            negated = not negated
        elif word in _APPROVE or word in _REVISE:
            following = _NEXT_WORD.match(text, end) if word == "no" else None
            no_fault = following is not None and following[1].lower() in _NO_FAULT
            approve = (word in _APPROVE) != (negated or no_fault)
            return _answered(text, approve and not _on_condition(text, end), end)
        elif word in _FAULTS and count:
            return negated, end
        elif not anywhere and word not in _FILLERS:
            return None
    return None


def _answered(text: str, approve: bool, end: int) -> tuple[bool, int]:
    """Turned round where the verdict was a label with an answer: "Approve: no"; not in "revise: no WHERE"."""
    answer = _SAID_NO.match(text, end)
    if answer is None or text[answer.end() : answer.end() + 1].strip(".,;!*_`\"'\r\n"):
        return approve, end
    if text[answer.end() : answer.end() + 1] == " ":
        return approve, end
    return approve == (answer[1] is not None), answer.end()


def _on_condition(text: str, end: int) -> bool:
    """Does "if" or the like follow, with at most words between that say nothing: "approve this if ..."?"""
    for _ in range(_WORDS_READ):
        following = _NEXT_WORD.match(text, end)
        if following is None:
            return False
        word, end = following[1].lower(), following.end()
        if word not in _FILLERS:
            return word in _CONDITIONS
    return False


def taken_back(rest: str) -> bool:
    """Does what follows an approval refuse after all, behind "but" or "however"?"""
    but = _BUT.search(rest)
    clauses = _CLAUSE_END.split(rest[but.end() :]) if but else ()
    return any((said := _said(clause, 0, anywhere=True)) is not None and not said[0] for clause in clauses)
