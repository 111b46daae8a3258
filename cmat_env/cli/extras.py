"""Before anything heavy is imported: say which extra is missing, and settle how its threads wait."""

from __future__ import annotations

import os
from importlib.util import find_spec

from cmat_env.errors import MissingExtraError


def require_train() -> None:
    """Tuning needs torch and what stands on it.

    Threads of torch that wait for each other sleep instead of spinning, unless the user has said otherwise: where
    something else runs on the same cores, spinning was measured to make two threads four times slower.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for package in ("torch", "transformers", "peft", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError.of(package, "train")
