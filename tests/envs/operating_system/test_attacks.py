"""What an agent may try: each attack really runs, in a sandbox with tiny limits.

Every test says what the agent saw, that the host is as before, that the machine (or the next one) works, and, where a
reward is at stake, that it was not forged.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cmat_env.envs.operating_system import Check, Match, OSEnv, OSTask, Sandbox, SandboxSettings, Script
from cmat_env.envs.operating_system.wording import NOTES

Begin = Callable[..., OSEnv]

COUNT = OSTask(
    "count",
    "integer-match",
    "how many lines has /root/f?",
    init=(Script("seq 5 > /root/f"),),
    checks=(Check("example"), Check("checker", "integer-match.py")),
    example=Script("wc -l < /root/f"),
)
WRITE = OSTask(
    "write",
    "check",
    "write 7 into /root/f",
    checks=(
        Check("script", script=Script('[ "$(cat /root/f)" = 7 ]')),
        Check("script", script=Script("import sys; sys.exit(open('/root/f').read().strip() != '7')", "python")),
    ),
    example=Script("echo 7 > /root/f"),
)
MATCH = OSTask("match", "match", "say 42", match=Match("42"))


def bash(script: str) -> str:
    """An action."""
    return f"Act: bash\n\n```bash\n{script}\n```"


def outcome_after(env: OSEnv, *scripts: str, answer: str = "finish") -> tuple[float, str]:
    """Reward and outcome of these scripts and this answer."""
    for script in scripts:
        env.step(bash(script))
    _, reward, _, _, info = env.step(f"Act: {answer}")
    return reward, info["outcome"]


def works(sandbox: Sandbox) -> bool:
    """Does the next command work?"""
    return "alive\n" == sandbox.execute("echo alive").output


# --- using up the machine


def test_a_fork_bomb_is_held_and_cleared_away(sandbox: Sandbox) -> None:
    """It meets the limit on processes; they are killed, and the shell keeps its state."""
    sandbox.execute("cd /tmp; kept=7")
    seen = [sandbox.execute(":(){ :|:& };:").event]
    while not seen[-1] and len(seen) < 20:
        seen.append(sandbox.execute("sleep 0.1").event)

    assert seen[-1] in ("processes", "timeout", "restarted")
    assert works(sandbox)
    deadline = time.monotonic() + 5
    while (sandbox._live.processes() or 99) >= 12 and time.monotonic() < deadline:  # the dead are reaped in their turn
        pass
    assert (sandbox._live.processes() or 99) < 12
    if seen[-1] != "restarted":
        assert "7 /tmp\n" == sandbox.execute("echo $kept $(pwd)").output


def test_a_memory_hog_is_killed_alone(sandbox: Sandbox) -> None:
    """It dies of the limit; the shell and its variables live on."""
    sandbox.execute("kept=7")
    result = sandbox.execute("python3 -c 'x = bytearray(1 << 30); print(len(x))'; echo $kept")

    assert "7\n" == result.output[-2:]
    assert "1073741824" not in result.output
    assert works(sandbox)


@pytest.mark.parametrize("place", ["/tmp/f", "/root/f", "/dev/shm/f", "/run/f", "/var/tmp/f", "/usr/f"])
def test_a_full_disk_is_an_error_for_the_agent_alone(sandbox: Sandbox, place: str) -> None:
    """No place takes more than the disk's limit, and filling one does not kill the sandbox."""
    result = sandbox.execute(f"dd if=/dev/zero of={place} bs=1M count=200 2>&1; stat -c %s {place}")

    assert "No space left on device" in result.output
    assert int(result.output.split()[-1]) <= sandbox.settings.disk
    sandbox.execute(f"rm -f {place}")
    assert works(sandbox)


@pytest.mark.parametrize("place", ["/dev", "/proc"])
def test_places_without_a_limit_cannot_be_written(sandbox: Sandbox, place: str) -> None:
    """Whatever is no part of the disk is read-only."""
    result = sandbox.execute(f"head -c 1000 /dev/zero > {place}/f")

    assert result.status != 0
    assert works(sandbox)


