"""User namespaces: the one that the launcher works in, and the maps of the sandboxes' own."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from cmat_env.envs.operating_system.jail import box, linux, trees

_IDS = 65536


class RefusedError(Exception):
    """A request cannot be served here; the text says why."""


class Users:
    """Who sandboxes run as.

    Args:
        settings: `mode` "root", "subuid" or "single", and the ranges of ids.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self.mode: str = settings["mode"]

    def enter(self) -> None:
        """Go into a user namespace in which an ordinary user is root; nothing for root, who has what it takes."""
        if self.mode == "root":
            return
        uid, gid = os.getuid(), os.getgid()
        done, go = os.pipe()
        asked, ask = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:  # maps are written from outside: the one who is mapped may not write more than one line
            os.close(ask)
            os.read(asked, 1)
            try:
                if self.mode == "subuid":
                    self._map_subordinate(parent, uid, gid)
                else:
                    _write_map(parent, f"0 {uid} 1", f"0 {gid} 1", deny_setgroups=True)
                os.write(go, b"+")
            except (OSError, RefusedError) as error:
                os.write(go, str(error).encode())
            os._exit(0)
        os.close(go)
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
        os.write(ask, b"+")
        said = os.read(done, 4096)
        os.waitpid(child, 0)
        for fd in (done, asked, ask):
            os.close(fd)
        if said != b"+":
            raise RefusedError(f"no user namespace: {said.decode() or 'its map was not written'}")
        box.become_root()

    def _map_subordinate(self, pid: int, uid: int, gid: int) -> None:
        for program, own, (first, count) in (
            ("newuidmap", uid, self._settings["subuid"]),
            ("newgidmap", gid, self._settings["subgid"]),
        ):
            words = [program, str(pid), "0", str(own), "1", "1", str(first), str(min(count, _IDS - 1))]
            if os.spawnvp(os.P_WAIT, program, words) != 0:
                raise RefusedError(f"{' '.join(words)} failed")

    def map(self, pid: int) -> None:
        """Give the new user namespace of a process its users, of whom it is the first."""
        if self.mode == "single":
            _write_map(pid, "0 0 1", "0 0 1", deny_setgroups=False)
            return
        if self.mode == "root":
            first = self._settings["first_id"]
            lines = f"0 {first} {_IDS}"
        else:  # one line for each of our own map's, as a line may not reach over two of those
            count = min(self._settings["subuid"][1], self._settings["subgid"][1], _IDS - 1)
            lines = f"0 0 1\n1 1 {count}"
        _write_map(pid, lines, lines, deny_setgroups=False)

    def lower(self, layer: dict[str, Any], target: str) -> str:
        """The lower tree of a layer, owned by the sandboxes' own users as far as possible."""
        path = layer["lower"]
        owner = self._settings["first_id"] if self.mode == "root" else 0
        if path is None:
            trees.populate(target, layer["entries"], owner=owner)
            return target
        if self.mode != "root" or os.stat(path).st_uid == owner:
            return str(path)
        os.mkdir(target)
        pid, userns = self._sample()
        try:
            linux.clone_shifted(path, target, userns)
        except OSError:  # an older kernel, or a file system without it: what is there cannot be changed in a sandbox
            return str(path)
        finally:
            os.close(userns)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return target

    def _sample(self) -> tuple[int, int]:
        """A process in a user namespace like a sandbox's, and a descriptor of that."""
        said, say = os.pipe()
        pid = os.fork()
        if pid == 0:
            linux.unshare(linux.CLONE_NEWUSER)
            os.write(say, b"+")
            time.sleep(60)
            os._exit(0)
        os.close(say)
        os.read(said, 1)
        os.close(said)
        self.map(pid)
        return pid, os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _write_map(pid: int, uids: str, gids: str, *, deny_setgroups: bool) -> None:
    if deny_setgroups:
        box.put(f"/proc/{pid}/setgroups", "deny")
    box.put(f"/proc/{pid}/uid_map", uids)
    box.put(f"/proc/{pid}/gid_map", gids)
