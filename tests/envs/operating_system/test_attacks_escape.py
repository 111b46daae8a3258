"""What an agent may try, as `test_attacks` says. Here: getting out, and seeing or reaching what is the host's."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from cmat_env.envs.operating_system import Sandbox, SandboxSettings

Attack = Any  # the fixture of conftest.py


def test_the_host_cannot_be_read(attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of the host outside of /usr, none of its processes, names, mounts, devices or environment."""
    secret = f"secret-{os.getpid()}"
    (tmp_path / "f").write_text(secret)
    monkeypatch.setenv("CMAT_SECRET", secret)
    with attack() as agent:
        seen = agent.does(
            f"cat {tmp_path}/f; env; "
            "cat /proc/*/environ /proc/*/cmdline /proc/cmdline /proc/keys 2>&1 | tr '\\0' ' '; "
            "cat /proc/self/mountinfo /etc/shadow; ls -a /root /home /var/lib /tmp /boot /mnt; hostname; "
            "ls -l /proc/*/exe /proc/*/cwd /proc/*/root /proc/*/fd 2>&1; cat /proc/1/maps"
        ).text
        processes = int(agent.does("ls -d /proc/[0-9]* | wc -l").text)

    seen = seen.replace(f"cat: {tmp_path}/f", "")
    assert secret not in seen
    assert str(tmp_path) not in seen and str(Path.home() / ".cache") not in seen
    assert socket.gethostname() not in seen or socket.gethostname() in ("localhost", "agentbench")
    assert "pytest" not in seen and "bubblewrap" not in seen
    assert processes <= 5


def test_the_kernel_s_files_tell_nothing_and_take_nothing(attack: Attack) -> None:
    """/sys is empty and read-only, and no file of /proc/sys, /proc/irq, /proc/bus or /sys opens for writing."""
    code = (
        "import os\nfound = []\n"
        "for top in ('/proc/sys', '/proc/irq', '/proc/bus', '/proc/acpi', '/proc/scsi', '/proc/fs', '/sys'):\n"
        "    for folder, _, files in os.walk(top):\n        for name in files:\n"
        "            try:\n                os.close(os.open(f'{folder}/{name}', os.O_WRONLY | os.O_NONBLOCK))\n"
        "                found.append(f'{folder}/{name}')\n            except OSError:\n                pass\n"
        "print(found, os.listdir('/sys'))"
    )
    with attack() as agent:
        assert "[] []" == agent.python(code)
        seen = agent.does("touch /sys/cmat-evil; mkdir /sys/fs; mount -t sysfs none /mnt; ls -A /sys /mnt").text
        assert 2 == seen.count("Read-only file system") and seen.endswith("/mnt:\n\n/sys:")
        assert "" == agent.does("cat /sys/class/dmi/id/* /sys/class/net/*/address 2>/dev/null").text


PRIVILEGED = (
    "mount -t tmpfs none /mnt",
    "mount --bind / /mnt",
    "mount -t proc proc /mnt",
    "umount /proc",
    "umount -l /",
    "mount -o remount,rw /sys",
    "mkdir -p /tmp/c; mount -t cgroup2 none /tmp/c",
    "unshare -Ur true",
    "unshare -m true",
    "unshare -n true",
    "nsenter -t 1 -m true",
    "nsenter -t $$ -U true",
    "chroot / true",
    "pivot_root /tmp /tmp",
    "mknod /tmp/cmat-evil b 8 0",
    "mknod /tmp/cmat-evil c 1 1",
    "echo 1 > /proc/sys/kernel/sysrq",
    "echo b > /proc/sysrq-trigger",
    "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
    "echo 0 > /proc/sys/kernel/randomize_va_space",
    "echo 3 > /proc/sys/vm/drop_caches",
    "echo /tmp/x > /proc/sys/kernel/modprobe",
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "echo 0-100 > /proc/self/uid_map",
    "cat /proc/kcore",
    "cat /proc/kmsg",
    "cat /dev/mem",
    "cat /dev/kmsg",
    "dmesg",
    "hostname other",
    "date -s 2001-01-01",
    "echo -1000 > /proc/1/oom_score_adj",
    "echo -1000 > /proc/self/oom_score_adj",
    "swapon /root/f",
    "losetup -f /root/f",
    "setcap cap_sys_admin+ep /usr/bin/true && /usr/bin/true && capsh --has-p=cap_sys_admin",
    "ping -c 1 -W 1 127.0.0.1 || (exit 5)",
    "ip link set lo down",
    "ip link add d0 type dummy",
    "iptables -L || nft list ruleset",
)