def test_inodes_run_out_before_the_host_does(sandbox: Sandbox) -> None:
    """Empty files are limited as well."""
    result = sandbox.execute(
        "mkdir /tmp/d; cd /tmp/d; seq 5000 | xargs touch 2>&1 | tail -1; ls | wc -l; rm -r /tmp/d; cd"
    )

    assert "No space left on device" in result.output
    assert int(result.output.split()[-1]) <= sandbox.settings.inodes
    assert works(sandbox)


@pytest.mark.parametrize(
    "command", ["yes", "head -c 100000000 /dev/zero | tr '\\0' a", "cat /dev/zero", "cat /dev/urandom"]
)
def test_endless_output_is_cut_and_its_producer_killed(sandbox: Sandbox, command: str) -> None:
    """Lines without end, or one line of 100 MB: the first part is kept, the shell's state too."""
    sandbox.execute("kept=7")
    started = time.monotonic()
    result = sandbox.execute(command)

    assert ("output", True) == (result.event, result.truncated)
    assert len(result.output) <= sandbox.settings.output
    assert time.monotonic() - started < sandbox.settings.seconds
    assert "7\n" == sandbox.execute("echo $kept").output


def test_a_process_in_the_background_cannot_flood_the_next_command(sandbox: Sandbox) -> None:
    """What it writes is cut, like any output."""
    result = sandbox.execute("yes &")
    result = sandbox.execute("sleep 1") if not result.event else result

    assert "output" == result.event
    assert works(sandbox)


# --- staying, and hanging


def test_daemons_live_in_the_episode_and_not_beyond(settings: SandboxSettings) -> None:
    """setsid, nohup and double forks survive the command, and end with the sandbox."""
    mark = f"sleep 98{os.getpid()}"
    with Sandbox(settings) as sandbox:
        sandbox.execute(f"setsid {mark} & nohup {mark} >/dev/null 2>&1 & (({mark} &) &); disown -a")
        assert 3 == int(sandbox.execute(f"pgrep -cf '^{mark}'").output)
        assert 3 == len(host_processes(mark))
    deadline = time.monotonic() + 5
    while host_processes(mark) and time.monotonic() < deadline:
        pass

    assert [] == host_processes(mark)


def host_processes(words: str) -> list[str]:
    """The host's processes with this command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            if line == words:
                found.append(entry.name)
    return found


@pytest.mark.parametrize(
    "command",
    [
        "sleep inf",
        "trap '' INT TERM HUP QUIT; sleep inf",
        "while :; do :; done",
        "wait_() { wait_; }; sleep 100 & wait",
    ],
)
def test_what_never_ends_is_stopped(sandbox: Sandbox, command: str) -> None:
    """At the limit on time the command is killed, whatever signals it ignores, and the next one works."""
    started = time.monotonic()
    result = sandbox.execute(f"kept=7; {command}")

    assert result.event in ("timeout", "restarted")
    assert time.monotonic() - started < sandbox.settings.seconds + 3
    assert works(sandbox)


@pytest.mark.parametrize(
    ("command", "event"),
    [
        ("exit 3", "exited"),
        ("kill -9 $$", "exited"),
        ("set -e; false", "exited"),
        ("exec true", "exited"),
        ("exec sleep inf", "restarted"),
        ("exec 1>&- 2>&-", "redirected"),
        ("exec >/dev/null", "redirected"),
        ("exec 0<&- 1>&- 2>&- 198>&-", "restarted"),
        ("exec 198>&-", "restarted"),
        ('for fd in /proc/self/fd/*; do eval "exec ${fd##*/}>&-"; done', "restarted"),
        ("printf() { :; }; builtin() { :; }; eval() { :; }", "restarted"),
    ],
)
def test_a_shell_that_is_gone_or_deaf_is_replaced(sandbox: Sandbox, command: str, event: str) -> None:
    """The agent is told, and the next commands work and are heard."""
    result = sandbox.execute(command)
    after = sandbox.execute("echo one") if not result.event else result

    assert event in (result.event, after.event, "restarted" if after.event == "exited" else "")
    assert works(sandbox)
    assert "two\n" == sandbox.execute("echo two").output


@pytest.mark.parametrize(
    "command", ["kill -9 -1", "kill -9 1", "kill -STOP 1", "kill -TERM 1; kill -INT 1", "pkill -9 ."]
)
def test_the_first_process_cannot_be_killed(sandbox: Sandbox, command: str) -> None:
    """Signals from within do not reach it; the sandbox stays."""
    sandbox.execute(command)

    assert works(sandbox)
    assert sandbox.alive


def test_a_stopped_shell_does_not_hang_us(sandbox: Sandbox) -> None:
    """SIGSTOP is met by the limit on time."""
    assert "timeout" == sandbox.execute("kill -STOP $$").event
    assert works(sandbox)


def test_a_dead_sandbox_is_an_end_and_no_exception(begin: Begin) -> None:
    """When the first process is gone the episode is truncated, and the next episode works."""
    env = begin(MATCH)
    assert env.sandbox is not None
    env.step(bash("echo hi"))
    env.sandbox._live.close()
    seen, reward, terminated, truncated, info = env.step(bash("echo hi"))

    assert (0.0, False, True, "sandbox died") == (reward, terminated, truncated, info["outcome"])
    assert NOTES["dead"] in seen and info["error"]
    env.reset(seed=0)
    assert (1.0, "correct") == outcome_after(env, answer="answer(42)")


def test_reading_from_the_keyboard_gets_nothing(sandbox: Sandbox) -> None:
    """Standard input is empty, and the shell's own input cannot be opened."""
    steal = "for f in /proc/$$/fd/*; do [ -S $f ] && cat $f; done"
    result = sandbox.execute(f"cat; read x; echo got $?; {steal}; python3 -c 'input()'")

    assert all(words in result.output for words in ("got 1", "No such device or address", "EOFError"))
    assert works(sandbox)


