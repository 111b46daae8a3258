"""Sandboxes of an ordinary user, for real: with subordinate ids, and with the one user id alone.

Root plays a user who exists in a mount namespace of its own: there /etc/passwd, /etc/subuid and their like have one
more line, and folders that only root may enter on the way to this checkout and to Python are open. The host is not
touched. Where that cannot be done tests are skipped with the reason, and fail under CI=true.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cmat_env.envs.operating_system.backends.choose import probe
from cmat_env.envs.operating_system.limits import SandboxSettings

HERE = Path(__file__).resolve().parent
USER = 1777
BECOME = f"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /mnt
for closed in $CLOSED; do
    layer=/mnt/layer$(echo "$closed" | tr / _)
    mkdir -p "$layer/u" "$layer/w"
    mount -t overlay overlay -o "lowerdir=$closed,upperdir=$layer/u,workdir=$layer/w" "$closed"
    chmod 755 "$closed"
done
for name in passwd group subuid subgid; do
    cat "/etc/$name" >"/mnt/$name" 2>/dev/null || true
done
echo "cmat-user:x:{USER}:{USER}::/mnt/home:/bin/sh" >>/mnt/passwd
echo "cmat-user:x:{USER}:" >>/mnt/group
if [ -n "$IDS" ]; then echo "cmat-user:$IDS" | tee -a /mnt/subuid >>/mnt/subgid; fi
for name in passwd group subuid subgid; do
    [ ! -e "/etc/$name" ] || mount --bind "/mnt/$name" "/etc/$name"
done
mkdir -p /mnt/home
chown {USER}:{USER} /mnt/home
exec setpriv --reuid {USER} --regid {USER} --clear-groups --inh-caps=-all env HOME=/mnt/home "$@"
"""
EPISODE = """
import sys, warnings
from cmat_env.envs.operating_system import Check, Match, OSEnv, OSTask, Sandbox, Script
backend = sys.argv[1]
users = OSTask("users", "match", "", init=(Script("useradd -m -s /bin/bash jack"),), start="su - jack",
               match=Match("jack"), example=Script("whoami"))
count = OSTask("count", "integer-match", "", init=(Script("seq 5 > f"),), example=Script("wc -l < f"),
               checks=(Check("example"), Check("checker", "integer-match.py")))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    env = OSEnv([users, count])
print([str(each.message)[:70] for each in said], env.task_ids)
for task_id in env.task_ids:
    for wrong in (False, True):
        _, info = env.reset(options={"task": task_id})
        env.step(env.solve())
        *_, info = env.step("Act: answer(6)" if wrong else env.solve())
        print(task_id, info["sandbox"], info["outcome"], info.get("gold_live"), info.get("gold_snapshot"))
env.close()
with Sandbox(processes=40, memory=100 << 20, disk=16 << 20) as sandbox:
    print(sandbox.execute("ulimit -u -v | grep -o '[0-9]*$'").output.split())
"""
ATTACKS = (
    "test_attacks.py::test_a_fork_bomb_is_held_and_cleared_away",
    "test_attacks.py::test_a_full_disk_is_an_error_for_the_agent_alone[/root]",
    "test_attacks.py::test_places_without_a_limit_cannot_be_written[/sys]",
    "test_attacks.py::test_a_dead_sandbox_is_an_end_and_no_exception",
    "test_attacks.py::test_the_first_process_cannot_be_killed[kill -9 -1]",
    "test_attacks_escape.py::test_the_host_cannot_be_read",
    "test_attacks_escape.py::test_the_kernel_s_files_tell_nothing_and_take_nothing",
    "test_attacks_escape.py::test_the_call_filter_holds",
    "test_attacks_escape.py::test_services_of_the_host_cannot_be_reached",
    "test_attacks_escape.py::test_programs_cannot_be_looked_into_while_they_start",
    "test_attacks_reward.py::test_a_process_in_the_background_cannot_write_into_a_check",
    "test_attacks_reward.py::test_fake_tools_do_not_change_a_reward[bash that says yes]",
)


def unable(reason: str) -> None:
    """Skip, or fail where this must run."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def as_user(ids: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program as an ordinary user, who owns these subordinate ids."""
    if os.geteuid() != 0:  # we are one
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        unable("unshare and setpriv are missing; run: apt-get install util-linux")
    packages = [path for path in sys.path if "site-packages" in path]  # other tests may have added folders of their own
    needed = {HERE, *map(Path, (sys.prefix, sys.base_prefix, *packages))}
    above = {folder for path in needed for folder in (path, *path.parents) if folder.is_dir()}
    closed = sorted(str(folder) for folder in above if folder.stat().st_mode & 0o005 != 0o005)
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", BECOME, "sh", *command],
        env={**os.environ, "CLOSED": " ".join(closed), "IDS": ids, "TMPDIR": "/mnt/home", "CI": "true"},
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(params=["subuid", "single-uid"])
def backend(request: pytest.FixtureRequest) -> str:
    """A backend for ordinary users that can be had here."""
    name = str(request.param)
    if name == "subuid" and shutil.which("newuidmap") is None:
        unable("newuidmap is missing; run: apt-get install uidmap")
    if os.geteuid() != 0 and probe(name, SandboxSettings(backend=name)).reason:
        pytest.skip(f"we are an ordinary user without {name}")
    return name


def ids_of(backend: str) -> str:
    """The line of /etc/subuid that makes a host offer it."""
    return "300000:65536" if backend == "subuid" else ""


def test_an_ordinary_user_plays_episodes(backend: str) -> None:
    """The best backend is chosen; users, snapshot and untouched tools work, limits hold, rewards are right."""
    done = as_user(ids_of(backend), sys.executable, "-c", EPISODE, backend)
    warned, *played, limits = done.stdout.splitlines() or [done.stderr, ""]

    users = [f"users {backend} correct None None", f"users {backend} wrong None None"]
    assert [
        *(users if backend == "subuid" else []),
        f"count {backend} correct 5 5",
        f"count {backend} wrong 5 5",
    ] == played
    assert ("users: needs other users" in warned or "1 of 2 tasks are skipped" in warned) == (backend == "single-uid")
    assert str(["40", str((100 << 20) >> 10)]) == limits


def test_attacks_of_an_ordinary_user_fail_as_well(backend: str) -> None:
    """Those on what has no control group here, and those that could meet a process of ours on its way in."""
    options = ("-p", "no:cacheprovider", "--no-header", "--basetemp=/mnt/home/pytest", "--rootdir", str(HERE))
    done = as_user(ids_of(backend), sys.executable, "-m", "pytest", *options, *ATTACKS)

    assert 0 == done.returncode, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
