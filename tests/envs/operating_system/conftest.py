"""A real sandbox with tiny limits, and an attacker whose every attack is followed by the same four questions.

Without a sandbox tests are skipped with the reason, and fail under CI=true.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cmat_env.envs.operating_system import Check, OSEnv, OSTask, Sandbox, SandboxError, SandboxSettings, Script
from cmat_env.envs.operating_system.backends.choose import choose
from cmat_env.envs.operating_system.wording import CUT, EMPTY, NOTES, OUTPUT

TINY = SandboxSettings(processes=48, memory=192 << 20, disk=32 << 20, inodes=3000, seconds=10.0, output=1 << 20)
COUNT = OSTask(
    "count",
    "integer-match",
    "how many lines has /root/f?",
    init=(Script("seq 5 > /root/f"),),
    checks=(Check("example"), Check("checker", "integer-match.py")),
    example=Script("wc -l < /root/f"),
)
FIRST_ID, IDS = 200_000, 65_536
_PATIENCE = 15.0
_WORKER = os.environ.get("PYTEST_XDIST_WORKER")
_OWN_FOLDERS = f"/popen-{_WORKER}/" if _WORKER else ""


@pytest.fixture(scope="session")
def settings() -> SandboxSettings:
    """Limits under which no attack can hurt the host."""
    try:
        choose(TINY)
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    return TINY


@pytest.fixture
def count() -> OSTask:
    """A task whose right answer is 5, by gold that a command finds; attackers work on it."""
    return COUNT


@pytest.fixture
def sandbox(settings: SandboxSettings) -> Iterator[Sandbox]:
    """A fresh sandbox."""
    with Sandbox(settings) as made:
        yield made


@pytest.fixture
def begin(settings: SandboxSettings) -> Iterator[Callable[..., OSEnv]]:
    """Begins an episode of one task, in a sandbox with tiny limits."""
    made: list[OSEnv] = []

    def begin_(task: OSTask, **more: Any) -> OSEnv:
        env = OSEnv([task], sandbox=settings, **more)
        made.append(env)
        env.reset(seed=0)
        return env

    yield begin_
    for env in made:
        env.close()


# --- the host, as far as a sandbox could change it


def parents() -> dict[int, int]:
    """By process: its parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = int(
                    (entry / "stat").read_text(errors="replace").rpartition(") ")[2].split()[1]
                )
            except OSError:
                continue
    return found


def is_launcher(pid: int) -> bool:
    """Is this a process that makes sandboxes?"""
    try:
        return b"operating_system.jail.launcher" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def launchers(owner: int | None = None) -> list[int]:
    """Those of a process, by default of ours."""
    return [pid for pid, parent in parents().items() if parent == (owner or os.getpid()) and is_launcher(pid)]


def below(pids: list[int]) -> list[int]:
    """All processes that some processes have started, and these theirs."""
    tree, found = parents(), list(pids)
    for each in found:
        found += [pid for pid, parent in tree.items() if parent == each]
    return found[len(pids) :]


def strays() -> list[int]:
    """Processes with the users of sandboxes that no launcher has above it: they would have got away."""
    tree, found = parents(), []
    for pid in tree:
        try:
            owner = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue
        if FIRST_ID <= owner < FIRST_ID + IDS:
            above = pid
            while above in tree and not is_launcher(above):
                above = tree[above]
            found += [] if above in tree else [pid]
    return found


def groups(launcher: int) -> list[str]:
    """Control groups of its sandboxes."""
    own = {line.split(":", 2)[2] for line in _text("/proc/self/cgroup").splitlines()}
    roots = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*")]
    return [str(path) for root in roots for at in own for path in Path(f"{root}{at}").glob(f"cmat-{launcher}/*/")]


def seals() -> dict[str, tuple[int, ...]]:
    """By file: what nobody changes without a trace, as nothing sets the time of change."""
    found: dict[str, tuple[int, ...]] = {}
    for top, deep in (
        ("/etc", True),
        ("/usr/bin", False),
        ("/usr/sbin", False),
        ("/usr/local", True),
        ("/usr/lib", False),
    ):
        for folder, folders, files in os.walk(top):
            for name in (*files, *folders):
                path = os.path.join(folder, name)
                about = os.lstat(path)
                found[path] = (about.st_mode, about.st_uid, about.st_size, about.st_nlink, about.st_ctime_ns)
            if not deep:
                break
    return found


