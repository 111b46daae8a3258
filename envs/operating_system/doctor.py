"""What `cmat doctor` says about sandboxes: which backend this host will use, and why not a better one."""

from __future__ import annotations

from collections.abc import Iterator

from cmat_env.envs.operating_system.backends.choose import ORDER, probe, user_namespaces
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.rootfs import built_rootfs


def findings() -> Iterator[tuple[str, str, str | None]]:
    """(what, how it is, advice or None), by making a sandbox with each backend until one works."""
    for backend in ORDER:
        found = probe(backend, SandboxSettings())
        if not found.reason:
            value = f"{backend}, root file system {found.rootfs}: tasks of cmat/OS-v0 run in it"
            yield "sandbox", value, "; ".join(found.notes) or None
            break
        yield "sandbox", f"{backend} does not work here", found.reason
    else:
        yield "sandbox", "none works: cmat/OS-v0 refuses to run", user_namespaces() or "see the reasons above"
    if built_rootfs() is None:
        yield "root fs", "the host's /usr", "cmat rootfs build makes a minimal Debian with all tools that tasks need"
