"""What an agent may try: each attack really runs, in a sandbox with tiny limits. Here: using up, hanging, shell games.

Every test says what the agent saw. The fixture `attack` then asks, after each one: does the next command work, is a
wrong answer unpaid and the snapshot's gold what it was, does the next episode work and pay the right answer, and is the
host as it was (processes, control groups, mounts, system files, shared folders, kernel settings, clock)?
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

Attack = Any  # the fixtures of conftest.py
Attacks = Any
HANGS, TOGETHER = 1.0, 2.0
"""Seconds of a command, where an attack hangs on purpose; where many attacks run at once."""


# --- using up the machine


def test_a_fork_bomb_is_held_and_cleared_away(attack: Attack) -> None:
    """It meets the limit on processes; they are killed, and the shell keeps its state."""
    with attack(seconds=4) as agent:
        agent.does("cd /tmp; kept=7")
        seen = agent.does(":(){ :|:& };:")
        for _ in range(20):
            if seen.event:
                break
            seen = agent.does("sleep 0.1")
        assert seen.event in ("processes", "timeout", "restarted")
        assert any(agent.works() for _ in range(20))  # at first a command may show what the killed ones wrote
        if seen.event != "restarted":
            assert "7 /tmp" == agent.does("echo $kept $(pwd)").text
        left = [
            int(agent.does("ls -d /proc/[0-9]* 2>/dev/null | wc -l").text) for _ in range(20)
        ]  # the dead are reaped in turn
        assert min(left) < 12


def test_a_memory_hog_is_killed_alone(attack: Attack) -> None:
    """It dies of the limit; the shell and its variables live on."""
    with attack() as agent:
        agent.does("kept=7")
        seen = agent.does("python3 -c 'x = bytearray(1 << 30); print(len(x))'; echo $kept").text
        assert seen.endswith("7") and "1073741824" not in seen


def test_memory_of_the_kernel_counts(attack: Attack) -> None:
    """Full pipes, of as many as descriptors allow: they end at a limit, and the shell works on."""
    code = (
        "import os\nheld = []\ntry:\n    while len(held) < 20000:\n        held.append(os.pipe2(os.O_NONBLOCK))\n"
        "        os.write(held[-1][1], b'x' * 65536)\nexcept OSError as error:\n    print(error.strerror)\n"
        "print(len(held) * 65536 < 1 << 30)"
    )
    with attack() as agent:
        assert "False" not in agent.python(code)


@pytest.mark.parametrize("place", ["/tmp", "/root", "/dev/shm", "/run", "/var/tmp", "/usr"])
def test_a_full_disk_is_an_error_for_the_agent_alone(attack: Attack, place: str) -> None:
    """No place takes more than the disk's limit, and filling one does not kill the sandbox, nor stop a check."""
    with attack() as agent:
        seen = agent.does(
            f"dd if=/dev/zero of={place}/cmat-evil bs=1M count=200 2>&1; stat -c %s {place}/cmat-evil"
        ).text
        assert "No space left on device" in seen
        assert int(seen.split()[-1]) <= agent.sandbox.settings.disk


@pytest.mark.parametrize("place", ["/dev", "/proc", "/sys"])
def test_places_without_a_limit_cannot_be_written(attack: Attack, place: str) -> None:
    """Whatever is no part of the disk is read-only."""
    with attack() as agent:
        seen = agent.does(f"head -c 1000 /dev/zero > {place}/cmat-evil; echo status $?; mkdir {place}/cmat-evil").text
        assert "status 1" in seen and "mkdir: cannot create directory" in seen


def test_inodes_run_out_before_the_host_does(attack: Attack) -> None:
    """Empty files are limited as well."""
    with attack() as agent:
        seen = agent.does("mkdir /tmp/d; cd /tmp/d; seq 5000 | xargs touch 2>&1 | tail -1; ls | wc -l").text
        assert "No space left on device" in seen
        assert int(seen.split()[-1]) <= agent.sandbox.settings.inodes


