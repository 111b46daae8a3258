"""`cmat rootfs build`: a minimal Debian with the tools that tasks need, by mmdebstrap, in the user's cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cmat_env.envs.operating_system.rootfs import cache_folder
from cmat_env.errors import CmatError, ConfigError

PACKAGES = (
    "adduser", "bc", "bsdextrautils", "bzip2", "curl", "file", "gawk", "git", "iproute2", "less", "lsof", "net-tools",
    "passwd", "procps", "psmisc", "python3", "sudo", "tree", "unzip", "util-linux", "vim-tiny", "wget", "xz-utils",
    "zip",
)  # fmt: skip
SUITE = "bookworm"


class BuildError(CmatError, RuntimeError):
    """A root file system could not be built; the message says what failed."""


def build(
    *,
    suite: str = SUITE,
    mirror: str | None = None,
    extra: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> Path:
    """Build one, and return its folder; sandboxes with rootfs = "auto" use it from then on.

    Args:
        suite: of Debian.
        mirror: of Debian packages; by default the one that mmdebstrap knows.
        extra: packages beside those that the tasks need.
        say: told in a line what happens.

    Raises:
        ConfigError: mmdebstrap is not installed, or a name is none.
        BuildError: it failed.
    """
    if shutil.which("mmdebstrap") is None:
        raise ConfigError("mmdebstrap is not installed; run: apt-get install mmdebstrap")
    for name in (suite, *extra):
        if not name or not all(sign.isalnum() or sign in "+-." for sign in name) or name.startswith("-"):
            raise ConfigError(f"{name!r} is no name of a suite or package; wanted letters, digits, '+', '-' and '.'")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    done = cache / f"debian-{suite}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with tempfile.TemporaryDirectory(prefix=".build-", dir=cache) as folder:
        archive, tree = Path(folder) / "rootfs.tar", Path(folder) / "tree"
        tree.mkdir()
        tree.chmod(0o755)
        packages = ",".join(sorted({*PACKAGES, *extra}))
        say(f"mmdebstrap fetches Debian {suite} with {len({*PACKAGES, *extra})} packages")
        command = [
            "mmdebstrap",
            "--variant=minbase",
            f"--include={packages}",
            "--skip=check/empty",
            suite,
            str(archive),
        ]
        _run([*command, mirror] if mirror else command)
        say(f"unpacking {archive.stat().st_size >> 20} MiB")
        _run([*_as_its_users(), "tar", "-xpf", str(archive), "-C", str(tree), "--exclude=./dev/*"])
        if not (tree / "bin" / "bash").exists():
            raise BuildError("what was built has no bash; look at the packages and the suite")
        tree.rename(done)
    say(f"built {done}")
    return done


def _as_its_users() -> list[str]:
    """An ordinary user unpacks in a user namespace, so that files get the owners that sandboxes will see."""
    if os.geteuid() == 0:
        return []
    return ["unshare", "--map-root-user", "--map-auto"]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        last = " ".join(done.stderr.strip().splitlines()[-3:])
        raise BuildError(f"{command[0]} failed with status {done.returncode}: {last or 'it said nothing'}")
