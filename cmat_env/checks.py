"""Checks of settings: what came, and what was wanted."""

from __future__ import annotations

from collections.abc import Collection

from cmat_env.errors import ConfigError, did_you_mean


def check_known(name: str, value: object, known: Collection[str]) -> None:
    """A setting must be one of some words.

    Raises:
        ConfigError: it is not.
    """
    if value not in known:
        raise ConfigError(f"{name}={value!r} is unknown; {did_you_mean(str(value), known)}")


def check_whole(name: str, value: object, *, least: int = 1) -> None:
    """A setting must be a whole number, large enough.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        wanted = "above 0" if least == 1 else f"of at least {least}"
        raise ConfigError(f"{name}={value!r}: wanted a whole number {wanted}")


def check_share(name: str, value: float) -> None:
    """A setting must be from 0 to 1.

    Raises:
        ConfigError: it is not.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{name}={value!r}: wanted a number from 0 to 1")
