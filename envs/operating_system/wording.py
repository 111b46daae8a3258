"""What an agent is told about a command: AgentBench's words, and ours for what happened to its shell."""

from __future__ import annotations

from cmat_env.envs.operating_system.shell import Event, ShellResult

EMPTY = "The output of the OS is empty."
OUTPUT = "The output of the OS:\n\n"
CUT = "\n[truncated because the output is too long]"
_CUT_BACK = 20

NOTES: dict[Event, str] = {
    "timeout": "[the command took too long: it was killed, with all background processes; the shell is as it was]",
    "output": "[the command wrote too much: it was killed, with all background processes; the shell is as it was]",
    "exited": "[the shell has ended; a new one was started in /root, without variables of the old one]",
    "restarted": "[the shell did not answer and was killed with all processes; a new one was started in /root]",
    "processes": "[over half of the allowed processes were running: all but the shell were killed]",
    "redirected": "[the shell's own output had been redirected or closed; it was put back]",
    "dead": "[the machine is gone]",
}


def shown(result: ShellResult, longest: int) -> tuple[str, bool]:
    """What is shown of a command's output, and whether something was cut.

    Args:
        result: of the command.
        longest: characters that are shown; a longer output is cut to 20 less.
    """
    text = result.output.rstrip("\n")
    cut = len(text) > longest or result.truncated
    return (text[: longest - _CUT_BACK] + CUT if cut else text), cut


def observation_of(text: str, event: Event) -> str:
    """What is shown of the output, in AgentBench's frame, and in brackets what happened to the shell."""
    seen = f"{OUTPUT}{text}" if text else EMPTY
    note = NOTES.get(event)
    return f"{seen}\n{note}" if note else seen
