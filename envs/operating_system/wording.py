"""What an agent is told about a command: AgentBench's words, and ours for what happened to its shell."""

from __future__ import annotations

from dataclasses import dataclass

from cmat_env.checks import check_whole
from cmat_env.envs.operating_system.shell import Event, ShellResult
from cmat_env.errors import ConfigError

EMPTY = "The output of the OS is empty."
OUTPUT = "The output of the OS:\n\n"
CUT = "\n[truncated because the output is too long]"
CUT_BACK = 20


@dataclass(frozen=True, slots=True)
class Wording:
    """The frame of an observation, by default AgentBench's.

    Attributes:
        output: stands before what a script printed.
        empty: stands for no output.
        cut: stands after output that was cut.
        cut_back: by how many characters a longer output is cut shorter than what may be shown.
    """

    output: str = OUTPUT
    empty: str = EMPTY
    cut: str = CUT
    cut_back: int = CUT_BACK

    def __post_init__(self) -> None:
        for name in ("output", "empty", "cut"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"wording.{name}={getattr(self, name)!r}: wanted text")
        check_whole("wording.cut_back", self.cut_back, least=0)


AGENTBENCH = Wording()
NOTES: dict[Event, str] = {
    "timeout": "[the command took too long: it was killed, with all background processes; the shell is as it was]",
    "output": "[the command wrote too much: it was killed, with all background processes; the shell is as it was]",
    "exited": "[the shell has ended; a new one was started in /root, without variables of the old one]",
    "restarted": "[the shell did not answer and was killed with all processes; a new one was started in /root]",
    "processes": "[over half of the allowed processes were running: all but the shell were killed]",
    "redirected": "[the shell's own output had been redirected or closed; it was put back]",
    "dead": "[the machine is gone]",
}


def shown(result: ShellResult, longest: int, wording: Wording = AGENTBENCH) -> tuple[str, bool]:
    """What is shown of a command's output, and whether something was cut.

    Args:
        result: of the command.
        longest: characters that are shown; a longer output is cut to `wording.cut_back` less.
        wording: the words of an observation.
    """
    text = result.output.rstrip("\n")
    cut = len(text) > longest or result.truncated
    return (text[: max(0, longest - wording.cut_back)] + wording.cut if cut else text), cut


def observation_of(text: str, event: Event, wording: Wording = AGENTBENCH) -> str:
    """What is shown of the output, in its frame, and in brackets what happened to the shell."""
    seen = f"{wording.output}{text}" if text else wording.empty
    note = NOTES.get(event)
    return f"{seen}\n{note}" if note else seen
