"""Make a store on disk: python -m cmat_env.envs.knowledge_graph.build FILE... FOLDER."""

from __future__ import annotations

import sys

from cmat_env.envs.knowledge_graph.oxigraph import build_folder
from cmat_env.errors import CmatError


def main(arguments: list[str]) -> int:
    """Build, and say what came of it."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        count = build_folder(arguments[:-1], arguments[-1])
    except CmatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{count:,} triples in {arguments[-1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
