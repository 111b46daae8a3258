"""The person at the terminal: several lines, end of input, and nothing that steers the terminal."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from cmat_env.policies.human import HumanLeft, HumanPolicy
from cmat_env.types import Dialogue, Generation, Message


def typing(*lines: str) -> Callable[[], str]:
    """A keyboard that gives these lines and then the end of the input."""
    left = list(lines)

    def read() -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    return read


def person(*lines: str) -> tuple[HumanPolicy, StringIO]:
    """A policy that types these lines, and the screen it looks at."""
    screen = StringIO()
    return HumanPolicy(console=Console(file=screen, width=60), read_line=typing(*lines)), screen


def test_an_empty_line_ends_a_reply_of_several_lines() -> None:
    """Lines are joined as typed; what follows belongs to the next reply."""
    policy, _ = person("SELECT 1", "FROM t", "", "done", "")
    talk = Dialogue("assistant", messages=[Message("user", "go")])

    assert ["SELECT 1\nFROM t", "done"] == [policy.generate([talk], seed=0)[0].text for _ in range(2)]


def test_only_new_messages_are_shown() -> None:
    """A message is shown once, and the person's own reply is not repeated."""
    policy, screen = person("first", "", "second", "")
    talk = Dialogue("assistant", messages=[Message("user", "the question")])
    talk.reply(policy.generate([talk], seed=0)[0])
    talk.say(Message("environment", "the rows"))
    talk.reply(policy.generate([talk], seed=0)[0])

    assert (1, 1, 0) == tuple(screen.getvalue().count(words) for words in ("the question", "the rows", "first"))


def test_end_of_input_sends_what_was_typed_and_then_leaves() -> None:
    """Ctrl-D after a line ends the reply; Ctrl-D alone leaves, through any `except Exception`."""
    policy, _ = person("half a reply")
    talk = Dialogue("assistant")

    assert [Generation("half a reply")] == policy.generate([talk], seed=0)
    with pytest.raises(HumanLeft):
        policy.generate([talk], seed=0)
    assert not issubclass(HumanLeft, Exception)


def test_what_others_say_cannot_steer_the_terminal() -> None:
    """Escape sequences and markup are shown as text."""
    policy, screen = person("ok", "")
    policy.generate([Dialogue("assistant", messages=[Message("environment", "\x1b[2J [red]x[/red]")])], seed=0)

    assert "\x1b" not in screen.getvalue()
    assert "␛[2J [red]x[/red]" in screen.getvalue()