# --- getting out


def test_the_host_cannot_be_read(sandbox: Sandbox, tmp_path: Path) -> None:
    """No file of the host outside of /usr, none of its processes, names, mounts or environment."""
    secret = f"secret-{os.getpid()}"
    (tmp_path / "f").write_text(secret)
    os.environ["CMAT_SECRET"] = secret
    try:
        with Sandbox(sandbox.settings) as other:
            seen = other.execute(
                f"cat {tmp_path}/f; env; "
                "cat /proc/*/environ /proc/*/cmdline /proc/cmdline /proc/keys 2>&1 | tr '\\0' ' '; "
                "cat /proc/self/mountinfo /etc/shadow; ls -a /root /home /var/lib /tmp /boot /mnt; hostname; ls /sys"
            ).output
    finally:
        del os.environ["CMAT_SECRET"]

    seen = seen.replace(f"cat: {tmp_path}/f", "")
    assert secret not in seen
    assert str(tmp_path) not in seen and str(Path.home() / ".cache") not in seen
    assert socket.gethostname() not in seen or socket.gethostname() in ("localhost", "agentbench")
    assert "pytest" not in seen and "bubblewrap" not in seen
    assert 2 >= int(sandbox.execute("ls -d /proc/[0-9]* | wc -l").output) - 3


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /mnt",
        "mount --bind / /mnt",
        "mount -t proc proc /mnt",
        "umount /proc",
        "mkdir -p /tmp/c; mount -t cgroup2 none /tmp/c",
        "unshare -Ur true",
        "unshare -m true",
        "unshare -n true",
        "nsenter -t 1 -m true",
        "chroot / true",
        "mknod /tmp/sda b 8 0",
        "mknod /tmp/mem c 1 1",
        "echo 1 > /proc/sys/kernel/sysrq",
        "echo b > /proc/sysrq-trigger",
        "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
        "echo 0 > /proc/sys/kernel/randomize_va_space",
        "cat /proc/kcore",
        "cat /dev/mem",
        "dmesg",
        "hostname other",
        "date -s 2001-01-01",
        "echo -1000 > /proc/1/oom_score_adj",
    ],
)
def test_privileged_calls_are_refused(sandbox: Sandbox, command: str) -> None:
    """Root in the sandbox is nobody outside of it."""
    result = sandbox.execute(command)

    assert result.status not in (0, 127, None), result.output
    assert works(sandbox)


