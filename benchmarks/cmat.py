"""What does each part of CMAT buy, and at what cost? The same held-out episodes, part by part, three seeds.

    make bench-cmat          or    python benchmarks/cmat.py --out runs/bench-cmat

Settings were chosen on the tasks of `generated:dev`; the figures are of `generated:heldout`. Every row is written when
it is measured, and not measured again, so that the command can be stopped and started at will. `--only` measures a
part. The tables are written to docs/cmat.md, the curves to docs/cmat-curves.png.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import cmat_checker, cmat_curves, cmat_parts, cmat_tables, report

CHECKER = "checker"
PARTS = (CHECKER, "composite DB", "DB", "KG", cmat_parts.OS, cmat_parts.HOUSES)
"""Longest first, so that the processes end together."""


def measure(part: str, seed: int, out: str, scale: float, tasks: str) -> None:
    """Everything of one part and one seed that is not on disk yet, on one thread."""
    torch.set_num_threads(1)
    if part == CHECKER:
        cmat_checker.Seed(seed, Path(out), scale=scale).run_all(list(cmat_checker.ROWS))
    else:
        cmat_parts.Column(part, seed, Path(out), scale=scale, tasks=tasks).run_all()


def written(out: Path, pattern: str, rank: Callable[[dict[str, Any]], tuple[int, ...]]) -> list[dict[str, Any]]:
    """The rows that are on disk, in order."""
    paths = sorted(out.glob(pattern))
    lines = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(lines, key=rank)


def tables(out: Path) -> str:
    """What has been measured, as Markdown."""
    rows = list(cmat_checker.ROWS)
    checked = written(out, "seed-*/rows.jsonl", lambda line: (rows.index(line["row"]), line["seed"]))
    found = cmat_tables.report(ablation(out))
    return "\n\n".join(filter(None, (found, cmat_checker.report(checked) if checked else "")))


def ablation(out: Path) -> list[dict[str, Any]]:
    """The rows of all columns."""
    return written(out, "parts/*/seed-*/rows.jsonl", cmat_tables.rank)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", default="runs/bench-cmat")
    parser.add_argument("--jobs", type=int, default=2, help="processes, each with one part of one seed and one thread")
    parser.add_argument("--scale", type=float, default=1.0, help="share of steps, iterations, episodes; to try it out")
    parser.add_argument("--tasks", default="generated:heldout", help="generated:dev to choose settings")
    parser.add_argument("--docs", default="docs/cmat.md")
    given = parser.parse_args(arguments)
    jobs = [(part, seed, given.out, given.scale, given.tasks) for part in given.only for seed in given.seeds]
    with multiprocessing.get_context("spawn").Pool(given.jobs, maxtasksperchild=1) as pool:
        pool.starmap(measure, jobs, chunksize=1)
    found = tables(Path(given.out))
    print(found)
    if given.scale == 1 and given.tasks == "generated:heldout" and Path(given.docs).exists():
        report.write("cmat", found, Path(given.docs))
        cmat_curves.draw(Path(given.out), ablation(Path(given.out)), Path(given.docs).parent / "cmat-curves.png")


if __name__ == "__main__":
    main()
