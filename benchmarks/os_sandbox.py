"""How fast and how small is the sandbox of cmat/OS-v0, and what does it leave behind? Writes docs/os.md's figures.

    python -m benchmarks.os_sandbox              about four minutes on two idle cores; --scale 0.1 for a look

Wall times depend on what else runs on the machine; the load at the start and at the end is written beside them.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import report
from cmat_env.envs.operating_system import Sandbox, SandboxSettings
from cmat_env.envs.operating_system.backends.bubblewrap import Bubblewrap
from cmat_env.envs.operating_system.backends.launch import close_launchers
from cmat_env.registry import make_task

DOCS = Path(__file__).resolve().parents[1] / "docs" / "os.md"
SMALL = SandboxSettings(memory=256 << 20, disk=64 << 20, processes=64)
DOCKER = "568 on SSD, 1157 on HDD (`docker run`, quoted: arXiv:2602.15214)"

Row = tuple[str, str, str]


def milliseconds(times: list[float]) -> str:
    """Median and 95th percentile."""
    ranked = sorted(times)
    return f"{1000 * statistics.median(ranked):.1f} (p95 {1000 * ranked[int(0.95 * (len(ranked) - 1))]:.1f})"


def timed(action: Callable[[], object]) -> float:
    """Wall seconds."""
    before = time.perf_counter()
    action()
    return time.perf_counter() - before


def reset_and_close() -> float:
    """A sandbox whose live shell has answered; seconds until then."""
    before = time.perf_counter()
    with Sandbox(SMALL) as sandbox:
        assert sandbox.execute("echo ready").output == "ready\n"
        return time.perf_counter() - before


def speeds(scale: float) -> Iterator[Row]:
    """One after the other."""
    yield (
        "reset: sandbox and shell, until its first answer, ms",
        milliseconds([reset_and_close() for _ in range(count(100, scale))]),
        "60",
    )
    env = make_task("cmat/OS-v0", sandbox=SMALL)
    yield (
        "reset of a generated task, its init script included, ms",
        milliseconds([timed(functools.partial(env.reset, seed=seed)) for seed in range(count(100, scale))]),
        "-",
    )
    env.close()
    with Sandbox(SMALL) as sandbox:
        sandbox.execute("true")
        yield (
            "`true` in the live shell, ms",
            milliseconds([timed(lambda: sandbox.execute("true")) for _ in range(count(500, scale))]),
            "3",
        )
        yield (
            "`ls /etc` in the live shell, ms",
            milliseconds([timed(lambda: sandbox.execute("ls /etc")) for _ in range(count(200, scale))]),
            "-",
        )
        yield (
            "`true` as a program beside the shell, ms",
            milliseconds([timed(lambda: sandbox.run("true")) for _ in range(count(100, scale))]),
            "-",
        )
        yield (
            "`true` with untouched tools, ms",
            milliseconds([timed(lambda: sandbox.run("true", view="pristine")) for _ in range(count(100, scale))]),
            "-",
        )

    def one_command() -> None:
        with Sandbox(SMALL) as fresh:
            fresh.run("true")

    yield (
        "for comparison: a new sandbox for each command, ms",
        milliseconds([timed(one_command) for _ in range(count(50, scale))]),
        "-",
    )
    yield "for comparison: Docker, a container, ms", DOCKER, "-"


def throughput(scale: float) -> Iterator[Row]:
    """Side by side."""
    for workers in (1, 8):
        number = count(200, scale)
        with ThreadPoolExecutor(workers) as pool:
            seconds = timed(lambda: list(pool.map(lambda _: reset_and_close(), range(number))))  # noqa: B023
        yield f"resets a second, {workers} at a time", f"{number / seconds:.1f}", "20" if workers == 8 else "-"


def proportional_kib(pids: set[int]) -> int:
    """Proportional set size: shared pages are divided among those who share them."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(number) for number in re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE))
    return total


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    found = {pid}
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found |= descendants(int(child))
    return found


def memory() -> Iterator[Row]:
    """32 at once."""
    held = [Sandbox(SMALL) for _ in range(32)]
    for sandbox in held:
        sandbox.execute("cd /tmp")
    live = held[0]._live
    pids = descendants(live._launcher.pid) if isinstance(live, Bubblewrap) else set()
    yield "32 live sandboxes with shells and their launcher, MB (PSS)", f"{proportional_kib(pids) / 1000:.0f}", "200"
    for sandbox in held:
        sandbox.close()


def leftovers() -> set[str]:
    """Processes, mounts, groups and folders that belong to sandboxes."""
    found = {f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines() if "/box" in line}
    found |= {f"group {path}" for path in Path("/sys/fs/cgroup").glob("*/**/cmat-*")}
    found |= {f"folder {path}" for path in Path("/tmp").glob("*cmat-box*")}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"operating_system.jail.launcher" in line or b"--as-pid-1" in line:
                found.add(f"process {entry.name}")
    return found


def left(before: set[str]) -> str:
    """What is there now and was not before; others may run sandboxes beside us, so what goes away is waited for."""
    deadline = time.monotonic() + 15
    while leftovers() - before and time.monotonic() < deadline:
        time.sleep(0.2)
    return ", ".join(sorted(leftovers() - before)) or "nothing"


CHILD = """
import sys
from cmat_env.envs.operating_system import Sandbox, SandboxSettings
held = [Sandbox(SandboxSettings(memory=256 << 20, disk=64 << 20, processes=64)) for _ in range(4)]
for each in held:
    each.execute("setsid sleep 1000 & disown")
print("ready", flush=True)
sys.stdin.read()
"""


def remains(scale: float) -> Iterator[Row]:
    """After many episodes, Ctrl-C, SIGKILL."""
    close_launchers()
    before = leftovers()
    env = make_task("cmat/OS-v0", sandbox=SMALL)
    number = count(1000, scale)
    for seed in range(number):
        env.reset(seed=seed)
        for action in env.solution():
            env.step(action)
    env.close()
    close_launchers()
    yield f"left after {number} episodes", left(before), "nothing"
    for name, sent in (("Ctrl-C", signal.SIGINT), ("SIGKILL of the parent", signal.SIGKILL)):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(sent)
        child.communicate()
        yield f"left after {name}", left(before), "nothing"


def count(wanted: int, scale: float) -> int:
    """How often, at this scale."""
    return max(5, int(wanted * scale))


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the repetitions")
    parser.add_argument("--no-docs", action="store_true", help="only print")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with Sandbox(SMALL) as sandbox:
        what = f"{sandbox.backend}, root file system {sandbox.rootfs}"
    rows: list[Row] = []
    for part in (speeds(options.scale), throughput(options.scale), memory(), remains(options.scale)):
        for row in part:
            rows.append(row)
            print("  ".join(row), flush=True)
    note = (
        f"{what}; {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}; "
        f"load average {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end; scale {options.scale:g}."
    )
    print(note)
    if not options.no_docs:
        head = "", "measured", "wanted at most (rates: at least)"
        report.write("os", f"{report.table(head, rows)}\n\n{note}", DOCS)


if __name__ == "__main__":
    main()
