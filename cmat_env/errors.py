"""Every error that cmat-env raises on purpose.

    CmatError
    ├── ConfigError          a setting is unknown, missing or out of range        (ValueError)
    ├── UnknownNameError     an environment, role, policy or preset has no such name (LookupError)
    ├── TaskFileError        a task file is missing or malformed                  (ValueError)
    ├── MissingExtraError    a feature needs an optional dependency               (ImportError)
    ├── ContractError        a task, policy or collaboration breaks its contract  (AssertionError)
    ├── PolicyError          a policy could not answer; its episode is dropped     (RuntimeError)
    ├── LogError             an episode log or a run folder cannot be read        (ValueError)
    ├── CheckpointError      a checkpoint cannot be written or read               (RuntimeError)
    └── CrashError           a copy of a vectorised environment crashed or hung   (RuntimeError)

They are raised for a user's mistake only, and say what came, what was wanted, and what to do. What a model writes is
never an error: it is an observation.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CmatError(Exception):
    """Base of every error raised on purpose by cmat-env."""


class ConfigError(CmatError, ValueError):
    """A setting is unknown, missing or out of range."""


class UnknownNameError(CmatError, LookupError):
    """No environment, role, policy or preset has this name."""


class TaskFileError(CmatError, ValueError):
    """A task file is missing or malformed; the message names file, line and field."""


class MissingExtraError(CmatError, ImportError):
    """A feature needs an optional dependency; the message names the extra to install."""

    @classmethod
    def of(cls, package: str, extra: str) -> MissingExtraError:
        """The error for a missing `package`, which `pip install cmat-env[extra]` brings."""
        return cls(f"this needs {package}, which is not installed; run: pip install 'cmat-env[{extra}]'")


class ContractError(CmatError, AssertionError):
    """A task, policy or collaboration breaks its contract; raised by the checks of `cmat_env.testing`."""


class PolicyError(CmatError, RuntimeError):
    """A policy could not answer, such as an endpoint that is down; its episode is dropped, not scored."""


class LogError(CmatError, ValueError):
    """An episode log or a run folder cannot be read."""


class CheckpointError(CmatError, RuntimeError):
    """A checkpoint cannot be written or read."""


class CrashError(CmatError, RuntimeError):
    """A copy of a vectorised environment, or the process that it was in, crashed or hung."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error message: the nearest known name, or all of them.

    Args:
        name: what the user wrote.
        known: the names that exist.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else "none is known"
