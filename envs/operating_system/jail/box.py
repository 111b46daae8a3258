"""Inside a new process: become the first process of a sandbox, or a program in one.

The box, a folder of the sandbox's outer mount namespace, is a tmpfs of limited size. It holds, for layer number i of
the root file system: `u/i` what has been changed, `w/i` overlayfs' work; and `m`, the root as the sandbox sees it.
Nobody in the sandbox ever sees the box, and no path below `m` is opened from here: an agent may have put a symbolic
link there.
"""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cmat_env.envs.operating_system.jail import linux

Spec = Mapping[str, Any]
LEASH = 9
_ABOVE = 256
SHUT = ("--cap-add", "CAP_WAKE_ALARM")
"""A capability that opens nothing and that agents lack: /proc does not open to them a process that holds more."""
EMPTY = "e"
"""An empty file of the box, mounted over what must not be read."""

_MASKED = ("/proc/cmdline", "/proc/keys")
# /sys would be a folder of the disk. Root of a user namespace may not look into /proc/tty/driver: `find /` would fail.
_MASKED_FOLDERS = ("/proc/tty", "/sys")


def limit(limits: Mapping[str, int | None]) -> None:
    """Set resource limits, as far as the host's own allow."""
    for name, wanted in limits.items():
        if wanted is None:
            continue
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        try:
            resource.setrlimit(kind, (wanted, wanted))
        except (ValueError, OSError):
            best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(kind, (best, best))


def put(path: str, text: str) -> None:
    """Write to a file of the kernel; nothing is imported on the way, as the file system may be another one by now."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def become_root() -> None:
    """Be user 0 of the user namespace that we are in."""
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def assemble(spec: Spec) -> None:
    """Make the box and mount the root file system in it; the working folder is the box from then on."""
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    box = spec["box"]
    options = f"size={spec['disk']},nr_inodes={spec['inodes']},mode=0755"
    linux.mount("tmpfs", box, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, options)
    os.chdir(box)
    for folder in ("m", "u", "w", "run", "shm", "run/lock"):
        os.mkdir(folder, 0o755)
    os.chmod("shm", 0o1777)
    os.close(os.open(EMPTY, os.O_CREAT | os.O_WRONLY, 0o444))
    for index, layer in enumerate(spec["layers"]):
        os.mkdir(f"u/{index}", 0o755)
        os.mkdir(f"w/{index}", 0o755)
        for folder in layer["writable"]:
            os.makedirs(f"u/{index}/{folder}", 0o755, exist_ok=True)
        overlay([layer["lower"]], f"u/{index}", f"w/{index}", f"m{layer['at']}")


def overlay(lowers: Sequence[str | int], upper: str | None, work: str | None, target: str) -> None:
    """Mount an overlay of folders, given by path or descriptor, the topmost first.

    Its options show descriptors, so that who reads /proc/mounts is not told the host's paths.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    held = [os.dup(path) if isinstance(path, int) else os.open(path, flags) for path in lowers]
    options = ["lowerdir=" + ":".join(f"/proc/self/fd/{fd}" for fd in held)]
    for name, path in (("upperdir", upper), ("workdir", work)):
        if path is not None:
            held.append(os.open(path, flags))
            options.append(f"{name}=/proc/self/fd/{held[-1]}")
    try:
        for extra in (",userxattr", ""):
            try:
                linux.mount("overlay", target, "overlay", 0, ",".join(options) + extra)
                return
            except OSError:
                if not extra:
                    raise
    finally:
        for fd in held:
            os.close(fd)


