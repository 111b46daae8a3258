"""Sandboxes by Docker: what is asked of an engine, by a double; and the same things on a real engine, where one is.

A real one without its installation, as root: `docs/os.md` has the commands.
"""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from cmat_env.envs.operating_system import Check, OSEnv, OSTask, Sandbox, SandboxError, SandboxSettings, Script
from cmat_env.envs.operating_system.backends import docker as dockers
from cmat_env.envs.operating_system.process import Running
from cmat_env.envs.operating_system.shell import Shell

IMAGE = os.environ.get("CMAT_TEST_DOCKER_IMAGE", SandboxSettings().image)


@pytest.fixture
def limited() -> SandboxSettings:
    """Settings for the double."""
    return SandboxSettings(backend="docker", seconds=10)


class Container:
    """A container of the double: what was asked of it, and files that seem changed."""

    status = "running"

    def __init__(self, client: Any, options: dict[str, Any]) -> None:
        self.id, self.client, self.options, self.put = f"c{len(client.made)}", client, options, b""
        self.changed = [("/root/f", 1), ("/usr/bin/wc", 0), ("/gone", 2)]

    def diff(self) -> list[dict[str, Any]]:
        """A file, a program, a deleted file, and one too large to be carried."""
        return [{"Path": path, "Kind": kind} for path, kind in self.changed]

    def get_archive(self, path: str) -> tuple[list[bytes], dict[str, Any]]:
        """Its name as its content."""
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as archive:
            member = tarfile.TarInfo(path.rpartition("/")[2])
            member.size = len(path)
            archive.addfile(member, io.BytesIO(path.encode()))
        return [whole.getvalue()], {"size": 1 << 40 if "huge" in path else len(path)}

    def put_archive(self, path: str, data: bytes) -> None:
        """Keep it."""
        self.put = data

    def exec_run(self, command: list[str]) -> Any:
        """Note it."""
        self.client.ran.append(command)
        return SimpleNamespace(exit_code=0)

    def attach_socket(self, *, params: dict[str, int]) -> Any:
        """A connection that is never used, but held."""
        return io.BytesIO()

    def start(self) -> None:
        """Unless the engine refuses."""
        if self.client.refuses:
            raise RuntimeError("no room")

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
        self.refuses = False
        self.containers = SimpleNamespace(create=self._make)
        self.api = SimpleNamespace(exec_create=self._create, exec_start=self._start, exec_inspect=self._inspect)
        self._execs: dict[str, Any] = {}

    def _make(self, image: str, command: list[str], **options: Any) -> Container:
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
    data = ("/root/f", "/etc/motd", "/usr/stock.log", "/usr/data/f", "/usr/local/data")
    code = ("/usr", "/usr/lib/x", "/usr/local/lib/x", "/usr/local", "/etc/ld.so.preload", "/lib/x")
    for path in (*data, *code):
        assert [path in data] * 2 == [dockers.is_data(path, added=added) for added in (False, True)], path
    assert [False, True] == [dockers.is_data("/usr/local/bin/calc", added=added) for added in (False, True)]
    live.close()


def test_a_container_that_cannot_be_used_is_not_left(limited: SandboxSettings) -> None:
    """One that is not started is removed; changed files that are too large are refused before they are read."""
    engine = Engine()
    engine.refuses = True
    with pytest.raises(SandboxError, match="no room"):
        dockers.DockerSandbox(limited, client=engine)
    assert ["removed"] == [made.status for made in engine.made]
    engine.refuses = False
    live = dockers.DockerSandbox(limited, client=engine)
    engine.made[-1].changed = [("/root/huge", 1)]
    with pytest.raises(SandboxError, match=r"huge has 1099511627776 bytes"):
        live.snapshot()
    live.close()


def test_docker_without_sdk_or_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the two is missing."""

    def answers_nobody(*, timeout: int) -> None:
        raise OSError("connection refused")

    for module, words in (
        (None, "pip install docker"),
        (SimpleNamespace(from_env=answers_nobody), r"connection refused.*set DOCKER_HOST"),
    ):
        monkeypatch.setitem(sys.modules, "docker", module)
        with pytest.raises(SandboxError, match=words):
            dockers.DockerSandbox(SandboxSettings(backend="docker"))


# --- the same on a real engine


@pytest.fixture(scope="session")
def engine() -> Any:
    """The SDK's client of an engine that has the image."""
    try:
        client = dockers._connect()
        client.images.get(IMAGE)
    except Exception as error:
        pytest.skip(f"no Docker engine with the image {IMAGE} (CMAT_TEST_DOCKER_IMAGE): {error}")
    return client


@pytest.fixture
def limits(engine: Any) -> SandboxSettings:
    """Small ones."""
    return SandboxSettings(
        backend="docker", image=IMAGE, processes=64, memory=256 << 20, disk=64 << 20, seconds=4, output=1 << 20
    )


@pytest.fixture
def machine(limits: SandboxSettings) -> Iterator[Sandbox]:
    """A fresh sandbox."""
    with Sandbox(limits) as made:
        yield made


