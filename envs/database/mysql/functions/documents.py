"""JSON functions of MySQL and of MariaDB, which write it differently.

A document is a text. What an argument is, JSON itself or a value to be made JSON of, shows in the form of the
statement: the functions of `TAKES_KINDS` get it as a text first, a letter an argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Literal, Protocol

from cmat_env.envs.database.mysql.functions.registry import Function, lenient, strict
from cmat_env.envs.database.mysql.values import LONGEST, Value, text

ServerName = Literal["mysql", "mariadb"]
JSON, BOOLEAN, PLAIN = "jbv"
"""What an argument is: JSON, a truth value, any other value."""
GIVES_JSON = frozenset(
    {"JSON_ARRAY", "JSON_ARRAYAGG", "JSON_EXTRACT", "JSON_KEYS", "JSON_OBJECT", "JSON_OBJECTAGG", "JSON_QUOTE"}
)
TAKES_KINDS = frozenset({"JSON_ARRAY", "JSON_ARRAYAGG", "JSON_OBJECT", "JSON_OBJECTAGG"})

_STEP = re.compile(r'\s*(?:\.\s*(?:([^\W\d][\w$]*)|"([^"]*)"|(\*))|\[\s*(\d{1,9}|\*)\s*\])')
_NOTHING = object()
_MOST_ARGUMENTS = 100
_MOST_WALKED = 4 * LONGEST
_TYPES = {bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE", str: "STRING", list: "ARRAY", dict: "OBJECT"}

_Step = str | int | None
"""A key, a place, or None for all."""


class NotJSONError(Exception):
    """What MySQL refuses as an error; MariaDB gives NULL."""


class _Number(str):
    """A number with a point or an exponent, as it was written: so MariaDB shows it."""

    __slots__ = ()


class Budget(Protocol):
    """How many bytes aggregates may gather."""

    def take(self, size: int) -> None:
        """Use some of it."""


class Documents:
    """The functions of one server."""

    def __init__(self, server: ServerName) -> None:
        self._strict = server == "mysql"

    def functions(self) -> dict[str, Function]:
        """By name."""
        return {
            "JSON_ARRAY": lenient(self._array, 1, _MOST_ARGUMENTS),
            "JSON_EXTRACT": strict(self._extract, 2, _MOST_ARGUMENTS),
            "JSON_KEYS": strict(self._keys, 1, 2),
            "JSON_LENGTH": strict(self._length, 1, 2),
            "JSON_OBJECT": lenient(self._object, 1, _MOST_ARGUMENTS),
            "JSON_QUOTE": strict(lambda value: _dumped(text(value)), 1),
            "JSON_TYPE": strict(self._type, 1),
            "JSON_UNQUOTE": strict(self._unquote, 1),
            "JSON_VALID": strict(_is_valid, 1),
            "JSON_VALUE": strict(self._value, 2),
        }

    def member(self, value: Value, kind: str) -> str:
        """A value of SQL inside of a document."""
        if value is None or kind == JSON:
            return "null" if value is None else text(value)
        if kind == BOOLEAN:
            return "true" if value else "false"
        if isinstance(value, float):
            return repr(value) if self._strict else text(value)
        return str(value) if isinstance(value, int) else _dumped(text(value))

    def pairs(self, pairs: Iterable[tuple[str, str]], colon: str) -> str:
        """An object; MySQL keeps one value a key, and the shorter keys first."""
        if self._strict:
            pairs = sorted(dict(pairs).items(), key=lambda pair: (len(pair[0].encode()), pair[0].encode()))
        return f"{{{_joined(f'{_dumped(key)}{colon}{value}' for key, value in pairs)}}}"

    # -- functions -----------------------------------------------------------------------------------------------

    def _read(self, value: Value) -> Any:
        try:
            return json.loads(text(value), parse_float=float if self._strict else _Number)
        except (ValueError, RecursionError) as error:
            raise NotJSONError if self._strict else ValueError from error

    def _sorted(self, value: Any) -> Any:
        if isinstance(value, dict) and self._strict:
            return {key: self._sorted(value[key]) for key in sorted(value, key=lambda key: (len(key.encode()), key))}
        return [self._sorted(each) for each in value] if isinstance(value, list) else value

    def _found(self, document: Value, path: Value) -> Any:
        return next(_walk(self._sorted(self._read(document)), _steps(path)), _NOTHING)

    def _extract(self, document: Value, *paths: Value) -> str | None:
        if len(text(document)) * len(paths) > _MOST_WALKED:
            return None
        root, steps = self._sorted(self._read(document)), [_steps(path) for path in paths]
        found = _joined(_dumped(each) for path in steps for each in _walk(root, path))
        return f"[{found}]" if found and (len(steps) > 1 or None in steps[0]) else found or None

    def _value(self, document: Value, path: Value) -> str | None:
        found = self._found(document, path)
        if found is None or found is _NOTHING or isinstance(found, (list, dict)):
            return None
        return str(int(found)) if isinstance(found, bool) else str(found)

    def _unquote(self, document: Value) -> str:
        written = text(document)
        found = self._read(written) if len(written) > 1 and written[0] == written[-1] == '"' else written
        return found if isinstance(found, str) else written

    def _length(self, document: Value, path: Value = "$") -> int | None:
        found = self._found(document, path)
        return None if found is _NOTHING else len(found) if isinstance(found, (list, dict)) else 1

    def _keys(self, document: Value, path: Value = "$") -> str | None:
        found = self._found(document, path)
        return _dumped(list(found)) if isinstance(found, dict) else None

    def _type(self, document: Value) -> str:
        found = self._read(document)
        return "DOUBLE" if isinstance(found, _Number) else _TYPES.get(type(found), "NULL")

    def _array(self, kinds: str, *values: Value) -> str:
        return f"[{_joined(map(self.member, values, kinds))}]"

    def _object(self, kinds: str, *values: Value) -> str | None:
        if None in values[::2] and self._strict:
            return None
        return self.pairs(zip(map(text, values[::2]), map(self.member, values[1::2], kinds[1::2]), strict=True), ": ")


class ArrayAggregate:
    """JSON_ARRAYAGG: step(kinds, value)."""

    def __init__(self, documents: Documents, budget: Budget, between: str) -> None:
        self.documents, self.budget, self.between = documents, budget, between
        self.members: list[str] = []

    def step(self, kinds: str, value: Value) -> None:
        """Take a value in, also NULL."""
        member = self.documents.member(value, kinds)
        self.budget.take(100 + 4 * len(member))
        self.members.append(member)

    def finalize(self) -> str:
        """The array."""
        return f"[{_joined(self.members, self.between)}]"


class ObjectAggregate:
    """JSON_OBJECTAGG: step(kinds, key, value)."""

    def __init__(self, documents: Documents, budget: Budget, colon: str) -> None:
        self.documents, self.budget, self.colon = documents, budget, colon
        self.pairs: list[tuple[str, str]] = []

    def step(self, kinds: str, key: Value, value: Value) -> None:
        """Take a pair in."""
        pair = text(key), self.documents.member(value, kinds[1:])
        self.budget.take(200 + 4 * sum(map(len, pair)))
        self.pairs.append(pair)

    def finalize(self) -> str:
        """The object."""
        return self.documents.pairs(self.pairs, self.colon)


def aggregates(documents: Documents, server: ServerName, budget: Budget) -> dict[str, tuple[int, Any]]:
    """By name, with the number of arguments."""
    tight = server == "mariadb"
    return {
        "json_arrayagg": (2, partial(ArrayAggregate, documents, budget, "," if tight else ", ")),
        "json_objectagg": (3, partial(ObjectAggregate, documents, budget, ":" if tight else ": ")),
    }


def _joined(parts: Iterable[str], between: str = ", ") -> str:
    """The parts as one text; ValueError as soon as it grows too long."""
    pieces, size = [], 0
    for part in parts:
        size += len(part) + len(between)
        if size > LONGEST:
            raise ValueError("too long")
        pieces.append(part)
    return between.join(pieces)


def _dumped(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_dumped, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_dumped(key)}: {_dumped(each)}' for key, each in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _is_valid(value: Value) -> int:
    try:
        json.loads(text(value))
    except (ValueError, RecursionError):
        return 0
    return 1


def _steps(path: Value) -> list[_Step]:
    """`$.key."other key"[0].*[*]` in steps; ValueError for anything else."""
    written = text(path).strip()
    steps: list[_Step] = []
    at = 1 if written.startswith("$") else len(written) + 1
    while at < len(written) and (match := _STEP.match(written, at)):
        key, quoted, every, place = match.groups()
        steps.append(None if every or place == "*" else int(place) if place else quoted if key is None else key)
        at = match.end()
    if at != len(written):
        raise ValueError("no path")
    return steps


def _is_place(step: _Step, value: Any) -> bool:
    return isinstance(step, int) and isinstance(value, list) and step < len(value)


def _walk(value: Any, steps: list[_Step]) -> Iterator[Any]:
    """What a path finds, in order."""
    found = [value]
    for step in steps:
        inner: list[Any] = []
        for each in found:
            if step is None:
                inner += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
            elif step in each if isinstance(each, dict) else _is_place(step, each):
                inner.append(each[step])
            elif step == 0 and not isinstance(each, list):  # a value counts as an array of itself
                inner.append(each)
        found = inner
    yield from found
