"""Print a pin for every distribution that cmat-env needs, as installed here.

Run:  .venv/bin/python .ci/pin.py > constraints.txt
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

HEADER = """\
# What was tested together; `make` gives this file to pip. Made by: .venv/bin/python .ci/pin.py > constraints.txt
# torch has no +cpu here, so that pip takes a CPU build where it finds one, and 2.13.0 from the index elsewhere."""


def needed(name: str, extras: frozenset[str], seen: dict[str, set[str]], versions: dict[str, str]) -> None:
    """Collect a distribution and all that it requires with these extras."""
    key = canonicalize_name(name)
    todo = {"", *extras} - seen.setdefault(key, set())
    if not todo:
        return
    seen[key] |= todo
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    versions[key] = Version(found.version).public
    for line in found.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in todo):
            needed(requirement.name, frozenset(requirement.extras), seen, versions)


def main() -> None:
    """Print them in order, cmat-env itself left out."""
    versions: dict[str, str] = {}
    needed("cmat-env", frozenset({"train", "dev", "all"}), {}, versions)
    versions.pop("cmat-env")
    print(HEADER)
    for name, version in sorted(versions.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
