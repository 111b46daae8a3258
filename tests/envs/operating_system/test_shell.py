"""The live shell and programs beside it: state, output to the last byte, quoting, cleaning."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from cmat_env.envs.operating_system import Sandbox, SandboxError, SandboxSettings
from cmat_env.envs.operating_system.backends import bubblewrap
from cmat_env.envs.operating_system.clean import clean
from cmat_env.envs.operating_system.markers import quoted
from cmat_env.errors import ConfigError


def test_state_is_kept_from_command_to_command(sandbox: Sandbox) -> None:
    """Folder, variables, functions, options, jobs and the last exit status."""
    sandbox.execute("cd /tmp; x=5; f() { echo f$1; }; alias g='echo g'; set -f; sleep 60 &")

    assert "/tmp 5 f1\n" == sandbox.execute("echo $(pwd) $x $(f 1)").output
    assert "g\n*\n1\n" == sandbox.execute("g; echo *; jobs -r | wc -l").output
    assert 3 == sandbox.execute("(exit 3)").status
    assert "3\n" == sandbox.execute("echo $?").output
    sandbox.execute("trap 'echo failed' ERR; (exit 4)")
    assert "4\n" == sandbox.execute("echo $?").output  # which sets off no trap


def test_errors_and_output_come_together(sandbox: Sandbox) -> None:
    """In the order in which they were written; unfinished syntax is an error and no hang."""
    assert "a\nb\nc\n" == sandbox.execute("echo a; echo b >&2; echo c").output
    result = sandbox.execute("echo 'never closed")
    assert "unexpected EOF" in result.output and result.status != 0
    assert "no newline" == sandbox.execute("printf 'no newline'").output
    assert "" == sandbox.execute("").output


def test_typed_lines_reach_the_shell_itself(settings: SandboxSettings) -> None:
    """`su - jack` leaves jack's shell to the agent, who can leave it again."""
    with Sandbox(replace(settings, seconds=3.0)) as sandbox:
        if sandbox.backend == "single-uid":
            pytest.skip("one user only")
        sandbox.run("useradd -m -s /bin/bash jack")
        sandbox.type_in("su - jack")

        assert "jack /home/jack\n" == sandbox.execute("echo $(whoami) $(pwd)").output
        assert "timeout" == sandbox.execute("sleep 60").event
        assert "jack\n" == sandbox.execute("whoami").output


