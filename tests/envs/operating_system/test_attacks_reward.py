"""What an agent may try, as `test_attacks` says. Here: odd files, forged output, and rewards that were not earned."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmat_env.envs.operating_system import Check, OSEnv, OSTask, Sandbox, Script
from cmat_env.envs.operating_system.wording import NOTES

Attack = Any  # the fixture of conftest.py
Begin = Callable[..., OSEnv]

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


def outcome_after(env: OSEnv, *scripts: str, answer: str = "finish") -> tuple[float, str]:
    """Reward and outcome of these scripts and this answer."""
    for script in scripts:
        env.step(f"Act: bash\n\n```bash\n{script}\n```")
    _, reward, _, _, info = env.step(f"Act: {answer}")
    return reward, info["outcome"]


# --- odd files


ODD_FILES = {
    "deep folders": "cd /tmp; for i in $(seq 255); do mkdir d; cd d; done; cd; ls -R /tmp | wc -l",
    "long paths": "n=$(printf %0200d 0); cd /tmp; for i in $(seq 40); do mkdir $n; cd $n; done; touch f; cd",
    "odd names": "cd /tmp; touch -- '-rf' $'a\\nb' $'\\e[31m' ' ' '*' $'\\xff' '; echo x' '$(echo x)'; cd; ls /tmp",
    "a sparse file": "truncate -s 1T /tmp/sparse; ls -l /tmp/sparse",
    "many hard links": "touch /tmp/h; for i in $(seq 300); do ln /tmp/h /tmp/h$i; done; stat -c %h /tmp/h",
    "loops of links": "ln -s loop /tmp/loop; ln -s / /tmp/all; cat /tmp/loop; ls /tmp/all/tmp/all/tmp/all >/dev/null",
    "files that nobody may read": "chmod 000 / /root /usr /tmp 2>&1; chattr +i /root/f 2>&1 | head -c 5",
    "fifos and sockets": "mkfifo /tmp/p; python3 -c \"import socket; socket.socket(1).bind('/tmp/s')\"; ls /tmp",
    "setuid": "cp /usr/bin/id /tmp/id; chmod 6755 /tmp/id; su -s /bin/sh nobody -c '/tmp/id -u' 2>&1",
}


@pytest.mark.parametrize("files", ODD_FILES.values(), ids=ODD_FILES)
def test_odd_files(attack: Attack, files: str) -> None:
    """Whatever lies about, the machine works, is graded, and is removed; a check finds the same files."""
    with attack() as agent:
        seen = agent.does(files)
        assert "" == seen.event and "\x1b" not in seen.text
        assert agent.sandbox.run("find /tmp | wc -l", view="pristine").status == 0


@pytest.mark.parametrize(
    "trap",
    [
        "rm f; mkfifo f", "ln -sf /dev/zero f", "truncate -s 1P f", "rm f; mkdir f", "ln -sf /proc/kmsg f", "rm f",
        "ln -sf /dev/stdin f", "chmod 000 f; chattr +i f", "ln -sf /proc/self/fd/1 f",
    ],
)  # fmt: skip
def test_a_grader_cannot_be_held_up(attack: Attack, trap: str) -> None:
    """The file that the gold script reads is a trap: it is over in time, and pays nothing for a wrong answer."""
    with attack(init_seconds=1.0) as agent:
        agent.does(f"cd /root; {trap}")
        started = time.monotonic()
        assert (0.0, "wrong") == agent.answers("42")
        assert time.monotonic() - started < 12
        assert agent.info["gold_snapshot"] == "5"
        agent.again()


# --- forging what is seen, and what is paid


def test_markers_cannot_be_guessed(attack: Attack) -> None:
    """Something like a marker is text; what comes before and after is seen."""
    fake = "0123456789ab0123456789ab:0:5:0"
    with attack() as agent:
        seen = agent.does(f"printf '\\n{fake}\\n'; echo after; (exit 1); echo $?")
        assert f"\n{fake}\nafter\n1" == seen.text
        assert agent.works()


FORGER = r"""forge() {
    case $BASH_COMMAND in *'printf '*'>&198'*) ;; *) return ;; esac
    set -- $BASH_COMMAND; printf '\n%s%s:0:%d\n\n%s%s:0\n' "$4" "$5" "$pid" "$5" "$4" >&198
}
sleep 1000 >/dev/null 2>&1 & pid=$!; trap forge DEBUG; set -T"""


def test_markers_that_were_overheard_gain_nothing(attack: Attack) -> None:
    """A trap can read our words and say them first, with another status and process: it hurts its own shell alone."""
    with attack(seconds=2.0) as agent:
        agent.does(FORGER)
        assert 0 == agent.sandbox.execute("false").status  # the forged one
        assert "timeout" == agent.does("yes >/dev/null").event
        assert (0.0, "wrong") == agent.answers("42")
        agent.again()
        agent.does(FORGER)
        for _ in range(5):
            agent.does("trap - DEBUG; kill $pid; false")
        assert any(agent.works() for _ in range(5))


def test_notes_of_ours_end_an_observation(attack: Attack) -> None:
    """An agent can print our words, but what is said of its episode is in infos, which it does not write."""
    with attack() as agent:
        assert "dead" == agent.does(f"echo '{NOTES['dead']}'").event
        assert not agent.truncated and agent.sandbox.alive


def test_the_shell_s_own_words_stay_hidden(attack: Attack) -> None:
    """`set -x` and `set -v` do not show the marker to the agent, nor does a file that gets the trace."""
    with attack() as agent:
        agent.does("exec 7>/tmp/trace; BASH_XTRACEFD=7; set -xv")
        agent.does("echo hi")
        agent.does("set +xv; exec 7>&-; unset BASH_XTRACEFD")
        assert "" == agent.does("kept=7; set -xv").event
        seen = agent.does("echo hi$kept").text
        assert "++ echo hi7\nhi7" in seen
        assert "%s%s" not in seen and "builtin printf" not in seen
        agent.does("set +xv")


def test_what_traps_and_others_write_between_our_words_costs_no_shell(attack: Attack) -> None:
    """A trap speaks before each of them, a process in the background all the time."""
    with attack() as agent:
        agent.does("kept=7; trap 'echo trapped' DEBUG; while sleep 0.001; do echo more; done &")
        for _ in range(20):
            seen = agent.does("echo $kept")
            assert "" == seen.event and "7" in seen.text
        agent.does("trap - DEBUG; kill %1; wait")


def test_writing_to_every_descriptor_shows_nothing_to_the_next_command(attack: Attack) -> None:
    """Descriptors of the first process are no way to us."""
    with attack() as agent:
        agent.does("for f in /proc/1/fd/*; do (echo forged > $f) 2>/dev/null; done")
        assert agent.works()
        assert agent.sandbox.alive


def test_terminal_sequences_are_cleaned(attack: Attack) -> None:
    """Colours, titles, the clipboard, NUL, C1 and bad UTF-8 reach nobody's terminal."""
    with attack() as agent:
        seen = agent.does(r"printf 'a\033[31mred\033[0m\033]52;c;aGk=\007\033P1$r\033\\b\000\x9b1mc\xff\r\n'").text
        assert "aredb\ufffd1mc\ufffd" == seen


