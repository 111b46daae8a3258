"""Operating-system tasks: what one is. `load` reads AgentBench's files, `generate` makes more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from cmat_env.errors import ConfigError
from cmat_env.types import Brief

Language = Literal["bash", "python"]
_SEVERAL_USERS = re.compile(r"\b(?:useradd|adduser|usermod|groupadd|addgroup|chown|chgrp|su|sudo|newusers)\b")


@dataclass(frozen=True, slots=True)
class Script:
    """A script of a task.

    Attributes:
        code: its text.
        language: "bash" or "python".
    """

    code: str
    language: Language = "bash"

    @property
    def typed(self) -> str:
        """As it is given to a shell."""
        if self.language == "bash":
            return self.code
        return f"python3 - <<'END_OF_SCRIPT'\n{self.code}\nEND_OF_SCRIPT"


@dataclass(frozen=True, slots=True)
class Match:
    """The answer that is right by itself.

    Attributes:
        answer: the exact text, or None.
        regex: or what is searched for in the answer.
        strip: are blanks around the agent's answer taken away first?
    """

    answer: str | None = None
    regex: str | None = None
    strip: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """One step of an evaluation by check.

    Attributes:
        kind: "example" = run the gold script; "checker" = one of the five of `checkers`, by name; "script" = run it.
        checker: the name.
        script: what is run.
    """

    kind: Literal["example", "checker", "script"]
    checker: str = ""
    script: Script | None = None


@dataclass(frozen=True, slots=True)
class OSTask:
    """Something to do or to find out on a machine.

    Attributes:
        id: names the task in its source.
        family: its type.
        description: what is asked.
        init: scripts that prepare the machine.
        start: lines typed into the live shell before the agent comes.
        match: the right answer by itself; else `checks` decide, in order.
        checks: each must succeed; what one prints is an argument of the next.
        example: the gold script.
        slip: bash of somebody who has overlooked one thing, for the imperfect demonstrator; "" = none is known.
        split: where a generated task belongs, or its file.
        known_bad: what is wrong with it as it stands; "" = nothing is known.
        wordings: all ways to say the description of a generated task, itself among them.

    Raises:
        ConfigError: nothing says what is right.
    """

    id: str
    family: str
    description: str
    init: tuple[Script, ...] = ()
    start: str = ""
    match: Match | None = None
    checks: tuple[Check, ...] = ()
    example: Script | None = None
    slip: str = ""
    split: str = ""
    known_bad: str = ""
    wordings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.match is None and not self.checks:
            raise ConfigError(f"task {self.id!r} has neither match nor checks; say what is right")
        if self.example is None and self.compares:
            raise ConfigError(f"task {self.id!r} checks against its example, but has none; give one")

    @property
    def brief(self) -> Brief | None:
        """What the user of a generated task wants and knows; None = no more than the statement."""
        return Brief("", (self.description,), (self.wordings,)) if self.wordings else None

    @property
    def scripts(self) -> tuple[str, ...]:
        """What the demonstrator may type: the gold script, then the slip, if there are any."""
        gold = () if self.example is None else (self.example.typed,)
        return (*gold, self.slip) if self.slip else gold

    @property
    def compares(self) -> bool:
        """Is the answer compared with what the example gives?"""
        return any(check.kind == "example" for check in self.checks)

    @property
    def needs_users(self) -> bool:
        """Does it seem to need users beside root, which a sandbox with a single user id lacks?"""
        scripts = [*self.init, *([self.example] if self.example else []), Script(self.start)]
        scripts += [check.script for check in self.checks if check.script is not None]
        return any(_SEVERAL_USERS.search(script.code) for script in scripts)