CALLS = """
import ctypes, errno, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": dict(ptrace=101, bpf=321, keyctl=250, perf=298, userfault=323, clone=56, unshare=272, uring=425,
                          clone3=435, vmread=310, openat2=428, setns=308, kexec=246, handle=304),
           "aarch64": dict(ptrace=117, bpf=280, keyctl=219, perf=241, userfault=282, clone=220, unshare=97, uring=425,
                           clone3=435, vmread=270, openat2=428, setns=268, kexec=104, handle=265)}[platform.machine()]
for name, number in numbers.items():
    first = 0x10000000 | 17 if name == "clone" else 0x10000000 if name == "unshare" else 0
    result = libc.syscall(number, first, 0, 0, 0, 0)
    print(name, errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "allowed")
for family in (40, 17, 38):
    try:
        socket.socket(family, socket.SOCK_DGRAM if family != 38 else socket.SOCK_SEQPACKET)
        print(family, "allowed")
    except OSError as error:
        print(family, errno.errorcode[error.errno])
"""


def test_the_call_filter_holds(sandbox: Sandbox) -> None:
    """Nested namespaces, tracing, bpf, key rings, perf, rings and sockets to the hypervisor are refused by number."""
    seen = sandbox.run(CALLS, language="python").stdout.decode().split("\n")
    answers = dict(line.split() for line in seen if line)

    assert {"clone3": "ENOSYS", "uring": "ENOSYS"} == {k: answers.pop(k) for k in ("clone3", "uring")}
    assert {"EPERM"} == set(answers.values())


def test_programs_of_every_kind_are_filtered(sandbox: Sandbox) -> None:
    """The live shell, programs beside it and checks: no new privileges, a filter, and few capabilities."""
    command = "grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status"
    shell = sandbox.execute(command).output.split()
    own, pristine = (sandbox.run(command, view=view).stdout.decode().split() for view in ("own", "pristine"))

    assert ["CapEff:", "00000000000004fb", "NoNewPrivs:", "1", "Seccomp:", "2"] == shell == own
    assert ["CapEff:", "00000008000004fb", "NoNewPrivs:", "1", "Seccomp:", "2"] == pristine


def test_services_of_the_host_cannot_be_reached(sandbox: Sandbox) -> None:
    """Not on loopback, not by abstract sockets, and no network beyond."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0cmat-{os.getpid()}")
        abstract.listen()
        script = (
            "import socket\n"
            f"for family, to in ((socket.AF_INET, ('127.0.0.1', {server.getsockname()[1]})), "
            f"(socket.AF_UNIX, '\\0cmat-{os.getpid()}'), (socket.AF_INET, ('169.254.169.254', 80)), "
            "(socket.AF_INET, ('8.8.8.8', 53))):\n"
            "    try:\n        socket.socket(family).connect(to); print('connected')\n"
            "    except OSError as error: print(error.strerror)\n"
        )
        seen = sandbox.run(script, language="python").stdout.decode()
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()

    assert 4 == len(seen.splitlines())
    assert "connected" not in seen


def test_the_lower_trees_stay_as_they_are(sandbox: Sandbox) -> None:
    """Replaced, deleted and chmodded system files are so in this sandbox alone."""
    before = {name: os.lstat(f"/usr/bin/{name}") for name in ("wc", "bash", "env")}
    sandbox.execute("cd /usr/bin; rm -f wc; echo evil > env; chmod 000 bash; touch /usr/bin/cmat-evil")
    after = {name: os.lstat(f"/usr/bin/{name}") for name in before}

    assert before == after
    assert not os.path.exists("/usr/bin/cmat-evil")
    with Sandbox(sandbox.settings) as other:
        assert "3\n" == other.execute("seq 3 | wc -l").output


# --- forging what is seen, and what is paid


def test_markers_cannot_be_forged(sandbox: Sandbox) -> None:
    """Something like a marker is text; what comes before and after is seen."""
    fake = "0123456789ab0123456789ab:0:5:0"
    result = sandbox.execute(f"printf '\\n{fake}\\n'; echo after; exit_() {{ :; }}; false")

    assert (1, f"\n{fake}\nafter\n") == (result.status, result.output)
    assert works(sandbox)


def test_the_shell_s_own_words_stay_hidden(sandbox: Sandbox) -> None:
    """`set -x` and `set -v` do not show the marker to the agent."""
    sandbox.execute("set -xv")
    seen = sandbox.execute("echo hi").output

    assert "hi" in seen
    assert "%s%s" not in seen
    assert "builtin printf" not in seen
    sandbox.execute("set +xv")
    assert works(sandbox)


def test_writing_to_every_descriptor_shows_nothing_to_the_next_command(sandbox: Sandbox) -> None:
    """Descriptors of the first process are no way to us."""
    sandbox.execute("for f in /proc/1/fd/*; do (echo forged > $f) 2>/dev/null; done")

    assert works(sandbox)
    assert sandbox.alive


def test_terminal_sequences_are_cleaned(sandbox: Sandbox) -> None:
    """Colours, titles, the clipboard, NUL, C1 and bad UTF-8 reach nobody's terminal."""
    shown = sandbox.execute(r"printf 'a\033[31mred\033[0m\033]52;c;aGk=\007\033P1$r\033\\b\000\x9b1mc\xff\r\n'").output

    assert "aredb\ufffd1mc\ufffd\n" == shown