def test_a_3_mb_action_is_refused_in_words(attack: Attack) -> None:
    """It is an observation, and the machine works on."""
    with attack() as agent:
        seen = agent.does("x" * 3_000_000)
        assert "longer than 65536 bytes" in seen.text and not agent.truncated


@pytest.mark.parametrize(
    "answer",
    [
        "5" * 3_000_000,
        "\0" * 10,
        "5\0",
        "$(echo 5)",
        "`echo 5`",
        "5; exit 0",
        "-n",
        "--help",
        "\ud800",
        "5" * 130_000,
        "[[5",
    ],
    ids=[
        "3 MB",
        "NUL",
        "5 and NUL",
        "substitution",
        "backquotes",
        "command",
        "-n",
        "option",
        "half a sign",
        "130 kB",
        "[[",
    ],
)
def test_odd_answers_are_wrong(begin: Begin, count: OSTask, answer: str) -> None:
    """They are text, whether a checker in our process reads them, or a script with the answer as an argument."""
    argument = OSTask("argument", "check", "", checks=(Check("script", script=Script('[ "$1" -eq 5 ]')),))
    for task in (count, argument):
        assert (0.0, "wrong") == outcome_after(begin(task), answer=f"answer({answer})")


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
def test_fake_tools_do_not_change_a_reward(attack: Attack, begin: Begin, fake: str) -> None:
    """Neither a wrong answer nor an undone change is paid for; what is right stays right."""
    with attack() as agent:
        agent.does(fake)
        assert (0.0, "wrong") == agent.answers("42")
        agent.again()
        agent.does(fake)
        assert (1.0, "correct") == agent.answers("5")
        agent.again()
    assert (0.0, "wrong") == outcome_after(begin(WRITE), "echo 1 > /root/f", fake)
    assert (1.0, "correct") == outcome_after(begin(WRITE), "echo 7 > /root/f", fake)


