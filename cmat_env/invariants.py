"""What must hold around any call: own random numbers, nothing left behind, plain data. For `cmat_env.testing`."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cmat_env.errors import ContractError

_MOMENT = 5.0
JUNK: tuple[tuple[str, str], ...] = (
    ("an empty string", ""),
    ("white space", " \t\r\n\x0b\x0c"),
    ("a NUL character", "a\x00b"),
    ("Unicode text", "naïve 東京 🦊 \u202e\u0301 \ufeff"),
    ("a lone surrogate", "\ud800 x"),
    ("format and template characters", "%s {0} {} ${x} \\ ' \" ` --"),
    ("an unclosed code block", "Action: Operation\n```sql\nSELECT"),
    ("deep nesting", "[" * 20_000),
    ("a million characters", "x" * 1_000_000),
)


def broken(*, came: str, wanted: str, mend: str) -> ContractError:
    """The error of a broken contract, in the three parts that a reader needs."""
    return ContractError(f"{came}. Wanted: {wanted}. Mend it: {mend}")


def short(value: Any) -> str:
    """`repr`, at a length for error messages."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:80]}... ({len(text)} characters)"


def plain(value: Any, *, where: str) -> str:
    """The canonical JSON of a value that JSON carries there and back unchanged.

    Raises:
        ContractError: it does not.
    """
    try:
        text = json.dumps(value, sort_keys=True, allow_nan=False)
        same = _same(json.loads(text), value)
    except (TypeError, ValueError, RecursionError) as error:
        raise broken(
            came=f"{where} is {short(value)}, which JSON cannot carry: {error}",
            wanted="str, int, finite float, bool, None, and lists and dicts of them",
            mend="convert it, for example numpy numbers with .item()",
        ) from error
    if not same:
        raise broken(
            came=f"{where} is {short(value)}, which JSON gives back as {short(json.loads(text))}",
            wanted="a value that is equal, in type too, after a JSON round trip",
            mend="use lists for tuples, strings for keys, and int or float for numpy numbers",
        )
    return text


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _numpy_state() -> Any:
    state: Any = np.random.get_state(legacy=False)
    return state["state"]["key"].tobytes(), state["state"]["pos"], state["has_gauss"], state["gauss"]


def _global_states() -> dict[str, Any]:
    states = {"random": repr(random.getstate()), "numpy.random": _numpy_state()}
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = repr(torch.get_rng_state().numpy().tobytes())
    return states


@contextmanager
def global_random(seed: int, *, what: str) -> Iterator[None]:
    """Run the body with the global generators at `seed`, and put them back afterwards.

    Raises:
        ContractError: the body used or set one of them.
    """
    torch = sys.modules.get("torch")
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state() if torch else None
    try:
        random.seed(seed)
        np.random.seed(seed)
        if torch:
            torch.manual_seed(seed)
        before = _global_states()
        yield
        after = _global_states()
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        if torch:
            torch.set_rng_state(kept[2])
    for name, state in before.items():
        if after[name] != state:
            raise broken(
                came=f"{what} used or set the global random state of {name}",
                wanted="all randomness from a generator of its own",
                mend="draw from self.np_random, which super().reset(seed=seed) makes, or from random.Random(seed)",
            )


@contextmanager
def nothing_left(*, what: str) -> Iterator[None]:
    """Run the body in a temporary folder of its own, and look for what it leaves behind.

    Raises:
        ContractError: a temporary file, open file, process (also one whose parent has ended) or thread is left.
    """
    kept = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="cmat-check-") as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            before = {name: look() for name, look in _LOOKS.items()}
            yield
            after = {name: look() for name, look in _LOOKS.items()}
            files = sorted(path.name for path in Path(folder).iterdir())
            orphans = _orphans(folder, but=after["child process"])
        finally:
            tempfile.tempdir = kept[0]
            os.environ.pop("TMPDIR")
            if kept[1] is not None:
                os.environ["TMPDIR"] = kept[1]
    left = {name: sorted(after[name] - before[name]) for name in _LOOKS}
    left |= {"temporary file": files, "orphaned process": orphans}
    for name, each in left.items():
        if each:
            raise broken(
                came=f"{what} left {len(each)} {name}{'s' if name[-1] != 's' else 'es'} behind: {', '.join(each[:3])}",
                wanted="nothing after close()",
                mend="release in close() all that reset() or step() opened",
            )


def _open_files() -> set[str]:
    """Open file descriptors with what they point at, where the system tells."""
    found = set()
    for folder in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(folder):
            for number in os.listdir(folder):
                try:
                    found.add(f"{number} {os.readlink(f'{folder}/{number}')}")
                except OSError:
                    continue
            break
    return found


def _child_processes() -> set[str]:
    """Child processes, also those that ended and were not waited for, where the system tells."""
    found: set[str] = set()
    for path in Path("/proc/self/task").glob("*/children") if os.path.isdir("/proc/self/task") else ():
        try:
            found.update(path.read_text().split())
        except OSError:
            continue
    return found


def _orphans(folder: str, *, but: set[str]) -> list[str]:
    """Other processes that were started while `folder` was the one for temporary files, and do not end in a moment."""
    mark = f"TMPDIR={folder}".encode()
    deadline = time.monotonic() + _MOMENT
    while True:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ") if os.path.isdir("/proc/self") else ():
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                if path.parent.name not in but and mark in path.read_bytes().split(b"\0"):
                    found.append(path.parent.name)
        if not found or time.monotonic() > deadline:
            return sorted(found)
        time.sleep(0.05)


def _threads() -> set[str]:
    return {f"{thread.name} {thread.ident}" for thread in threading.enumerate()}


_LOOKS: dict[str, Callable[[], set[str]]] = {
    "open file": _open_files, "child process": _child_processes, "thread": _threads,
}  # fmt: skip


def check_equal(expected: Sequence[str], actual: Sequence[str], when: str, mend: str) -> None:
    """Raise at the first answer in which two records of an episode differ."""
    for turn, (one, other) in enumerate(zip(expected, actual, strict=False)):
        if one != other:
            raise broken(
                came=f"from the same seed and actions, answer {turn} is another {when}: {_change(one, other)}",
                wanted="the same episode",
                mend=mend,
            )
    if len(expected) != len(actual):
        came = f"the same seed and actions end after {len(actual)} answers in place of {len(expected)} {when}"
        raise broken(came=came, wanted="the same episode", mend=mend)


def _change(one: str, other: str) -> str:
    start = next(i for i, pair in enumerate(zip(one + " ", other + "  ", strict=False)) if pair[0] != pair[1])
    return f"...{one[max(start - 20, 0) : start + 60]!r} became ...{other[max(start - 20, 0) : start + 60]!r}"