@pytest.mark.parametrize(
    "command",
    [
        "yes", "head -c 100000000 /dev/zero | tr '\\0' a", "cat /dev/zero", "cat /dev/urandom", "cat /dev/random",
        "cat /dev/full",
    ],
)  # fmt: skip
def test_endless_output_is_cut_and_its_producer_killed(attack: Attack, command: str) -> None:
    """Lines without end, or one line of 100 MB: the first part is kept, the shell's state too."""
    with attack() as agent:
        agent.does("kept=7")
        started = time.monotonic()
        seen = agent.does(command)
        assert ("output", True) == (seen.event, seen.cut)
        assert len(seen.text) <= agent.sandbox.settings.output
        assert time.monotonic() - started < agent.sandbox.settings.seconds
        assert "7" == agent.does("echo $kept").text


def test_a_process_in_the_background_cannot_flood_the_next_command(attack: Attack) -> None:
    """What it writes is cut, like any output."""
    with attack() as agent:
        seen = agent.does("kept=7; yes &")
        seen = agent.does("sleep 1; sleep 1") if not seen.event else seen
        assert "output" == seen.event
        assert "7" == agent.does("echo $kept").text


def test_a_list_of_commands_that_hang_is_stopped_as_one(attack: Attack) -> None:
    """Bash goes on with the next one when one is killed; the shell's state outlives all of them."""
    with attack(seconds=HANGS) as agent:
        agent.does("kept=7")
        assert "timeout" == agent.does("sleep 100\nsleep 100; yes >/dev/null; cat <(sleep 100)").event
        assert "7" == agent.does("echo $kept").text


def test_an_agent_that_takes_its_own_resources_away(attacks: Attacks) -> None:
    """Lower limits hold in its own shell, which is replaced where it cannot go on; programs that grade have theirs."""

    def attempt(agent: Any, limit: str) -> None:
        agent.does(f"ulimit {limit}; ls / | wc -l")
        if not agent.works():
            assert "" == agent.does("exit").text or agent.works()

    limits = ["-n 3", "-u 0", "-f 0", "-v 1000", "-s 1", "-t 1; while :; do :; done", "-S -n 6; exec 7</dev/null"]
    attacks(attempt, limits, seconds=TOGETHER)


def test_limits_cannot_be_raised(attack: Attack) -> None:
    """Not by root of the sandbox, nor for others."""
    code = (
        "import resource\n"
        "for name in ('NPROC', 'NOFILE', 'CORE', 'MEMLOCK', 'MSGQUEUE', 'SIGPENDING'):\n"
        "    kind = getattr(resource, 'RLIMIT_' + name, None)\n"
        "    if kind is None:\n        continue\n"
        "    hard = resource.getrlimit(kind)[1]\n"
        "    for pid in (0, 1):\n"
        "        try:\n            resource.prlimit(pid, kind, (hard + 1, hard + 1)); print(name, pid, 'raised')\n"
        "        except (PermissionError, ValueError):\n            print('refused')\n"
    )
    with attack() as agent:
        assert {"refused"} == set(agent.python(code).splitlines())


# --- staying, and hanging


def test_daemons_live_in_the_episode_and_not_beyond(attack: Attack, lines: Callable[[], list[str]]) -> None:
    """setsid, nohup and double forks survive the command, are processes of the host, and end with the sandbox."""
    daemon = f"sleep 98{os.getpid()}"
    with attack() as agent:
        agent.does(f"setsid {daemon} & nohup {daemon} >/dev/null 2>&1 & (({daemon} &) &); disown -a")
        deadline = time.monotonic() + 5
        while lines().count(daemon) < 3 and time.monotonic() < deadline:
            agent.does("sleep 0.05")
        assert 3 == lines().count(daemon) == int(agent.does(f"pgrep -cf '^{daemon}'").text)
    assert 0 == lines().count(daemon)


ENDLESS = [
    "sleep inf",
    "trap '' INT TERM HUP QUIT; sleep inf",
    "while :; do :; done",
    "while :; do echo $RANDOM; done",
    "wait_() { wait_; }; sleep 100 & wait",
    "read x </dev/ptmx",
    "mkfifo /tmp/p; cat /tmp/p",
    "exec 5<>/tmp/q; flock 5; flock /tmp/q true",
    "python3 -c 'import signal; signal.pthread_sigmask(0, range(1, 65)); signal.pause()'",
    "kill -STOP $$",
]


