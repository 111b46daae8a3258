"""What long-term memory holds, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass

from cmat_env.agents.memory_rules import retention


@dataclass(frozen=True, slots=True)
class NewMemory:
    """What is to be remembered.

    Attributes:
        role: whose memory it is.
        family: of tasks, such as "cmat/DB-v0".
        text: what is recalled.
        cue: what brings it back beside its own words, such as the statement of the task.
        outcome: of the episode it comes from, such as "wrong".
        task: id of that task.
        kind: "reflection" or "experience".
        uses: how often it has been tried already, such as a reflection in the trial after it.
        helped: how often that was a success.
    """

    role: str
    family: str
    text: str
    cue: str = ""
    outcome: str = ""
    task: str = ""
    kind: str = "reflection"
    uses: int = 0
    helped: int = 0


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """What is remembered; see `NewMemory` for the rest.

    Attributes:
        id: never given twice in a file.
        namespace: who can recall it.
        strength: in units of the clock; the larger, the slower it fades.
        made, used: when it was written, and last recalled or written.
        uses: in how many episodes it was recalled.
        helped: how many of them were a success.
        compressed: was it shortened?
    """

    id: int
    namespace: str
    role: str
    family: str
    text: str
    cue: str
    outcome: str
    task: str
    kind: str
    strength: float
    made: float
    used: float
    uses: int
    helped: int
    compressed: bool

    def retention(self, now: float) -> float:
        """How much of it is left at a time."""
        return retention(now - self.used, self.strength)