def droppings() -> list[str]:
    """Files at places where everybody writes that belong to the users of sandboxes, or have the name of an attack's."""
    found = []
    for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/root", "/home", "/mnt", "/opt", "/srv", "/dev"):
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    about = entry.stat(follow_symlinks=False)
                except OSError:  # others come and go
                    continue
                if "cmat-evil" in entry.name or FIRST_ID <= about.st_uid < FIRST_ID + IDS:
                    found.append(entry.path)
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _of_others(mount: str) -> bool:
    """Was it mounted by a test in a process beside this one, in a folder of its own?"""
    return "/pytest-of-" in mount and _OWN_FOLDERS not in mount


def host() -> dict[str, object]:
    """All of it; but for what is waited for, it is the same before and after an attack."""
    kernel = ("core_pattern", "hostname", "domainname", "sysrq", "randomize_va_space", "dmesg_restrict", "modprobe")
    ours = launchers()
    return {
        "processes": [pid for pid in below(ours) if _text(f"/proc/{pid}/cmdline")] + strays(),
        "groups": [group for launcher in ours for group in groups(launcher)],
        "mounts": [line for line in _text("/proc/self/mounts").split("\n") if not _of_others(line)],
        "files": seals(),
        "droppings": droppings(),
        "kernel": [_text(f"/proc/sys/kernel/{name}") for name in kernel],
        "ipc": [
            line
            for kind in ("shm", "sem", "msg")
            for line in _text(f"/proc/sysvipc/{kind}").split("\n")
            if _id_in(line)
        ],
        "name": socket.gethostname(),
        "clock": Clock(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)),
    }


def _id_in(line: str) -> bool:
    return any(word.isdigit() and FIRST_ID <= int(word) < FIRST_ID + IDS for word in line.split())


class Clock(float):
    """When the machine was started, by its clock; the same but for what a time server corrects."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(other - self) < 5

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = float.__hash__


def resting() -> dict[str, object]:
    """The host, when nothing of ours runs; what ran before may still be on its way out."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        now = host()
        left = {name: now[name] for name in ("processes", "groups", "droppings") if now[name]}
        if not left:
            return now
        assert time.monotonic() < deadline, f"what ran before has left {left}"
        time.sleep(0.05)


def unchanged(before: dict[str, object]) -> dict[str, tuple[object, object]]:
    """What is not as before, after a while for what is on its way out."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        now = host()
        changed = {name: (value, now[name]) for name, value in before.items() if now[name] != value}
        if not changed or time.monotonic() > deadline:
            return changed
        time.sleep(0.05)


# --- the attacker


@dataclass(frozen=True, slots=True)
class Seen:
    """What an agent saw of a command.

    Attributes:
        text: the output, without its last line ends.
        event: what it was told about its shell, by its name in `NOTES`; "" = nothing.
        cut: was it told that some is missing?
    """

    text: str
    event: str
    cut: bool


class Attacker:
    """An agent in an episode whose right answer is 5.

    Attributes:
        env: the environment.
        reward, terminated, truncated, info: of the last step.
    """

    def __init__(self, env: OSEnv) -> None:
        self.env = env
        self.again()

    def again(self) -> None:
        """Begin another episode."""
        self.info: dict[str, Any] = self.env.reset(seed=0)[1]
        self.reward, self.terminated, self.truncated = 0.0, False, False

    @property
    def sandbox(self) -> Sandbox:
        """Its machine."""
        assert self.env.sandbox is not None
        return self.env.sandbox

    def does(self, script: str) -> Seen:
        """Execute a script, and read the observation as an agent would."""
        seen = self._step(f"Act: bash\n\n```bash\n{script}\n```")
        event, note = next(
            ((name, f"\n{note}") for name, note in NOTES.items() if seen.endswith(f"\n{note}")), ("", "")
        )
        text = seen.removesuffix(note)
        cut = text.endswith(CUT)
        return Seen(text.removesuffix(CUT).removeprefix(OUTPUT) if text != EMPTY else "", event, cut)

    def _step(self, action: str) -> str:
        seen, self.reward, self.terminated, self.truncated, self.info = self.env.step(action)
        return seen

    def python(self, code: str) -> str:
        """What a Python program prints."""
        return self.does(f"python3 - <<'END_OF_PYTHON'\n{code}\nEND_OF_PYTHON").text

    def answers(self, answer: str) -> tuple[float, str]:
        """Commit; reward and outcome."""
        self._step(f"Act: answer({answer})")
        return self.reward, self.info["outcome"]

    def works(self) -> bool:
        """Does the next command work?"""
        return Seen("alive", "", False) == self.does("echo alive")

    def first_process(self) -> int:
        """The number on the host of its sandbox's first process."""
        for pid in below(launchers()):
            numbers = re.search(r"^NSpid:\t(.*)$", _text(f"/proc/{pid}/status"), re.MULTILINE)
            if numbers and len(numbers[1].split()) > 1 and numbers[1].split()[-1] == "1":
                return pid
        raise AssertionError("no sandbox has a first process")


