"""Frozen dataclasses of settings from nested mappings, checked field by field, and back as TOML."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from cmat_env.errors import ConfigError, did_you_mean


def build(kind: type, data: object, source: str, path: str = "") -> Any:
    """An instance of a settings dataclass from a mapping.

    Args:
        kind: the dataclass.
        data: by field; a section of its own for a field that is a dataclass.
        source: where it was read, for messages.
        path: of the section, for messages.

    Raises:
        ConfigError: a key is unknown, or a value is of the wrong kind.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{source}: {path or 'the file'} must be a section, not {data!r}")
    hints = typing.get_type_hints(kind)
    known = [item.name for item in dataclasses.fields(kind)]
    made: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{path}.{key}" if path else key
        if key not in known:
            raise ConfigError(f"{source}: unknown setting {name!r}; {did_you_mean(key, known)}")
        made[key] = _convert(hints[key], value, source, name)
    return kind(**made)


def _convert(kind: Any, value: object, source: str, name: str) -> Any:
    """A value as the kind its field is declared with."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return build(kind, value, source, name)
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value not in typing.get_args(kind):
            wanted = ", ".join(map(repr, typing.get_args(kind)))
            raise ConfigError(f"{source}: {name}={value!r}; wanted one of {wanted}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{source}: {name}={value!r}; wanted a list")
        return tuple(_convert(typing.get_args(kind)[0], item, source, name) for item in value)
    if origin is not None and not isinstance(origin, types.UnionType) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{source}: {name}={value!r}; wanted a section")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{source}: {name}={value!r}; wanted {kind.__name__}, got {type(value).__name__}")
    return value


def dump(data: Mapping[str, Any]) -> str:
    """Nested mappings as TOML; what is None is left out."""
    lines: list[str] = []

    def section(title: str, values: Mapping[str, Any]) -> None:
        plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
        if title and (plain or not values):
            lines.extend(["", f"[{title}]"])
        lines.extend(f"{key} = {_toml(value)}" for key, value in plain.items() if value is not None)
        for key, value in values.items():
            if isinstance(value, Mapping):
                section(f"{title}.{key}" if title else key, value)

    section("", data)
    return "\n".join(lines).lstrip() + "\n"


def _toml(value: object) -> str:
    """A value as TOML, which differs from JSON in numbers that are infinite and in one control character."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def parse_value(text: str) -> Any:
    """A TOML value, or the text where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