def test_what_ends_an_old_shell_does_not_end_the_new_one(
    settings: SandboxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late the sandbox's first process does what it is told, as on a busy machine."""
    late = bubblewrap.WARDEN.replace("all) kill", "all) for ((i = 0; i < 200000; i++)); do :; done; kill")
    assert late != bubblewrap.WARDEN
    monkeypatch.setattr(bubblewrap, "WARDEN", late)
    with Sandbox(settings) as sandbox:
        assert "exited" == sandbox.execute("exit").event
        seen = [sandbox.execute(f"sleep 0.1; echo {number}") for number in range(10)]

    assert [(f"{number}\n", "") for number in range(10)] == [(each.output, each.event) for each in seen]


def test_no_output_is_lost_in_2000_runs(settings: SandboxSettings) -> None:
    """A line that is written last is read, however the process ends: a lost line would be a wrong reward.

    A thousand commands of the live shell and a thousand programs beside it, in four sandboxes at once.
    """
    script = "echo $BASHPID >/dev/null; (echo deep | cat); echo last"
    wanted = "deep\nlast\n"

    def lost(part: int) -> list[str]:
        with Sandbox(settings) as sandbox:
            seen = [sandbox.execute(script).output for _ in range(250)]
            seen += [sandbox.run(script).stdout.decode() for _ in range(250)]
        return [text for text in seen if text != wanted]

    with ThreadPoolExecutor(4) as pool:
        assert [[]] * 4 == list(pool.map(lost, range(4)))


def test_programs_beside_the_shell(sandbox: Sandbox) -> None:
    """Bash and Python with arguments, exit status, both streams, a time limit, and a limit on output."""
    done = sandbox.run('echo "$1"; echo err >&2; exit 3', args=["a b"])
    assert (3, b"a b\n", b"err\n") == (done.status, done.stdout, done.stderr)
    assert b"['-c', 'x']\n" == sandbox.run("import sys; print(sys.argv)", language="python", args=["x"]).stdout
    slow = sandbox.run("echo begun; sleep 60", seconds=0.3)
    assert (True, b"begun\n") == (slow.timed_out, slow.stdout)
    loud = sandbox.run("yes")
    assert loud.truncated and sandbox.settings.output == len(loud.stdout)
    assert b"left\n" == sandbox.run("echo left; sleep 50 &").stdout


def test_the_snapshot_is_the_past(sandbox: Sandbox) -> None:
    """Files as they were, whatever is done later; deleted ones are there again."""
    sandbox.run("echo 1 > f; mkdir d; rm /usr/bin/wc")
    sandbox.snapshot()
    sandbox.execute("echo 2 > f; rm -r d; touch g")

    assert (
        b"d f 1\nno wc\n"
        == sandbox.run("echo $(ls) $(cat f); type wc >/dev/null 2>&1 || echo no wc", view="snapshot").stdout
    )
    assert b"f g 2\n" == sandbox.run("echo $(ls) $(cat f)", view="pristine").stdout
    assert b"3\n" == sandbox.run("seq 3 | wc -l", view="pristine").stdout
    assert 127 == sandbox.execute("wc f").status


def test_commands_that_the_agent_added_are_found_by_checks(sandbox: Sandbox) -> None:
    """A task may ask for a new command; an added one never hides one of the system's."""
    sandbox.execute(
        "printf '#!/bin/sh\\necho mine\\n' | tee /usr/local/bin/calc > /usr/local/bin/wc; chmod +x /usr/local/bin/*"
    )

    assert b"mine\n" == sandbox.run("calc", view="pristine").stdout
    assert b"1\n" == sandbox.run("echo | wc -l", view="pristine").stdout


def test_data_beside_the_system_s_folders_are_found_by_checks(sandbox: Sandbox) -> None:
    """AgentBench puts /usr/stock.log there; nothing comes in where programs or their parts are looked for."""
    sandbox.execute(
        "cd /usr; mkdir data local/data libexec lib32 lib64 2>/dev/null; rm -r games; "
        "echo 7 | tee stock.log data/f local/data/f >/dev/null; "
        "echo evil | tee lib/evil share/evil libexec/evil lib32/evil lib64/evil local/share/evil >/dev/null"
    )
    for _ in range(2):
        seen = sandbox.run("cat /usr/stock.log /usr/data/f /usr/local/data/f; find /usr -name evil", view="pristine")
        assert b"7\n7\n7\n" == seen.stdout
    sandbox.execute("echo 8 > /usr/stock.log; rm -r /usr/data")
    seen = sandbox.run("cat /usr/stock.log; ls -d /usr/data /usr/games | wc -l", view="pristine")
    assert b"8\n1\n" == seen.stdout


@pytest.mark.parametrize("way_out", ["/", "/proc/1/root", "/proc/self/fd", "/etc/shadow", "/mnt/box"])
def test_links_beside_the_system_s_folders_lead_nowhere(sandbox: Sandbox, way_out: str) -> None:
    """They are read inside; a /usr that is itself a link is the untouched one."""
    sandbox.execute(f"ln -s {way_out} /usr/out; rm -rf /usr/local; ln -s {way_out} /usr/local; mkfifo /usr/p")
    seen = sandbox.run("readlink /usr/out; test -d /usr/local/bin && test ! -L /usr/local; echo $?", view="pristine")

    assert f"{way_out}\n0\n".encode() == seen.stdout


def test_mistakes_of_a_user_are_errors(settings: SandboxSettings) -> None:
    """They say what came and what was wanted; a closed sandbox says so."""
    with pytest.raises(ConfigError, match="no setting 'memry'"):
        Sandbox(settings, memry=1)
    for wrong in ({"disk": 1 << 40}, {"seconds": 0}, {"backend": "chroot"}, {"rootfs": "/nowhere"}):
        with pytest.raises(ConfigError):
            Sandbox(settings, **wrong)
    sandbox = Sandbox(settings)
    with pytest.raises(ConfigError, match="cannot be an argument"):
        sandbox.run("x" * 200_000)
    with pytest.raises(ConfigError, match="language"):
        sandbox.run("1", language="perl")  # type: ignore[arg-type]
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxError, match="dead"):
        sandbox.run("true")
    assert "dead" == sandbox.execute("true").event
    assert not sandbox.alive


@how(max_examples=200, deadline=None)
@given(st.text())
def test_quoting_is_safe_for_any_text(text: str) -> None:
    """A word of bash in one line, of nothing that bash would read otherwise."""
    word = quoted(text)

    assert "\n" not in word and "\0" not in word
    assert word.startswith(("'", "$'")) and "'" not in word[word.index("'") + 1 : -1]


def test_quoted_text_is_what_bash_reads(sandbox: Sandbox) -> None:
    """Every byte but NUL comes through."""
    text = "".join(map(chr, range(1, 0x250))) + "☃\U0001f600'\"\\$`!"
    done = sandbox.run(f"printf %s {quoted(text)} | od -An -v -tx1 | tr -d ' \\n'")

    assert text.encode().hex() == done.stdout.decode()


@given(st.binary(max_size=200))
def test_cleaned_output_has_no_control_characters(data: bytes) -> None:
    """Whatever bytes come."""
    assert [] == [sign for sign in clean(data) if (ord(sign) < 32 and sign not in "\n\t") or 127 <= ord(sign) < 160]