@contextmanager
def watched() -> Iterator[None]:
    """The host is as it was before, when what happens here is over."""
    before = resting()
    yield
    assert {} == unchanged(before), "the host is not as it was"


@contextmanager
def attacking(
    settings: SandboxSettings, *, ends: str = "", init_seconds: float = 30.0, **limits: Any
) -> Iterator[Attacker]:
    """An episode for an attack, and after it: a command, a wrong answer, and another episode.

    Args:
        settings: of the sandbox.
        ends: the outcome with which the attack ends its own episode.
        init_seconds: of the environment.
        limits: other settings of the sandbox.
    """
    sandbox = replace(settings, **limits)
    env = OSEnv([COUNT], sandbox=sandbox, max_rounds=10_000, max_observation=2 << 20, init_seconds=init_seconds)
    try:
        agent = Attacker(env)
        yield agent
        if not ends:
            assert agent.works(), "the next command does not work"
            assert (0.0, "wrong") == agent.answers("42"), "a wrong answer was paid, or the machine was lost"
            assert "5" == agent.info["gold_snapshot"]
        assert (0.0, ends or "wrong") == (agent.reward, agent.info["outcome"])
        agent.again()
        assert agent.works() and Seen("f", "", False) == agent.does("ls /root"), "the next episode does not work"
        assert (1.0, "correct") == agent.answers("5"), "the next episode does not pay what is right"
    finally:
        env.close()


Attack = Callable[..., AbstractContextManager[Attacker]]
Attacks = Callable[..., None]


@pytest.fixture
def attack(settings: SandboxSettings) -> Attack:
    """Opens an episode for an attack, and asks after it what must hold after each.

    The next command works; a wrong answer, which is what fake tools say, is not paid, and the gold of the snapshot is
    what it was; the next episode works, and pays the right answer; the host is as it was before.
    """

    @contextmanager
    def attack_(**changes: Any) -> Iterator[Attacker]:
        with watched(), attacking(settings, **changes) as agent:
            yield agent

    return attack_


@pytest.fixture
def attacks(settings: SandboxSettings) -> Attacks:
    """The same for several attacks at once, each in an episode of its own: those that hang wait together.

    Called with what an attacker does, given itself and one of the attacks, the attacks, and what changes.
    """

    def attacks_(attempt: Callable[..., None], given: Sequence[Any], **changes: Any) -> None:
        def one(each: Any) -> str:
            try:
                with attacking(settings, **changes) as agent:
                    attempt(agent, each)
            except Exception as error:  # whatever came of it, it is told with the others
                return f"{type(error).__name__}: {error}"
            return ""

        with watched(), ThreadPoolExecutor(len(given)) as pool:
            said = list(pool.map(one, given))
        assert {} == {repr(each): words for each, words in zip(given, said, strict=True) if words}

    return attacks_


@pytest.fixture
def ours() -> Callable[[], list[int]]:
    """Says which launchers are ours."""
    return launchers


@pytest.fixture
def lines() -> Callable[[], list[str]]:
    """Says the command lines of all processes of the host."""
    return lambda: [_text(f"/proc/{pid}/cmdline").replace("\0", " ").strip() for pid in parents()]


@pytest.fixture
def at_rest() -> Callable[[], dict[str, object]]:
    """Waits until nothing of ours runs, and tells how the host is then."""
    return resting
