"""`python -m cmat_env.cli`: the command `cmat` without its script."""

from __future__ import annotations

import sys

from cmat_env.cli import main

if __name__ == "__main__":
    sys.exit(main())
