"""Fields of the JSON lines of a log: made safe on the way out, checked on the way in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")


class LineError(ValueError):
    """A line lacks what schema 1 wants; the reader adds file and line."""


def json_safe(value: object) -> Any:
    """The value in JSON's types.

    Numpy scalars and arrays become numbers and lists, a dataclass its fields, what is unknown its repr.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    if isinstance(value, set | frozenset):
        return [json_safe(item) for item in sorted(value, key=repr)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return json_safe({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    tolist = getattr(value, "tolist", None)
    return json_safe(tolist()) if callable(tolist) else repr(value)


def take(line: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    """A field of a line, of the type it must have.

    Raises:
        LineError: it is missing or of another type.
    """
    if name not in line:
        raise LineError(f"field {name!r} is missing")
    value = line[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise LineError(f"field {name!r} must be {kind.__name__}, not {type(value).__name__}")
    return value


def number(line: Mapping[str, Any], name: str) -> float:
    """A number of a line, or the string that stands for nan and inf.

    Raises:
        LineError: it is neither.
    """
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise LineError(f"field {name!r} must be a number, not {type(value).__name__}")
    try:
        return float(value)
    except ValueError:
        raise LineError(f"field {name!r} must be a number, not {value!r}") from None