def test_a_real_container_keeps_its_shell(machine: Sandbox) -> None:
    """State outlives what is stopped for time and output; a shell that ends is replaced; users work."""
    assert ("hi\n", "") == (machine.execute("echo hi; cd /tmp; x=5").output, machine.execute("true").event)
    assert "timeout" == machine.execute("sleep 100; sleep 100").event
    assert "output" == machine.execute("yes").event
    assert "5 /tmp\n" == machine.execute("echo $x $(pwd)").output
    assert "exited" == machine.execute("exit 3").event
    assert "redirected" == machine.execute("exec >/dev/null 2>&1").event
    assert (b"begun\n", True) == ((done := machine.run("echo begun; sleep 9", seconds=1)).stdout, done.timed_out)
    machine.run("useradd -m -s /bin/bash jack")
    machine.type_in("su - jack")
    assert "jack /home/jack\n" == machine.execute("echo $(whoami) $(pwd)").output


@pytest.mark.parametrize("attack", [":(){ :|:& };:", "kill -9 -1", "pkill -9 .; kill -STOP 1", "exec sleep inf"])
def test_a_real_container_outlives_attacks(machine: Sandbox, attack: str) -> None:
    """The next commands work."""
    machine.execute(attack)

    assert any("alive\n" == machine.execute("echo alive").output for _ in range(20))
    assert machine.alive and b"1\n" == machine.run("echo 1").stdout


def test_views_of_a_real_container_have_what_is_there_now(machine: Sandbox) -> None:
    """Untouched tools on the present files, deleted ones gone; the snapshot stays what it was; sizes are limited."""
    machine.run("echo 1 > f; mkdir d; touch d/x /etc/mine; rm /etc/debian_version; ln -sf /bin/true /usr/bin/wc")
    machine.run("echo log > /usr/stock.log; printf '#!/bin/sh\\necho mine\\n' > /usr/bin/calc; chmod +x /usr/bin/calc")
    assert b"log\nmine\n" == machine.run("cat /usr/stock.log; calc", view="pristine").stdout
    machine.snapshot()
    machine.run("echo 2 > f; rm -r d")
    look = "echo $(ls) $(cat f) $(ls /etc/mine /etc/debian_version 2>/dev/null) $(echo | wc -l)"

    assert b"f 2 /etc/mine 1\n" == machine.run(look, view="pristine").stdout
    assert b"d f 1 /etc/mine\n" == machine.run(look, view="snapshot").stdout
    machine.run("echo 3 > f")
    assert b"f 3 /etc/mine 1\n" == machine.run(look, view="pristine").stdout
    machine.run("for n in $(seq 9); do truncate -s 60M /root/$n; done")
    with pytest.raises(SandboxError, match="more than the disk's limit"):
        machine.run("true", view="pristine")


SPY = """
import glob, time
while True:
    for path in glob.glob('/proc/[0-9]*'):
        for name in ('fd/1', 'mem', 'environ'):
            try:
                with open(f'{path}/{name}', 'r+b', buffering=0) as file:
                    file.write(b'42')
            except (OSError, ValueError):
                pass
"""


@pytest.mark.parametrize(
    "attack",
    [
        "rm -f /usr/bin/wc; printf '#!/bin/sh\\necho 42\\n' > /usr/bin/wc; chmod +x /usr/bin/wc",
        "cp /usr/bin/true /usr/bin/bash; echo /root/evil.so > /etc/ld.so.preload",
        f"cat > /root/spy.py <<'END'{SPY}END\npython3 /root/spy.py >/dev/null 2>&1 &",
    ],
    ids=["wc", "bash", "a spy in the background"],
)
def test_rewards_of_a_real_container_are_not_stolen(limits: SandboxSettings, attack: str) -> None:
    """As in bubblewrap: a wrong answer is not paid, the right one is."""
    task = OSTask(
        "count", "count", "", (Script("seq 5 > f"),), checks=(Check("example"), Check("checker", "integer-match.py")),
        example=Script("wc -l < f"),
    )  # fmt: skip
    env = OSEnv([task], sandbox=limits)
    for answer, paid in (("42", 0.0), ("5", 1.0)):
        env.reset(seed=0)
        env.step(f"Act: bash\n```bash\n{attack}\n```")
        _, reward, _, _, info = env.step(f"Act: answer({answer})")
        assert (paid, "5", "5") == (reward, info["gold_live"], info["gold_snapshot"])
    env.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_real_container_is_left(engine: Any, limits: SandboxSettings, sent: signal.Signals) -> None:
    """Neither after episodes nor when we are killed."""
    code = (
        "import sys\nfrom cmat_env.envs.operating_system import Sandbox, SandboxSettings\n"
        f"held = [Sandbox(SandboxSettings(**{dataclasses.asdict(limits)!r})) for _ in range(2)]\n"
        "held[0].run('true', view='pristine')\nprint('ready', flush=True)\nsys.stdin.read()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and "ready\n" == child.stdout.readline()
    ours = {each.id for each in engine.containers.list(all=True, sparse=True, filters={"label": "cmat-env=sandbox"})}
    assert len(ours) >= 3
    child.send_signal(sent)
    child.communicate()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and (
        left := ours
        & {each.id for each in engine.containers.list(all=True, sparse=True, filters={"label": "cmat-env=sandbox"})}
    ):
        time.sleep(0.1)

    assert not left