def test_privileged_calls_are_refused(attack: Attack) -> None:
    """Root in the sandbox is nobody outside of it; each fails, and the shell works after each."""
    with attack() as agent:
        for command in PRIVILEGED:
            *_, status = agent.does(f"({command}); echo $?").text.splitlines()
            assert int(status) != 0, command
            assert agent.works()


CALLS = """
import ctypes, errno, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": dict(ptrace=101, bpf=321, keyctl=250, add_key=248, request_key=249, perf=298, userfault=323,
                          clone=56, unshare=272, uring=425, uring_enter=426, uring_register=427, clone3=435, vmread=310,
                          vmwrite=311, kcmp=312, open_tree=428, move_mount=429, fsopen=430, pidfd_getfd=438,
                          mount_setattr=442, setns=308, kexec=246, kexec_file=320, handle=304, name_to_handle=303,
                          mount=165, umount=166, pivot_root=155, chroot=161, swapon=167, swapoff=168, reboot=169,
                          sethostname=170, setdomainname=171, init_module=175, finit_module=313, delete_module=176,
                          quotactl=179, acct=163, settimeofday=164, clock_settime=227, adjtimex=159, clock_adjtime=305,
                          fanotify=300, syslog=103, vhangup=153, iopl=172, ioperm=173, modify_ldt=154),
           "aarch64": dict(ptrace=117, bpf=280, keyctl=219, add_key=217, request_key=218, perf=241, userfault=282,
                           clone=220, unshare=97, uring=425, uring_enter=426, uring_register=427, clone3=435,
                           vmread=270, vmwrite=271, kcmp=272, open_tree=428, move_mount=429, fsopen=430,
                           pidfd_getfd=438, mount_setattr=442, setns=268, kexec=104, kexec_file=294, handle=265,
                           name_to_handle=264, mount=40, umount=39, pivot_root=41, chroot=51, swapon=224, swapoff=225,
                           reboot=142, sethostname=161, setdomainname=162, init_module=105, finit_module=273,
                           delete_module=106, quotactl=60, acct=89, settimeofday=170, clock_settime=112, adjtimex=171,
                           clock_adjtime=266, fanotify=262, syslog=116, vhangup=58)}[platform.machine()]
for name, number in numbers.items():
    first = 0x10000000 | 17 if name == "clone" else 0x10000000 if name == "unshare" else 0
    result = libc.syscall(number, first, 0, 0, 0, 0)
    print(name, errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "allowed")
if platform.machine() == "x86_64":
    print("x32", "EPERM" if libc.syscall(0x40000000 | 39) == -1 and ctypes.get_errno() == errno.EPERM else "allowed")
for family, kind in ((40, 1), (17, 3), (38, 5), (15, 3), (29, 3), (30, 5), (31, 3), (44, 3), (2, 3), (10, 3)):
    try:
        socket.socket(family, kind, 1 if family in (2, 10) else 0)
        print(f"socket-{family}-{kind}", "allowed")
    except OSError as error:
        print(f"socket-{family}-{kind}", errno.errorcode[error.errno])
"""


def test_the_call_filter_holds(attack: Attack) -> None:
    """Nested namespaces, tracing, bpf, key rings, perf, rings, modules, clocks, mounts are refused by number.

    So are sockets to the hypervisor, to packets and to ciphers, and raw ones.
    """
    with attack() as agent:
        answers = dict(line.split() for line in agent.python(CALLS).splitlines())
    absent = {name: answers.pop(name) for name in ("clone3", "uring", "uring_enter", "uring_register")}

    assert {"ENOSYS"} == set(absent.values())
    assert {} == {name: answer for name, answer in answers.items() if answer != "EPERM"}
    assert len(answers) > 50


def test_programs_of_every_kind_are_filtered(sandbox: Sandbox) -> None:
    """The live shell, programs beside it and checks: no new privileges, a filter, and few capabilities."""
    command = "grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):' /proc/self/status"
    shell = sandbox.execute(command).output.split()
    own, pristine = (sandbox.run(command, view=view).stdout.decode().split() for view in ("own", "pristine"))

    few, one_more = "00000000000004fb", "00000008000004fb"
    assert ["CapEff:", few, "CapBnd:", few, "NoNewPrivs:", "1", "Seccomp:", "2"] == shell == own
    assert ["CapEff:", one_more, "NoNewPrivs:", "1", "Seccomp:", "2"] == pristine[:2] + pristine[4:]


