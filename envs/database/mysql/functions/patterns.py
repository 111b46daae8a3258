"""LIKE and the regular-expression functions, in bounded time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex

from cmat_env.envs.database.mysql.collation import key
from cmat_env.envs.database.mysql.functions.registry import Call, Function, strict
from cmat_env.envs.database.mysql.values import LONGEST, Value, integer, text

_SECONDS = 0.1
"""One match may take this long, then it counts as no match; the deadline of the statement cannot interrupt it."""

_LONGEST_PATTERN = 1000


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two `%` of a LIKE pattern: so many characters, plain or with `_` among them."""

    plain: str
    length: int
    expression: Any = None

    def find(self, whole: str, start: int) -> int:
        """Where it first stands at or after a position; -1 if nowhere."""
        if self.expression is None:
            return whole.find(self.plain, start)
        found = self.expression.search(whole, start, timeout=_SECONDS)
        return found.start() if found else -1

    def stands_at(self, whole: str, start: int) -> bool:
        """Does it stand at a position?"""
        if start < 0:
            return False
        if self.expression is None:
            return whole.startswith(self.plain, start)
        return self.expression.match(whole, start, timeout=_SECONDS) is not None


@lru_cache(maxsize=1024)
def _pieces(pattern: str, escape: str, fold: Callable[[str], str]) -> tuple[_Piece, ...]:
    """A LIKE pattern, folded, as the pieces between its `%`; a None among the characters is a `_`."""
    pieces: list[list[str | None]] = [[]]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if escape and character == escape and at + 1 < len(pattern):
            at += 1
            pieces[-1] += fold(pattern[at])
        elif character == "%":
            pieces.append([])
        elif character == "_":
            pieces[-1].append(None)
        else:
            pieces[-1] += fold(character)
        at += 1
    return tuple(map(_piece, pieces))


def _piece(characters: list[str | None]) -> _Piece:
    plain = "".join(each for each in characters if each is not None)
    if len(plain) == len(characters):
        return _Piece(plain, len(plain))
    source = "".join("." if each is None else regex.escape(each, literal_spaces=True) for each in characters)
    return _Piece(plain, len(characters), regex.compile(source, regex.DOTALL | regex.VERSION0))


def _like(value: Value, pattern: Value, escape: Value, fold: Callable[[str], str]) -> int | None:
    """Pieces are looked for from left to right, which takes no backtracking."""
    if value is None or pattern is None:
        return None
    shape = text(pattern)
    if len(shape) > _LONGEST_PATTERN:
        return 0
    first, *others = _pieces(shape, text(escape), fold)
    whole = fold(text(value))
    try:
        if not others:
            return int(len(whole) == first.length and first.stands_at(whole, 0))
        if len(whole) < first.length or not first.stands_at(whole, 0):
            return 0
        position = first.length
        for piece in others[:-1]:
            found = piece.find(whole, position)
            if found < 0:
                return 0
            position = found + piece.length
        end = len(whole) - others[-1].length
        return int(end >= position and others[-1].stands_at(whole, end))
    except TimeoutError:
        return 0


def like(value: Value, pattern: Value, escape: Value = "\\") -> int | None:
    """`value LIKE pattern`, without regard to case and accents."""
    return _like(value, pattern, escape, key)


def binary_like(value: Value, pattern: Value, escape: Value = "\\") -> int | None:
    """`value LIKE BINARY pattern`."""
    return _like(value, pattern, escape, str)


@lru_cache(maxsize=256)
def _compiled(pattern: str, flags: str) -> regex.Pattern[str] | None:
    if len(pattern) > _LONGEST_PATTERN:
        return None
    options = regex.VERSION0
    if "c" not in flags:
        options |= regex.IGNORECASE
    if "m" in flags:
        options |= regex.MULTILINE
    if "n" in flags:
        options |= regex.DOTALL
    try:
        return regex.compile(pattern, options)
    except (regex.error, OverflowError, RecursionError):
        return None


def _search(value: Value, pattern: Value, position: Value, occurrence: Value, flags: Value) -> regex.Match[str] | None:
    expression = _compiled(text(pattern), text(flags))
    start = integer(position) - 1
    if expression is None or start < 0:
        return None
    try:
        found = expression.finditer(text(value), start, timeout=_SECONDS)
        for _ in range(min(integer(occurrence), 10_000) - 1):
            if next(found, None) is None:
                return None
        return next(found, None)
    except TimeoutError:
        return None


def _regexp_like(value: Value, pattern: Value, flags: Value = "") -> int:
    return int(_search(value, pattern, 1, 1, flags) is not None)


def regexp_substr(
    value: Value, pattern: Value, position: Value = 1, occurrence: Value = 1, flags: Value = ""
) -> str | None:
    """REGEXP_SUBSTR; NULL without a match."""
    match = _search(value, pattern, position, occurrence, flags)
    return match.group() if match else None


def _regexp_instr(  # noqa: PLR0917 - MySQL's own order
    value: Value, pattern: Value, position: Value = 1, occurrence: Value = 1, end: Value = 0, flags: Value = ""
) -> int:
    match = _search(value, pattern, position, occurrence, flags)
    if match is None:
        return 0
    return int(match.end() if integer(end) else match.start()) + 1


def _regexp_replace(  # noqa: PLR0917
    value: Value, pattern: Value, new: Value, position: Value = 1, occurrence: Value = 0, flags: Value = ""
) -> str | None:
    expression = _compiled(text(pattern), text(flags))
    whole, wanted, into = text(value), integer(occurrence), text(new).replace("\\", "\\\\")
    start = integer(position) - 1
    if expression is None or start < 0:
        return None
    into = regex.sub(r"\$(\d)", r"\\\1", into)
    pieces, last, size = [], 0, 0
    try:
        for count, match in enumerate(expression.finditer(whole, start, timeout=_SECONDS), 1):
            if wanted in (0, count):
                pieces += [whole[last : match.start()], match.expand(into)]
                size += len(pieces[-1]) + len(pieces[-2])
                last = match.end()
            if size > LONGEST:
                return None
    except (TimeoutError, regex.error, IndexError):
        return None
    return "".join([*pieces, whole[last:]])


FUNCTIONS: dict[str, Function] = {
    "REGEXP_INSTR": strict(_regexp_instr, 2, 6),
    "REGEXP_LIKE": strict(_regexp_like, 2, 3),
    "REGEXP_REPLACE": strict(_regexp_replace, 3, 6),
    "REGEXP_SUBSTR": strict(regexp_substr, 2, 5),
}

OPERATORS: dict[str, Call] = {"like": like, "bin_like": binary_like}


def is_pattern(pattern: str) -> bool:
    """Can the regular expression be compiled?"""
    return _compiled(pattern, "") is not None