def test_a_3_mb_action_is_refused_in_words(begin: Begin) -> None:
    """It is an observation, and the machine works on."""
    env = begin(MATCH)
    seen, _, terminated, truncated, _ = env.step(bash("x" * 3_000_000))

    assert "longer than 65536 bytes" in seen and not terminated and not truncated
    assert "alive" in env.step(bash("echo alive"))[0]
    assert (1.0, "correct") == outcome_after(env, answer="answer(42)")


def test_a_3_mb_answer_is_wrong(begin: Begin) -> None:
    """It is not handed to the kernel."""
    assert (0.0, "wrong") == outcome_after(begin(COUNT), answer=f"answer({'5' * 3_000_000})")


FAKES = {
    "python3 that says yes": "mkdir -p /usr/local/bin; for p in /usr/local/bin /usr/bin; do rm -f $p/python3; "
    "printf '#!/bin/sh\\nexit 0\\n' > $p/python3; chmod +x $p/python3; done",
    "wc that says 42": "rm -f /usr/bin/wc; printf '#!/bin/sh\\necho 42\\n' | tee /usr/bin/wc > /usr/local/bin/wc; "
    "chmod +x /usr/bin/wc /usr/local/bin/wc",
    "bash that says yes": ""
    "printf '#!/bin/sh\\necho 42; exit 0\\n' > /tmp/b; chmod +x /tmp/b; mv -f /tmp/b /usr/bin/bash",
    "preloaded library": "echo /root/evil.so > /etc/ld.so.preload",
    "loader's cache": "cp /usr/bin/true /etc/ld.so.cache",
    "modules beside the script": "cd /root; for m in sys os sitecustomize usercustomize; do "
    "echo 'raise SystemExit(0)' > $m.py; done",
    "modules in the user's site": "d=$(python3 -m site --user-site); mkdir -p $d; "
    "echo 'import os; os._exit(0)' > $d/usercustomize.py; "
    "echo 'import os; os._exit(0)' > $d/evil.pth",
    "modules in the system's site": "for d in /usr/lib/python3/dist-packages /usr/local/lib/python3*/dist-packages; do "
    "mkdir -p $d; echo 'import os; os._exit(0)' > $d/evil.pth; done",
    "start-up files": "for f in /root/.bashrc /root/.bash_profile /root/.profile /etc/profile /etc/bash.bashrc; do "
    "echo 'wc() { echo 42; }; cat() { echo 7; }; exit 0' > $f; done; export BASH_ENV=/root/.bashrc",
    "functions in the environment": "wc() { echo 42; }; export -f wc; cat() { echo 7; }; export -f cat",
    "alternatives": "for f in /etc/alternatives/*; do ln -sf /bin/true $f; done",
    "name service": "echo 'passwd: evil' > /etc/nsswitch.conf",
    "/usr is a link": "cp -a /usr/bin /tmp/bin; mv /usr /old 2>/dev/null; ln -sfn /tmp /usr",
    "/etc is a link": "mv /etc /old-etc; ln -s /root /etc",
}


