"""The root file system of a sandbox: a Debian that was built once, or the host's /usr with an /etc of its own."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cmat_env.errors import ConfigError

SYSTEM_FOLDERS = ("usr", "bin", "sbin", "lib", "lib64", "lib32", "libx32")
# What in /etc makes a program load other code or run another file than its name says.
TRUSTED_ETC = (
    "ld.so.preload", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf", "alternatives", "python3*",
    "profile", "profile.d", "bash.bashrc", "environment", "inputrc", "pam.d", "security", "gai.conf", "host.conf",
    "login.defs",
)  # fmt: skip
_FOLDERS = (
    ("root", 0o700), ("home", 0o755), ("tmp", 0o1777), ("var", 0o755), ("var/log", 0o755), ("var/tmp", 0o1777),
    ("var/cache", 0o755), ("var/lib", 0o755), ("var/mail", 0o2775), ("var/spool", 0o755), ("var/spool/cron", 0o755),
    ("var/spool/cron/crontabs", 0o1730), ("etc", 0o755), ("etc/cron.d", 0o755), ("etc/cron.daily", 0o755),
    ("etc/skel", 0o755), ("etc/default", 0o755), ("etc/profile.d", 0o755), ("opt", 0o755), ("srv", 0o755),
    ("mnt", 0o755), ("media", 0o755), ("boot", 0o755), ("proc", 0o555), ("sys", 0o555), ("dev", 0o755), ("run", 0o755),
)  # fmt: skip
# Copied from the host: what programs need to run, and nothing that names the host or its people.
_COPIED = ("ld.so.cache", "login.defs", "debian_version", "os-release", "mime.types", "services", "protocols")
_COPIED_FOLDERS = ("alternatives", "pam.d", "security")
_WRITABLE = (
    "bin", "sbin", "lib", "share", "games", "src", "include", "local", "local/bin", "local/sbin", "local/lib",
    "local/share", "local/etc", "local/src", "local/include",
)  # fmt: skip
_PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "bin:x:2:2:bin:/bin:/usr/sbin/nologin\nsys:x:3:3:sys:/dev:/usr/sbin/nologin\n"
    "sync:x:4:65534:sync:/bin:/bin/sync\ngames:x:5:60:games:/usr/games:/usr/sbin/nologin\n"
    "man:x:6:12:man:/var/cache/man:/usr/sbin/nologin\nlp:x:7:7:lp:/var/spool/lpd:/usr/sbin/nologin\n"
    "mail:x:8:8:mail:/var/mail:/usr/sbin/nologin\nnews:x:9:9:news:/var/spool/news:/usr/sbin/nologin\n"
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nbackup:x:34:34:backup:/var/backups:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
)
_GROUPS = (
    "root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 news:9 man:12 kmem:15 dialout:20 cdrom:24 tape:26 "
    "sudo:27 audio:29 www-data:33 backup:34 shadow:42 utmp:43 video:44 staff:50 games:60 users:100 nogroup:65534"
)
_PROFILE = 'for f in /etc/profile.d/*.sh; do [ -r "$f" ] && . "$f"; done; unset f\n'
_BASHRC = "# ~/.bashrc\numask 022\n"
_DOT_PROFILE = "[ -f ~/.bashrc ] && . ~/.bashrc\n"


@dataclass(frozen=True, slots=True)
class Layer:
    """One overlay of the root file system.

    Attributes:
        at: where it is mounted, "" = the root itself.
        lower: the untouched tree on the host; None = it is made of `entries`.
        entries: (path, mode, base64 content) of a small tree; None as content = a folder, mode 0 = a symbolic link.
        writable: folders of the tree that get a twin above it from the start, so that they belong to the sandbox.
    """

    at: str
    lower: str | None
    entries: tuple[tuple[str, int, str | None], ...] = ()
    writable: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What the launcher is sent."""
        return {"at": self.at, "lower": self.lower, "entries": self.entries, "writable": self.writable}


@dataclass(frozen=True, slots=True)
class RootFS:
    """A root file system.

    Attributes:
        name: for logs: "host", or the name and stamp of a built one.
        layers: the root first.
    """

    name: str
    layers: tuple[Layer, ...] = field(repr=False)


