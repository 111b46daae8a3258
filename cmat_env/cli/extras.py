"""Say which extra is missing, before anything is imported from it."""

from __future__ import annotations

from importlib.util import find_spec

from cmat_env.errors import MissingExtraError


def require_train() -> None:
    """Tuning needs torch and what stands on it.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    for package in ("torch", "transformers", "peft", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError.of(package, "train")