def test_services_of_the_host_cannot_be_reached(attack: Attack) -> None:
    """Not on loopback, not by abstract sockets, and no network beyond."""
    name = f"cmat-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{name}")
        abstract.listen()
        code = (
            "import socket\n"
            f"for family, to in ((socket.AF_INET, ('127.0.0.1', {server.getsockname()[1]})), "
            f"(socket.AF_UNIX, '\\0{name}'), (socket.AF_INET, ('169.254.169.254', 80)), "
            "(socket.AF_INET, ('8.8.8.8', 53)), (socket.AF_INET6, ('2001:4860:4860::8888', 53))):\n"
            "    try:\n        socket.socket(family).connect(to); print('connected')\n"
            "    except OSError as error: print(error.strerror)\n"
        )
        with attack() as agent:
            seen = agent.python(code)
            assert "" == agent.does(f"cat /proc/net/unix /proc/net/tcp | grep -a {name}").text
        for held in (server, abstract):
            held.settimeout(0)
            with pytest.raises(BlockingIOError):
                held.accept()

    assert 5 == len(seen.splitlines())
    assert "connected" not in seen


def test_sandboxes_do_not_meet(attack: Attack, settings: SandboxSettings) -> None:
    """Neither files, processes, shared memory, message queues, sockets nor names are shared."""
    with attack() as agent:
        listen = "import socket, time\ns = socket.socket(socket.AF_UNIX); s.bind('\\0meet'); s.listen(); time.sleep(99)"
        agent.does(
            f"echo mine | tee /tmp/meet /dev/shm/meet /run/meet >/dev/null; ipcmk -M 100 >/dev/null; sleep 777 &\n"
            f'nohup python3 -c "{listen}" >/dev/null 2>&1 & sleep 0.3'
        )
        with Sandbox(settings) as other:
            seen = other.execute(
                "ls -A /tmp /dev/shm /run | grep meet; pgrep -f 777; ipcs -m | grep -c root; "
                "grep -c meet /proc/net/unix"
            ).output
        assert "0\n0\n" == seen
        assert "mine" == agent.does("cat /dev/shm/meet").text


def test_the_lower_trees_stay_as_they_are(attack: Attack, settings: SandboxSettings) -> None:
    """Replaced, deleted, linked and chmodded system files are so in this sandbox alone."""
    with attack() as agent:
        agent.does(
            "cd /usr/bin; ln wc /tmp/cmat-evil; echo evil >> /tmp/cmat-evil; rm -f wc; echo evil > env; "
            "chmod 000 bash; touch /usr/bin/cmat-evil; truncate -s 0 /usr/bin/python3.*; setfattr -n user.x -v 1 ls; "
            "touch -d 2001-01-01 ls"
        )
        assert "gone" == agent.does("type -t wc || echo gone").text
        with Sandbox(settings) as other:
            assert "3\n" == other.execute("seq 3 | wc -l").output


EXES = """
import glob, os, sys, time
seen = set()
end = time.time() + 3
while time.time() < end and not os.path.exists('/tmp/stop'):
    for path in glob.glob('/proc/[0-9]*'):
        for name in ('exe', 'cwd', 'root'):
            try:
                seen.add(os.readlink(f'{path}/{name}'))
            except OSError:
                pass
        for name in ('environ', 'maps'):
            try:
                seen.add(open(f'{path}/{name}').read())
            except OSError:
                pass
        try:
            open(f'{path}/exe', 'wb')
            seen.add('opened')
        except OSError:
            pass
open('/tmp/seen', 'w').write('\\n'.join(seen))
"""


def test_programs_cannot_be_looked_into_while_they_start(attack: Attack) -> None:
    """On its way into the sandbox a program is a process of the host: its executable, memory, folder are closed.

    Source: CVE-2019-5736, where a container overwrote its runtime through /proc/self/exe.
    """
    with attack() as agent:
        agent.does(f"cat > /tmp/spy.py <<'END'{EXES}END\npython3 /tmp/spy.py >/dev/null 2>&1 &")
        for _ in range(25):
            agent.sandbox.run("true")
            agent.sandbox.run("true", view="pristine")
        agent.does("touch /tmp/stop; wait")
        seen = agent.does("cat /tmp/seen").text.splitlines()
    links = {line for line in seen if line.startswith("/")}

    assert "opened" not in seen and "/usr/bin/bash" in links
    assert [] == [link for link in links if not link.startswith(("/usr/", "/root", "/tmp", "/proc")) and link != "/"]
    assert [] == [
        line for line in seen if any(words in line for words in ("cmat_env", "pytest", "site-packages", ".venv"))
    ]