def cache_folder() -> Path:
    """Where `cmat rootfs build` puts root file systems of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cmat-env" / "rootfs"


def built_rootfs() -> Path | None:
    """The latest one that `cmat rootfs build` has finished, if any."""
    folder = cache_folder()
    done = [path for path in folder.glob("*") if (path / "bin" / "bash").exists()] if folder.is_dir() else []
    return max(done, key=lambda path: path.name, default=None)


def open_rootfs(name: str) -> RootFS:
    """The root file system that a setting means.

    Raises:
        ConfigError: there is none like that here.
    """
    if name == "auto":
        built = built_rootfs()
        return host_rootfs() if built is None else _folder(built)
    return host_rootfs() if name == "host" else _folder(Path(name))


def _folder(path: Path) -> RootFS:
    for wanted in ("bin/bash", "usr"):
        if not os.path.lexists(path / wanted):
            raise ConfigError(f"rootfs {str(path)!r} has no {wanted}; build one with: cmat rootfs build")
    return RootFS(path.name, (Layer("", str(path.resolve())),))


@lru_cache(maxsize=1)
def host_rootfs(root: Path = Path("/")) -> RootFS:
    """The host's /usr under an /etc of its own, with empty /root, /home, /var and /tmp.

    Raises:
        ConfigError: the host has no /usr/bin/bash or /bin/bash.
    """
    if not any((root / folder / "bash").exists() for folder in ("usr/bin", "bin")):
        raise ConfigError(f"{root} has no bash, which a sandbox needs; install bash, or run: cmat rootfs build")
    entries: list[tuple[str, int, str | None]] = [(path, mode, None) for path, mode in _FOLDERS]
    layers: list[Layer] = []
    for name in SYSTEM_FOLDERS:
        path = root / name
        if path.is_symlink():
            entries.append((name, 0, os.readlink(path).removeprefix("/")))
        elif path.is_dir():
            entries.append((name, 0o755, None))
            writable = [folder for folder in _WRITABLE if _real(path / folder)] if name == "usr" else []
            layers.append(Layer(f"/{name}", str(path), writable=tuple(writable)))
    entries += _etc(root / "etc")
    return RootFS("host", (Layer("", None, tuple(entries)), *layers))


def _real(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _etc(host: Path) -> list[tuple[str, int, str | None]]:
    groups = [word.split(":") for word in _GROUPS.split()]
    texts = {
        "passwd": (0o644, _PASSWD),
        "shadow": (0o640, "".join(f"{line.partition(':')[0]}:*:19000:0:99999:7:::\n" for line in _PASSWD.splitlines())),
        "group": (0o644, "".join(f"{name}:x:{number}:\n" for name, number in groups)),
        "gshadow": (0o640, "".join(f"{name}:*::\n" for name, _ in groups)),
        "hosts": (0o644, "127.0.0.1\tlocalhost\n::1\tlocalhost\n"),
        "hostname": (0o644, "agentbench\n"),
        "nsswitch.conf": (0o644, "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\n"),
        "shells": (0o644, "/bin/sh\n/bin/bash\n"),
        "profile": (0o644, _PROFILE),
        "bash.bashrc": (0o644, ""),
        "skel/.bashrc": (0o644, _BASHRC),
        "skel/.profile": (0o644, _DOT_PROFILE),
        "crontab": (0o644, "SHELL=/bin/sh\n"),
        "fstab": (0o644, ""),
        "default/useradd": (0o644, "SHELL=/bin/sh\n"),
        "../root/.bashrc": (0o644, _BASHRC),
        "../root/.profile": (0o644, _DOT_PROFILE),
    }
    entries: list[tuple[str, int, str | None]] = [
        (os.path.normpath(f"etc/{name}"), mode, _base64(text.encode())) for name, (mode, text) in texts.items()
    ]
    for name in _COPIED:
        if (host / name).is_file():
            entries.append((f"etc/{name}", 0o644, _base64((host / name).read_bytes())))
    for name in _COPIED_FOLDERS:
        entries += _copied_folder(host, name)
    return entries


def _copied_folder(host: Path, name: str) -> Sequence[tuple[str, int, str | None]]:
    if not (host / name).is_dir():
        return ()
    found: list[tuple[str, int, str | None]] = [(f"etc/{name}", 0o755, None)]
    for path in sorted((host / name).iterdir()):
        if path.is_symlink():
            found.append((f"etc/{name}/{path.name}", 0, os.readlink(path)))
        elif path.is_file() and path.stat().st_mode & 0o004:
            found.append((f"etc/{name}/{path.name}", 0o644, _base64(path.read_bytes())))
    return found


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
