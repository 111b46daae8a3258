"""A person at the terminal as a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from cmat_env.terminal import printable
from cmat_env.types import Dialogue, Generation, Message


class HumanLeft(KeyboardInterrupt):
    """The person closed the input (Ctrl-D) instead of answering; it passes through `except Exception`."""


class HumanPolicy:
    """Shows each dialogue's new messages and reads the reply, which may have several lines.

    An empty line ends the reply. Ctrl-D sends what has been typed, or leaves if that is nothing.

    Args:
        console: where to print; standard output by default.
        read_line: gives one line without its end, or raises EOFError at the end of the input; `input` by default.
    """

    def __init__(self, *, console: Console | None = None, read_line: Callable[[], str] | None = None) -> None:
        self.console = console or Console()
        self.read_line = read_line or input
        self._shown: WeakKeyDictionary[Dialogue, int] = WeakKeyDictionary()

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Ask for one reply a dialogue.

        Raises:
            HumanLeft: the input is closed.
        """
        return [Generation(self._ask(dialogue)) for dialogue in dialogues]

    def _ask(self, dialogue: Dialogue) -> str:
        for message in dialogue.messages[self._shown.get(dialogue, 0) :]:
            self.console.print(_panel(message))
        self._shown[dialogue] = len(dialogue.messages) + 1  # the reply itself need not be shown again
        prompt = f"You are the {dialogue.role}. End with an empty line; Ctrl-D leaves."
        self.console.print(Text(prompt, style="bold"))
        return self._read()

    def _read(self) -> str:
        lines: list[str] = []
        while True:
            try:
                line = self.read_line()
            except EOFError:
                if not lines:
                    raise HumanLeft from None
                break
            if not line.strip():
                break
            lines.append(line)
        return "\n".join(lines)


def _panel(message: Message) -> Panel:
    return Panel(Text(printable(message.content)), title=message.speaker, title_align="left")