def test_what_never_ends_is_stopped(attacks: Attacks) -> None:
    """At the limit on time the command is killed, whatever signals it ignores, and the next one works."""

    def attempt(agent: Any, command: str) -> None:
        started = time.monotonic()
        seen = agent.does(f"kept=7; rm -f /tmp/q; mkfifo /tmp/q; {command}")
        assert seen.event in ("timeout", "restarted", "output")
        assert time.monotonic() - started < TOGETHER + 8

    attacks(attempt, ENDLESS, seconds=TOGETHER)


GONE = [
    ("exit 3", "exited"),
    ("kill -9 $$", "exited"),
    ("kill -SEGV $$", "exited"),
    ("ulimit -c unlimited; kill -ABRT $$", "exited"),
    ("set -e; false", "exited"),
    ("exec true", "exited"),
    ("exec /dev/null/no; exit", "exited"),
    ("exec sleep inf", "exited"),
    ("exec 1>&- 2>&-", "redirected"),
    ("exec >/dev/null", "redirected"),
    ("exec >/dev/full 2>&1", "redirected"),
    ("exec 2> >(cat >/dev/null)", "redirected"),
    ("exec 0<&- 1>&- 2>&- 198>&-", "restarted"),
    ("exec 198>&-", "restarted"),
    ("exec 198>/dev/null", "restarted"),
    ('for fd in /proc/self/fd/*; do eval "exec ${fd##*/}>&-"; done', "exited"),
    ("printf() { :; }; builtin() { :; }; eval() { :; }", "restarted"),
    ("enable -n printf eval builtin exec", "restarted"),
    ("set -n", "restarted"),
    ("shopt -s extdebug; trap 'false' DEBUG", "restarted"),
    ("trap 'exit' DEBUG", "exited"),
]
"""Commands, and what the agent is told of its shell."""


def test_a_shell_that_is_gone_or_deaf_is_replaced(attacks: Attacks) -> None:
    """The agent is told, at once or with the next command, and is heard again."""

    def attempt(agent: Any, given: tuple[str, str]) -> None:
        command, event = given
        seen = agent.does(command)
        after = agent.does("echo one") if not seen.event else seen
        assert event in (seen.event, after.event)
        assert agent.works()
        two = agent.does("echo two")
        assert ("two", "") == (two.text, two.event)

    attacks(attempt, GONE, seconds=TOGETHER)


def test_a_trap_that_hangs_before_each_command_can_be_taken_back(attack: Attack) -> None:
    """Commands are stopped at their limit, one after the other, and do what they say all the same."""
    with attack(seconds=HANGS) as agent:
        assert "timeout" == agent.does("trap 'sleep inf' DEBUG").event
        assert "timeout" == agent.does("trap - DEBUG").event
        assert agent.works()


TRICKS = {
    "words of the protocol are aliases": "for w in printf builtin eval exec exit cd '[['; do alias \"$w=echo\"; done",
    "words of the protocol are functions": "exec() { :; }; exit() { :; }; cd() { :; }; shopt() { :; }; umask() { :; }",
    "IFS is read-only": "IFS=0123456789; readonly IFS",
    "all variables are read-only": "readonly PS1 PATH HOME PWD OLDPWD BASHOPTS LANG TERM 2>/dev/null",
    "PATH is gone": "PATH=; hash -r; hash -p /tmp/no wc",
    "prompts run programs": "PROMPT_COMMAND='echo forged'; PS0='$(echo forged)'; PS1='$(echo forged)'",
    "traces run programs": "PS4='$(echo forged >&2)'; set -x; exec 2>/dev/null; exec 2>&1; set +x",
    "every shell runs a file": "echo 'echo forged' > /root/e; export BASH_ENV=/root/e ENV=/root/e",
    "a library is preloaded": "export LD_PRELOAD=/root/evil.so LD_LIBRARY_PATH=/root LD_AUDIT=/root/evil.so",
    "locale and Python's start are changed": "export LC_ALL=tr_TR LANGUAGE=x PYTHONSTARTUP=/root/f PYTHONHOME=/root",
    "options are odd": "set -f -u -v -C -o posix; set +v; shopt -s nullglob dotglob failglob globstar lastpipe",
    "umask takes all away": "umask 777",
    "the folder is gone": "mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone",
    "traps speak up": "trap 'echo forged >/dev/null' ERR EXIT RETURN USR1; kill -USR1 $$",
    "a trap reads what we send": "trap 'read -r -t 0.1 line; echo $line >> /tmp/stolen' DEBUG; true; trap - DEBUG",
    "jobs are controlled": "set -m; sleep 100 & bg; fg >/dev/null 2>&1 & disown -a; set +m",
    "coprocesses hold on": "coproc cat; exec 6>&${COPROC[1]}",
    "history and completion": "set -o history; HISTFILE=/tmp/h; history -w; complete -F x printf; set +o history",
    "time runs out of the shell": "TMOUT=1; sleep 0.1",
}