@pytest.mark.parametrize("fake", FAKES.values(), ids=FAKES)
def test_fake_tools_do_not_change_a_reward(begin: Begin, fake: str) -> None:
    """Neither a wrong answer nor an undone change is paid for; what is right stays right."""
    assert (0.0, "wrong") == outcome_after(begin(COUNT), fake, answer="answer(42)")
    assert (1.0, "correct") == outcome_after(begin(COUNT), fake, answer="answer(5)")
    assert (0.0, "wrong") == outcome_after(begin(WRITE), "echo 1 > /root/f", fake)
    assert (1.0, "correct") == outcome_after(begin(WRITE), "echo 7 > /root/f", fake)


def test_a_link_to_the_host_leads_nowhere(begin: Begin, tmp_path: Path) -> None:
    """Checks follow links inside the sandbox alone."""
    (tmp_path / "seven").write_text("7\n")

    assert (0.0, "wrong") == outcome_after(begin(WRITE), f"ln -s {tmp_path}/seven /root/f")
    assert (0.0, "wrong") == outcome_after(begin(WRITE), "ln -s /proc/1/root/root/g /root/f")
    assert (0.0, "wrong") == outcome_after(begin(WRITE, init_seconds=2.0), "mkfifo /root/f")


SPY = """
import glob, os, time
end = time.time() + 60
while time.time() < end:
    for path in glob.glob('/proc/[0-9]*'):
        if path != f'/proc/{os.getpid()}':
            for name in ('fd/1', 'mem', 'fd/0'):
                try:
                    with open(f'{path}/{name}', 'r+b', buffering=0) as file:
                        file.write(b'42\\n')
                except (OSError, ValueError):
                    pass
"""


def test_a_process_in_the_background_cannot_write_into_a_check(begin: Begin) -> None:
    """Checks hold a capability more, so that /proc does not open their memory and descriptors to the agent."""
    spy = f"cat > /root/spy.py <<'END'{SPY}END\npython3 /root/spy.py >/dev/null 2>&1 &"
    env = begin(COUNT)
    env.step(bash(spy))
    *_, info = env.step("Act: answer(42)")

    assert ("wrong", "5", "5", False) == tuple(
        info[name] for name in ("outcome", "gold_live", "gold_snapshot", "gold_mismatch")
    )


def test_changed_data_are_told_by_the_snapshot(begin: Begin) -> None:
    """Live gold follows the agent's changes, as upstream, and the mismatch is flagged; the snapshot is not moved."""
    for gold, paid in (("live", 1.0), ("snapshot", 0.0)):
        env = begin(COUNT, gold=gold)
        env.step(bash("seq 9 > /root/f"))
        _, reward, _, _, info = env.step("Act: answer(9)")
        assert (paid, "9", "5", True) == (reward, info["gold_live"], info["gold_snapshot"], info["gold_mismatch"])


def test_checks_leave_no_trace(sandbox: Sandbox) -> None:
    """What a program with untouched tools writes is not in the sandbox."""
    sandbox.run("touch /root/trace /tmp/trace /usr/local/bin/trace", view="pristine")

    assert "0\n" == sandbox.execute("find / -xdev -name trace | wc -l").output


# --- the end of us


def test_nothing_is_left_when_we_are_killed(settings: SandboxSettings) -> None:
    """SIGKILL of the process that holds sandboxes ends them, their launcher and their groups."""
    mark = f"sleep 97{os.getpid()}"
    script = (
        "import sys\n"
        "from cmat_env.envs.operating_system import Sandbox, SandboxSettings\n"
        f"held = [Sandbox(SandboxSettings(**{dataclasses.asdict(settings)!r})) for _ in range(3)]\n"
        f"[each.execute('setsid {mark} & disown') for each in held]\n"
        "print(held[0]._live._launcher.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    launcher = int(child.stdout.readline())
    assert 3 == len(host_processes(mark))
    child.kill()
    child.communicate()
    deadline = time.monotonic() + 10
    while (host_processes(mark) or os.path.exists(f"/proc/{launcher}")) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert [] == host_processes(mark)
    assert not os.path.exists(f"/proc/{launcher}")
    assert [] == list(Path("/sys/fs/cgroup").glob(f"**/cmat-{launcher}"))
    assert f"/{launcher}/" not in Path("/proc/mounts").read_text()
