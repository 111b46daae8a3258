"""Other views of a sandbox than its own: its state at the snapshot, and its data under tools that nobody touched."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence

from cmat_env.envs.operating_system.jail import box, linux
from cmat_env.envs.operating_system.jail.box import Spec

_DATA = ("", "/local")
"""Where in /usr data may be put, as AgentBench does into /usr/stock.log."""


def run(spec: Spec, fds: Sequence[int], seccomp: int) -> None:
    """Become bubblewrap with a program in the view that `spec` names; we are in the sandbox's namespaces already.

    Of its process namespace only our children are. The program holds one capability more than the agent's processes do
    (`box.SHUT`), so that none of them can look into it, or write to its descriptors, through /proc.
    """
    box.place(dict(enumerate((*fds, seccomp))))
    box.become_root()
    linux.unshare(linux.CLONE_NEWNS)
    os.chdir(spec["box"])
    extra = ["--seccomp", "3", *box.SHUT]
    if spec["view"] == "snapshot":
        root = _snapshot(spec)
    else:
        root, binds = _pristine(spec)
        extra = [*binds, *extra]
    argv = box.bwrap(spec, root, spec["argv"], fresh=False, extra=extra)
    os.execve(argv[0], argv, {})


def _snapshot(spec: Spec) -> str:
    """The root as it was at the snapshot; what programs write there is kept for the next one."""
    for index, layer in enumerate(spec["layers"]):
        box.overlay([layer["lower"]], f"s/u/{index}", f"s/w/{index}", f"s/m{layer['at']}")
    return "s/m"


def _pristine(spec: Spec) -> tuple[str, list[str]]:
    """The sandbox's data with the system's own programs, and the binds that bubblewrap must add.

    What programs write there is kept for the next one, and never reaches the sandbox. Commands that were added are
    found behind all others, and new names in /usr and /usr/local are there; the rest of /usr is what it was.
    """
    systems = _systems(spec)
    trusted = _trusted(spec)
    if not os.path.exists("v"):
        for folder in ("v", "v/u", "v/w", "v/m", "v/k", "v/k/etc", *(f"v/k{at}" for at in systems)):
            os.mkdir(folder, 0o755)
        for name in spec["system"]:
            link = f"{spec['layers'][0]['lower']}/{name}"
            if os.path.islink(link):
                os.symlink(os.readlink(link), f"v/k/{name}")
        os.close(os.open("v/k/etc/ld.so.preload", os.O_CREAT | os.O_WRONLY, 0o444))
        for name, pristine in trusted.items():
            if os.path.isdir(pristine):
                os.mkdir(f"v/k/etc/{name}", 0o755)
            else:
                os.close(os.open(f"v/k/etc/{name}", os.O_CREAT | os.O_WRONLY, 0o444))
    try:
        box.overlay(["v/k", "m"], "v/u", "v/w", "v/m")
    except OSError:  # overlays would be stacked too high: take the layers themselves
        box.overlay(["v/k", "u/0", spec["layers"][0]["lower"]], "v/u", "v/w", "v/m")
    binds = [word for at, pristine in systems.items() for word in ("--ro-bind", pristine, at)]
    binds += [word for name, pristine in trusted.items() for word in ("--ro-bind", pristine, f"/etc/{name}")]
    return "v/m", [*binds, *_added_data(spec, systems), *_added_commands(spec, systems)]


def _systems(spec: Spec) -> dict[str, str]:
    """By mount point: the untouched trees of programs and libraries."""
    found = {layer["at"]: layer["lower"] for layer in spec["layers"] if layer["at"]}
    first = spec["layers"][0]["lower"]
    for name in spec["system"]:
        tree = f"{first}/{name}"
        if f"/{name}" not in found and os.path.isdir(tree) and not os.path.islink(tree):
            found[f"/{name}"] = tree
    return found


def _trusted(spec: Spec) -> dict[str, str]:
    """By name in /etc: the untouched file or folder."""
    etc = f"{spec['layers'][0]['lower']}/etc"
    found = [path for name in spec["trusted"] for path in glob.glob(f"{etc}/{name}")]
    return {os.path.basename(path): path for path in found if not os.path.islink(path)}


def _usr(spec: Spec) -> tuple[str, str]:
    """What was changed in /usr: a folder of the box, and a path below it."""
    return next(((f"u/{i}", "") for i, layer in enumerate(spec["layers"]) if layer["at"] == "/usr"), ("u/0", "usr/"))


def _added_data(spec: Spec, systems: dict[str, str]) -> list[str]:
    """Binds that show what was put beside the system's own folders, and nothing that was put into them."""
    base, below = _usr(spec)
    binds: list[str] = []
    for folder in _DATA:
        added, pristine = _real_folder(base, f"{below}{folder}".strip("/")), f"{systems['/usr']}{folder}"
        if added is None:
            continue
        try:
            hidden = {*os.listdir(pristine), *spec["code"]}
            if set(os.listdir(added)) - hidden:
                mask, target = f"v/hide{len(binds)}", f"v/data{len(binds)}"
                for path in (mask, target):
                    os.makedirs(path, exist_ok=True)
                for name in hidden - set(os.listdir(mask)):  # as overlays mark what is not there
                    os.mknod(f"{mask}/{name}", stat.S_IFCHR, os.makedev(0, 0))
                box.overlay([pristine, mask, added], None, None, target)
                binds += ["--ro-bind", target, f"/usr{folder}"]
        except OSError:  # no folder, or no room: then without
            continue
        finally:
            os.close(added)
    return binds


def _added_commands(spec: Spec, systems: dict[str, str]) -> list[str]:
    """Binds that show commands which the agent added, behind the untouched ones of the same folder."""
    base, below = _usr(spec)
    binds: list[str] = []
    for name in spec["commands"]:
        added = _real_folder(base, f"{below}{name}")
        pristine = f"{systems['/usr']}/{name}"
        if added is None:
            continue
        if not os.listdir(added) or not os.path.isdir(pristine):
            os.close(added)
            continue
        target = f"v/b{len(binds)}"
        os.makedirs(target, exist_ok=True)
        box.overlay([pristine, added], None, None, target)
        os.close(added)
        binds += ["--ro-bind", target, f"/usr/{name}"]
    return binds


def _real_folder(base: str, path: str) -> int | None:
    """A descriptor of a folder below `base`, None if any part of its path is a link or no folder."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    fd = os.open(base, flags)
    for part in path.split("/") if path else ():
        try:
            inner = os.open(part, flags, dir_fd=fd)
        except OSError:
            os.close(fd)
            return None
        os.close(fd)
        fd = inner
    return fd
