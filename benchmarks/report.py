"""What every benchmark of speed shares: medians, the machine's measured rate, memory, and the page that is written."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something was done, in medians.

    Attributes:
        per_second: by the clock.
        per_cpu_second: by the processor's time of this process.
    """

    per_second: float
    per_cpu_second: float

    def __str__(self) -> str:
        return f"{self.per_second:,.0f} ({self.per_cpu_second:,.0f})"


def measure(jobs: Sequence[Callable[[], int]], *, seconds: float, rounds: int) -> list[Rate]:
    """Do each job over and over, round by round in turn; a job returns how many things it did."""
    seen: list[list[tuple[float, float]]] = [[] for _ in jobs]
    for job in jobs:
        job()
    for _ in range(rounds):
        for job, rates in zip(jobs, seen, strict=True):
            count, clock, cpu = 0, time.perf_counter(), time.process_time()
            while time.perf_counter() - clock < seconds:
                count += job()
            rates.append((count / (time.perf_counter() - clock), count / max(1e-9, time.process_time() - cpu)))
    return [Rate(*(statistics.median(each) for each in zip(*rates, strict=True))) for rates in seen]


def matmul_rate(dtype: str, *, threads: int, size: int = 1024, rounds: int = 5, device: str = "cpu") -> float:
    """Floating-point operations a second of a square matrix product, the best of some rounds."""
    import torch  # noqa: PLC0415 - most benchmarks do without

    torch.set_num_threads(threads)
    left, right = (torch.randn(size, size, device=device).to(getattr(torch, dtype)) for _ in range(2))
    best = float("inf")
    for _ in range(rounds + 1):
        started = time.perf_counter()
        left @ right
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def peak_megabytes() -> float:
    """The most memory that this process has held, in MiB; `ru_maxrss` would begin with what its parent had held."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def machine() -> str:
    """Where and when, and how busy it is."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    return f"{date.today()}, {cores}, Python {platform.python_version()}, load when written {load}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown: the first column to the left, the others to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(name: str, text: str, page: Path = PAGE) -> None:
    """Put the figures between the marks of a page, `<!-- bench-NAME -->` and `<!-- /bench-NAME -->`.

    Raises:
        ValueError: the page has no such marks.
    """
    start, end = f"<!-- bench-{name} -->", f"<!-- /bench-{name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no block between {start} and {end}; put the two lines where the figures belong")
    page.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")
