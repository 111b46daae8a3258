"""Everything about speed, side by side, in one run; the figures go into docs/performance.md.

    make bench      or    python -m benchmarks [--only turns db generation step share] [--quick] [--no-write]

About twelve minutes on two quiet cores. TRL is installed into environments of its own (runs/peers) the first time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time

from benchmarks.report import machine, peak_megabytes, write

PARTS = ("turns", "db", "share", "generation", "step")


def main() -> int:
    """Measure, print and write; a part that fails is told, and does not stop the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="in miniature, to see that it works; writes nothing")
    parser.add_argument("--no-write", action="store_true", help="leave docs/performance.md alone")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failed = []
    for part in options.only:
        print(f"{part} ...", flush=True)
        started = time.monotonic()
        try:
            text = importlib.import_module(f"benchmarks.{part}").report(quick=options.quick)
        except Exception as error:  # a missing server or index must not lose the figures of the other parts
            print(f"{part} failed: {type(error).__name__}: {error}", file=sys.stderr)
            failed.append(part)
            continue
        minutes = (time.monotonic() - started) / 60
        took = f"this part took {minutes:.1f} min, and this process {peak_megabytes():,.0f} MiB at most"
        text = f"{text}\n\n`make bench`: {machine()}; {took}."
        print(text, flush=True)
        if not (options.quick or options.no_write):
            write(part, text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