def bwrap(spec: Spec, root: str, argv: Sequence[str], *, fresh: bool, extra: Sequence[str] = ()) -> list[str]:
    """bubblewrap's command line: `root` as the root, our own /proc and /dev, few capabilities, the call filter."""
    command = [spec["bwrap"], "--bind", root, "/", "--proc", "/proc", "--dev", "/dev"]
    command += ["--ro-bind", "/proc/sys", "/proc/sys"]  # some of it belongs to the sandbox's own namespaces
    command += ["--bind", "shm", "/dev/shm", "--bind", "run", "/run", "--remount-ro", "/dev"]
    for path in _MASKED_FOLDERS:
        if os.path.isdir(path):
            command += ["--ro-bind", "w/none", path]
    for path in _MASKED:
        if os.path.exists(path):
            command += ["--ro-bind", EMPTY, path]
    if fresh:
        command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        command += ["--hostname", spec["hostname"], "--as-pid-1", "--die-with-parent"]
    command += ["--new-session", "--clearenv", "--chdir", spec.get("cwd", "/")]
    for name, value in spec["environment"].items():
        command += ["--setenv", name, value]
    command += ["--cap-drop", "ALL"]
    for name in spec["capabilities"]:
        command += ["--cap-add", name]
    return [*command, *extra, "--", *argv]


def first(spec: Spec, fds: Sequence[int], ready: Callable[[], None]) -> None:
    """Become bubblewrap with the sandbox's first process.

    Args:
        spec: what the sandbox is.
        fds: the first process's leash, the call filter, where bubblewrap reports, and where errors go.
        ready: called when the root file system is mounted.
    """
    leash, seccomp, report, complain = fds
    limit(spec["limits"])
    become_root()
    assemble(spec)
    os.mkdir("w/none", 0o555)
    ready()
    nothing = os.open(os.devnull, os.O_RDWR)
    seccomp, report = place({0: nothing, 1: nothing, 2: complain, LEASH: leash}, seccomp, report)
    extra = ("--seccomp", str(seccomp), "--info-fd", str(report), *SHUT)
    argv = bwrap(spec, "m", ["/bin/bash", "--noprofile", "--norc", "-c", spec["warden"]], fresh=True, extra=extra)
    os.execve(argv[0], argv, {})


def program(spec: Spec, fds: Sequence[int], seccomp: bytes) -> None:
    """Run a program in the sandbox, with the sandbox's own root file system; we are in all its namespaces already.

    Nobody in the sandbox can look into this process before it has become the program: it is not dumpable, and holds
    more capabilities than they do, until its last moment.
    """
    put("/proc/self/oom_score_adj", "500")  # before the sandbox's first process, if memory runs out
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    os.setsid()
    place(dict(enumerate(fds)))
    become_root()
    os.umask(0o022)
    os.chdir(spec["cwd"])
    linux.drop_privileges(spec["capability_numbers"], seccomp)
    os.execve(spec["argv"][0], spec["argv"], dict(spec["environment"]))


def place(targets: Mapping[int, int], *others: int) -> list[int]:
    """Put descriptors where the program that we become wants them, and close all the rest.

    Args:
        targets: by wanted number, a descriptor of ours.
        others: descriptors that are kept, too, wherever they come to be.

    Returns:
        The new numbers of `others`.
    """
    moved = {target: fcntl.fcntl(fd, fcntl.F_DUPFD, _ABOVE) for target, fd in targets.items()}
    kept = [fcntl.fcntl(fd, fcntl.F_DUPFD, _ABOVE) for fd in others]
    for target, fd in moved.items():
        os.dup2(fd, target)
    top = 0
    for fd in sorted({*targets, *kept}):
        if fd > top:  # an empty range closes everything in some versions of Python
            os.closerange(top, fd)
        top = fd + 1
    os.closerange(top, 1 << 20)
    return kept


def snapshot(spec: Spec) -> None:
    """Copy what was changed so far, for the view "snapshot"; the sandbox's processes should be at rest."""
    become_root()
    os.chdir(spec["box"])
    for folder in ("s", "s/w", "s/m"):
        os.mkdir(folder, 0o755)
    for index in range(len(spec["layers"])):
        os.mkdir(f"s/w/{index}", 0o755)
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("u", "u", None, linux.MS_BIND)  # copying must not be an access that a task can see
    linux.mount(
        "none", "u", None, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_NOATIME | linux.MS_NOSUID | linux.MS_NODEV
    )
    copy = shutil.which("cp") or "/bin/cp"
    os.execve(copy, [copy, "-a", "u", "s/u"], {"LANG": "C.UTF-8"})