def test_games_with_the_shell(attacks: Attacks) -> None:
    """The shell may have become odd, but commands are run and heard, and nothing is put into their output."""

    def attempt(agent: Any, name: str) -> None:
        agent.does(TRICKS[name])
        assert "1 2 3" == agent.does("builtin unalias -a; unset -f cd exec; echo 1 2 3").text
        assert "" == agent.does("true").text

    attacks(attempt, list(TRICKS), seconds=2 * TOGETHER)


@pytest.mark.parametrize(
    "command",
    [
        "kill -9 -1", "kill -9 1", "kill -STOP 1", "kill -TERM 1; kill -INT 1", "pkill -9 .",
        "echo count >/proc/1/fd/9; echo all > /proc/1/fd/9", "renice 19 1; taskset -p 1 1; chrt -p 0 1",
    ],
)  # fmt: skip
def test_the_first_process_cannot_be_killed(attack: Attack, command: str) -> None:
    """Signals from within do not reach it, nor do words on its descriptors; the sandbox stays."""
    with attack() as agent:
        agent.does(command)
        assert agent.works()
        assert agent.sandbox.alive


def test_a_dead_sandbox_is_an_end_and_no_exception(attack: Attack) -> None:
    """When the first process is killed from outside, as when memory runs out, the episode is truncated."""
    with attack(ends="sandbox died") as agent:
        agent.does("echo hi")
        os.kill(agent.first_process(), signal.SIGKILL)
        assert "dead" == agent.does("echo hi").event
        assert (0.0, False, True) == (agent.reward, agent.terminated, agent.truncated) and agent.info["error"]


def test_a_dead_sandbox_grades_nothing(attack: Attack) -> None:
    """The right answer, too, is an end by truncation where the machine has died before it."""
    with attack(ends="sandbox died") as agent:
        os.kill(agent.first_process(), signal.SIGKILL)
        assert (0.0, "sandbox died") == agent.answers("5")


def test_a_dead_launcher_is_an_end_and_no_exception(attack: Attack, ours: Callable[[], list[int]]) -> None:
    """It takes its sandboxes with it; the next episode has a new one."""
    with attack(ends="sandbox died") as agent:
        agent.does("setsid sleep 1000 & disown")
        first = agent.first_process()
        for pid in ours():
            os.kill(pid, signal.SIGKILL)
        while psutil.pid_exists(first) and psutil.Process(first).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)  # the kernel tells the sandbox, a little later
        assert "dead" == agent.does("echo hi").event
        assert agent.truncated


def test_reading_from_the_keyboard_gets_nothing(attack: Attack) -> None:
    """Standard input is empty, the shell's own cannot be opened, and there is no terminal to take over."""
    with attack() as agent:
        steal = "for f in /proc/$$/fd/*; do [ -S $f ] && cat $f; done"
        terminal = "cat </dev/tty; cat </dev/console; exec 9</dev/tty; tty"
        code = "import fcntl, pty\nm, s = pty.openpty()\nfor number in (0x5412, 0x541C):\n"
        code += "    try:\n        fcntl.ioctl(s, number, b'x'); print('pushed')\n"
        code += "    except OSError as error:\n        print(error.errno)"
        seen = agent.does(f"cat; read x; echo got $?; {steal}; python3 -c 'input()'; {terminal}").text
        for words in ("got 1", "No such device or address", "EOFError", "not a tty"):
            assert words in seen
        assert "1\n1" == agent.python(code)
