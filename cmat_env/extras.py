"""Which extras of cmat-env are installed, by what its own metadata says of them."""

from __future__ import annotations

import importlib.metadata
import re
from functools import cache

_DISTRIBUTION = "cmat-env"


@cache
def missing_package(extra: str) -> str | None:
    """The first package of an extra that is not installed; None = all are."""
    try:
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement)
        if name and re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", requirement):
            try:
                importlib.metadata.distribution(name[0])
            except importlib.metadata.PackageNotFoundError:
                return name[0]
    return None
