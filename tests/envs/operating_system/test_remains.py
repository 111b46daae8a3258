"""What is left behind: nothing, whether episodes end, or we do."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cmat_env.envs.operating_system import OSEnv, SandboxSettings

Look = Callable[[], dict[str, object]]


def descriptors(pid: int) -> int:
    """How many a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_nothing_is_left_after_100_episodes(
    settings: SandboxSettings, at_rest: Look, ours: Callable[[], list[int]]
) -> None:
    """No process, control group, mount, file, thread or descriptor, neither here nor in the launcher."""
    before = at_rest()

    def play(seeds: range) -> None:
        env = OSEnv(sandbox=settings)
        for seed in seeds:
            env.reset(seed=seed)
            if seed % 10:  # and some are given up
                env.step("Act: bash\n\n```bash\nsetsid sleep 1000 & touch /tmp/cmat-evil\n```")
                env.step(env.solution()[-1])
        env.close()

    play(range(2))
    held = [*(descriptors(pid) for pid in (os.getpid(), *ours())), threading.active_count()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(play, (range(49), range(49, 98))))

    left = [*(descriptors(pid) for pid in (os.getpid(), *ours())), threading.active_count()]
    assert [] == [(then, now) for then, now in zip(held, left, strict=True) if now > then]
    assert before == at_rest()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_when_we_are_ended(
    settings: SandboxSettings, sent: signal.Signals, at_rest: Look, lines: Callable[[], list[str]]
) -> None:
    """By Ctrl-C or a signal, SIGKILL too: sandboxes, launcher and groups go with the process that holds them."""
    before, daemon = at_rest(), f"sleep 97{os.getpid()}"
    script = (
        "import sys\n"
        "from cmat_env.envs.operating_system import Sandbox, SandboxSettings\n"
        f"held = [Sandbox(SandboxSettings(**{dataclasses.asdict(settings)!r})) for _ in range(3)]\n"
        f"[each.execute('setsid {daemon} & until pgrep -f {daemon.partition(' ')[2]}; do :; done') for each in held]\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None and "ready\n" == child.stdout.readline()
    (launcher,) = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    assert 3 == lines().count(daemon)
    child.send_signal(sent)
    child.communicate()
    assert child.returncode != 0
    deadline = time.monotonic() + 15
    while (daemon in lines() or os.path.exists(f"/proc/{launcher}")) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert daemon not in lines() and not os.path.exists(f"/proc/{launcher}")
    assert [] == list(Path("/sys/fs/cgroup").glob(f"**/cmat-{launcher}"))
    assert before == at_rest()