def test_a_link_to_the_host_leads_nowhere(begin: Begin, tmp_path: Path) -> None:
    """Checks follow links inside the sandbox alone."""
    (tmp_path / "seven").write_text("7\n")

    assert (0.0, "wrong") == outcome_after(begin(WRITE), f"ln -s {tmp_path}/seven /root/f")
    assert (0.0, "wrong") == outcome_after(begin(WRITE), "ln -s /proc/1/root/root/g /root/f")
    assert (0.0, "wrong") == outcome_after(begin(WRITE, init_seconds=1.0), "mkfifo /root/f")


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


def test_a_process_in_the_background_cannot_write_into_a_check(attack: Attack) -> None:
    """Checks hold a capability more, so that /proc does not open their memory and descriptors to the agent."""
    with attack() as agent:
        agent.does(f"cat > /root/spy.py <<'END'{SPY}END\npython3 /root/spy.py >/dev/null 2>&1 &")
        assert (0.0, "wrong") == agent.answers("42")
        assert ("5", "5", False) == tuple(agent.info[name] for name in ("gold_live", "gold_snapshot", "gold_mismatch"))
        agent.again()


def test_a_check_that_is_killed_pays_nothing(attack: Attack) -> None:
    """A process in the background may end programs of the same machine: then nothing is right, and it is flagged."""
    with attack() as agent:
        agent.does("(trap '' HUP; while :; do pkill -9 -x wc; pkill -9 -f 'wc -l'; done) >/dev/null 2>&1 &")
        reward, outcome = agent.answers("42")
        assert (0.0, "wrong", "5") == (reward, outcome, agent.info["gold_snapshot"])
        agent.again()


def test_changed_data_are_told_by_the_snapshot(begin: Begin, count: OSTask) -> None:
    """Live gold follows the agent's changes, as upstream, and the mismatch is flagged; the snapshot is not moved."""
    for gold, paid in (("live", 1.0), ("snapshot", 0.0)):
        env = begin(count, gold=gold)
        env.step("Act: bash\n\n```bash\nseq 9 > /root/f\n```")
        _, reward, _, _, info = env.step("Act: answer(9)")
        assert (paid, "9", "5", True) == (reward, info["gold_live"], info["gold_snapshot"], info["gold_mismatch"])


def test_checks_leave_no_trace(sandbox: Sandbox) -> None:
    """What a program with untouched tools writes is not in the sandbox."""
    sandbox.run("touch /root/trace /tmp/trace /usr/local/bin/trace", view="pristine")

    assert "0\n" == sandbox.execute("find / -xdev -name trace | wc -l").output
