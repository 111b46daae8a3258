"""Graders: is an answer right, and does a table end as it should? Nothing of it is ever evaluated as code.

fc: AgentBench main (function calling, since October 2025). v0.2: AgentBench v0.2 and the CMAT fork. strict: ours.
Upstream calls `eval` on the model's text; `ast.literal_eval` with bounds does the same for everything that is a value.
"""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

from cmat_env.envs.database.backend import Row

GraderName = Literal["fc", "v0.2", "strict"]
GRADER_NAMES: tuple[GraderName, ...] = get_args(GraderName)

_MAX_LITERAL = 20_000
_MAX_DEPTH = 50
_TOLERANCE = 0.01
_BRACKET = re.compile(r"[()\[\]{}]")
_NOTHING = frozenset({"", "none", "null", "undefined", "nan", "inf", "infinity", "-inf", "-infinity"})


def literal(text: str) -> object:
    """The Python value that a text writes down.

    Raises:
        ValueError: it is not a value, is above 20,000 characters, or nests too deep.
    """
    if len(text) > _MAX_LITERAL or _depth(text) > _MAX_DEPTH:
        raise ValueError("too large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and "1or 2" would be told on the terminal
            return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _depth(text: str) -> int:
    """How deep the brackets nest; those inside of strings count too."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(text):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def grade_fc(given: object, label: Sequence[str]) -> bool:
    """The rule of AgentBench main: both sides cleaned, numbers within 0.01, order and duplicates ignored.

    Args:
        given: a list of values, or text that may write one down.
        label: the right answer.
    """
    ours, theirs = _clean(given), _clean(list(label))
    ours_numbers, theirs_numbers = _numbers(ours), _numbers(theirs)
    if len(ours) == len(theirs) and ours_numbers is not None and theirs_numbers is not None:
        return all(abs(a - b) <= _TOLERANCE for a, b in zip(ours_numbers, theirs_numbers, strict=True))
    if len(ours) == len(theirs) == 1:
        return ours == theirs
    return set(ours) == set(theirs)


def grade_v02(given: object, label: Sequence[str]) -> bool:
    """The rule of AgentBench v0.2: one number equals exactly, else texts are the same, or the sets of many are.

    Args:
        given: the text after `Final Answer:`, or a list of values.
        label: the right answer.
    """
    values: list[object]
    try:
        written = literal(given) if isinstance(given, str) else given
        values = list(written)  # type: ignore[call-overload]
    except (ValueError, TypeError):
        values = [given]
    if len(values) == len(label) == 1:
        try:
            return float(values[0]) == float(label[0])  # type: ignore[arg-type]
        except (ValueError, TypeError, OverflowError):
            return values[0] == label[0]
    try:
        return set(values) == set(label)
    except TypeError:
        return False


def grade_strict(given: object, label: Sequence[str]) -> bool:
    """Our rule: a list of exactly the label's values, written the same but for outer space, in any order.

    Args:
        given: a list of values, or text that writes one down.
        label: the right answer.
    """
    if isinstance(given, str):
        try:
            given = literal(given)
        except ValueError:
            return False
    if not isinstance(given, list):
        return False
    return Counter(_text(value).strip() for value in given) == Counter(value.strip() for value in label)


GRADERS: Mapping[GraderName, Callable[[object, Sequence[str]], bool]] = MappingProxyType(
    {"fc": grade_fc, "v0.2": grade_v02, "strict": grade_strict}
)


def table_md5(rows: Iterable[Row]) -> str | None:
    """AgentBench's hash of a table: the hash of the first 20 bits of its rows' hashes, in their order.

    The order of rows does not count, duplicates do; NULL is skipped. None for an empty table, as in MySQL.
    """
    parts = sorted(_md5(",".join(str(cell) for cell in row if cell is not None))[:5] for row in rows)
    return _md5(",".join(parts)) if parts else None


def same_rows(rows: Iterable[Row], gold: Iterable[Row]) -> bool:
    """Are these the same rows, whatever their order? Cells are compared as text; NULL equals nothing else."""
    return _multiset(rows) == _multiset(gold)


def grade_table(
    rows: Sequence[Row] | None, gold: Sequence[Row], *, grader: GraderName, md5: str | None
) -> tuple[bool, bool]:
    """Does a table end as it should?

    Args:
        rows: of the table; None = it is gone.
        gold: the right ones.
        grader: "strict" compares the rows, the others their hash as upstream.
        md5: the right hash where a file states it, else that of `gold`.

    Returns:
        By the grader's rule, and row by row.
    """
    if rows is None:
        return False, False
    match = same_rows(rows, gold)
    return (match if grader == "strict" else table_md5(rows) == (md5 or table_md5(gold))), match


def _multiset(rows: Iterable[Row]) -> Counter[tuple[str | None, ...]]:
    return Counter(tuple([None if cell is None else str(cell) for cell in row]) for row in rows)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _clean(given: object) -> list[str]:
    """The strings that the fc rule compares."""
    if isinstance(given, str):
        text = given.strip()
        if text.startswith("[") and text.endswith("]"):
            try:
                given = literal(text)
            except ValueError:
                given = [text]
    if isinstance(given, list | tuple):
        return [_clean_one(value) for value in given]
    return [_clean_one(given)]


def _clean_one(value: object) -> str:
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    text = _text(value).strip().strip("'\"").strip()
    text = text.removesuffix("%")
    if not (text.startswith("[") or text.endswith("]")):
        text = text.replace(",", "")
    return "0" if text.lower() in _NOTHING else text


def _text(value: object) -> str:
    try:
        return str(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits
        return ""


def _numbers(values: Sequence[str]) -> list[float] | None:
    """All of them as sorted numbers, or None if one of them is none."""
    try:
        return sorted(float(value) for value in values)
    except ValueError:
        return None
