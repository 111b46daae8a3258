"""Policies that follow a rule: gold, demonstrator, oracle checker, random, echo, and checkers of a fixed mind.

Each of them reads the dialogue alone, so a reply depends on the dialogue, its seed and the turn, never on the batch.
The oracles (`GoldPolicy`, `DemonstratorPolicy`, `OracleChecker`) also meet the task of every episode through `begin`;
so does `RandomPolicy`, to ask it what can be done.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from cmat_env.errors import ConfigError
from cmat_env.lessons import Lessons, asked_to_reflect
from cmat_env.policies.extras import extra, optional, task_of
from cmat_env.policies.offered import any_of, moves_in, offered_by
from cmat_env.types import Dialogue, Generation, Judgement, Task

APPROVE = "Verdict: approve"
REVISE = "Verdict: revise"
REFUSAL = f"{REVISE}. Try again."
"""How every scripted checker refuses: a small model that was taught by one understands the others."""

_WORDS = (
    *("select", "count", "table", "name", "city", "price", "value", "where", "rows"),
    *("42", "7", "'x'", "*", "=", ";"),
)
_SHAPES = (
    "Action: Operation\n```sql\nSELECT {0} FROM {1}\n```",
    "Action: Operation\n```sql\nDELETE FROM {1} WHERE {0} = {2}\n```",
    "SELECT {0}, COUNT(*) FROM {1} GROUP BY {2}",
    'Action: Answer\nFinal Answer: ["{0}"]',
    "{0} {1} {2}",
    "{0}",
)


class EchoPolicy:
    """Repeats the last message; as the user it states the task word for word."""

    reflects = False

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue with its last message, "" if it has none."""
        return [Generation(_last(dialogue)) for dialogue in dialogues]


class RandomPolicy:
    """One of the task's `candidates()` or of what the observation lists, all alike probable; as the checker a verdict.

    Where nothing is listed it writes junk that looks a little like SQL. A search is for two words of a fixed list of
    goods. It draws from no global random state: the same dialogue, seed and turn give the same text.
    """

    reflects = False

    def __init__(self) -> None:
        self._candidates: WeakKeyDictionary[Dialogue, Callable[[], list[str]]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[RandomPolicy], tuple[()]]:
        """In another process it has met nobody; what it draws is the same."""
        return type(self), ()

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Find out whether the task says what can be done."""
        candidates = optional(task, "candidates") if dialogue.role not in ("user", "checker") else None
        if candidates is not None:
            self._candidates[dialogue] = candidates

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue with text drawn from its own stream of random numbers."""
        return [Generation(self._text(dialogue, random.Random(stream_of(dialogue, seed)))) for dialogue in dialogues]

    def _text(self, dialogue: Dialogue, rng: random.Random) -> str:
        if dialogue.role == "checker":
            return rng.choice((APPROVE, f"{REVISE}. {_junk(rng)}"))
        if dialogue in self._candidates and (candidates := self._candidates[dialogue]()):
            return rng.choice(candidates)
        offered = offered_by(_last(dialogue)) if dialogue.role != "user" else {}
        if offered:
            return any_of(offered, rng, messages=dialogue.messages)
        if moves := moves_in(_last(dialogue)):
            return rng.choice(moves)
        if rng.random() < 0.1:
            return _junk(rng)
        return rng.choice(_SHAPES).format(*(rng.choice(_WORDS) for _ in range(3)))


class ApprovePolicy:
    """A checker that approves everything."""

    reflects = False

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Approve the proposal of each dialogue."""
        return [Generation(APPROVE) for _ in dialogues]


class CoinPolicy:
    """A checker that tosses a coin, whatever it was shown.

    Raises:
        ConfigError: p_revise is not a probability.
    """

    reflects = False

    def __init__(self, p_revise: float) -> None:
        if not 0.0 <= p_revise <= 1.0:
            raise ConfigError(f"p_revise={p_revise} is no probability; give a number from 0 to 1, such as 0.3")
        self.p_revise = p_revise

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Ask for a revision with probability p_revise, else approve."""
        return [Generation(REFUSAL if self._revises(dialogue, seed) else APPROVE) for dialogue in dialogues]

    def _revises(self, dialogue: Dialogue, seed: int) -> bool:
        return random.Random(stream_of(dialogue, seed)).random() < self.p_revise


class OracleChecker:
    """A checker that asks the task itself whether the proposal is good; where the task has no opinion, it is.

    It finds the proposal in the message by the words around it, which are the defaults of `collab.Wording`.

    Args:
        refuse_bad: how often it refuses a bad proposal.
        refuse_good: how often a good one; as often as a bad one = a coin.
        before: what stands before the proposal.
        after: what may stand after the proposal.

    Raises:
        ConfigError: one of the two is not a probability.
    """

    def __init__(
        self,
        *,
        refuse_bad: float = 1.0,
        refuse_good: float = 0.0,
        before: str = "Proposal:\n",
        after: str = "\nDry run:",
    ) -> None:
        for name, share in (("refuse_bad", refuse_bad), ("refuse_good", refuse_good)):
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"{name}={share} is no probability; give a number from 0 to 1, such as 0.3")
        self.refuse_bad = refuse_bad
        self.refuse_good = refuse_good
        self.before = before
        self.after = after
        self._tasks: WeakKeyDictionary[Dialogue, Task] = WeakKeyDictionary()

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Meet the task that will judge the proposals of this episode."""
        self._tasks[dialogue] = task

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Give the task's own judgement of each proposal as a verdict."""
        return [Generation(REFUSAL if self._refuses(dialogue, seed) else APPROVE) for dialogue in dialogues]

    def _refuses(self, dialogue: Dialogue, seed: int) -> bool:
        judge = optional(task_of(self._tasks, dialogue, "oracle"), "judge")
        judgement: Judgement | None = judge(self.proposal(_last(dialogue))) if judge is not None else None
        good = judgement is None or judgement.good
        share = self.refuse_good if good else self.refuse_bad
        return random.Random(stream_of(dialogue, seed)).random() < share

    def proposal(self, message: str) -> str:
        """The proposed action in a message to the checker."""
        _, mark, proposal = message.rpartition(self.before)
        return proposal.rpartition(self.after)[0] or proposal if mark else message


class GoldPolicy:
    """Plays the task's own solution: the upper bound of an evaluation, and a test of the task.

    As the user it states the task word for word; as the checker it is an `OracleChecker`.
    A refused action is proposed again; after the last action of the solution it repeats that one.
    A task whose solution depends on what it has shown is asked for the next action at every turn (`solve`).
    """

    def __init__(self) -> None:
        self._solutions: WeakKeyDictionary[Dialogue, list[str]] = WeakKeyDictionary()
        self._solvers: WeakKeyDictionary[Dialogue, Callable[[], str]] = WeakKeyDictionary()
        self._checker = OracleChecker()

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Read the solution of the task of this episode.

        Raises:
            ConfigError: the task has no solution to play.
        """
        if dialogue.role == "checker":
            self._checker.begin(dialogue, task)
        elif dialogue.role != "user" and (solve := optional(task, "solve")) is not None:
            self._solvers[dialogue] = solve
        elif dialogue.role != "user":
            self._solutions[dialogue] = list(extra(task, "solution", "gold")())
            if not self._solutions[dialogue]:
                raise ConfigError(f"{type(task).__name__}.solution() is empty; the gold policy needs an action")

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue with the next action of its solution."""
        return [self._answer(dialogue, seed) for dialogue in dialogues]

    def _answer(self, dialogue: Dialogue, seed: int) -> Generation:
        if dialogue.role == "checker":
            return self._checker.generate([dialogue], seed=seed)[0]
        if dialogue.role == "user":
            return Generation(_last(dialogue))
        if dialogue in self._solvers:
            return Generation(self._solvers[dialogue]())
        solution = task_of(self._solutions, dialogue, "gold")
        refused = sum(message.speaker == "checker" for message in dialogue.messages)
        return Generation(solution[min(dialogue.replies - refused, len(solution) - 1)])


class DemonstratorPolicy:
    """Plays the task's imperfect demonstrator, which is told what the checker refused in this turn.

    A task without one is played by its solution, as `GoldPolicy` does; so are user and checker.

    Args:
        reflects: does it reflect on failures, and heed what its prompt tells of earlier trials and tasks? The task must
            have `demonstrate(rng, rejected, lessons)` and `lesson(rng)` for that.
    """

    def __init__(self, *, reflects: bool = False) -> None:
        self.reflects = reflects
        self._tasks: WeakKeyDictionary[Dialogue, Task] = WeakKeyDictionary()
        self._gold = GoldPolicy()

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """Meet the task of this episode.

        Raises:
            ConfigError: the task has neither a demonstrator nor a solution, or none that reflects where it should.
        """
        if self.reflects:
            extra(task, "lesson", "reflecting demonstrator")
        if dialogue.role not in ("user", "checker") and optional(task, "demonstrate") is not None:
            self._tasks[dialogue] = task
        else:
            self._gold.begin(dialogue, task)

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue with the demonstrator's next action."""
        return [self._answer(dialogue, seed) for dialogue in dialogues]

    def _answer(self, dialogue: Dialogue, seed: int) -> Generation:
        if dialogue not in self._tasks:
            return self._gold.generate([dialogue], seed=seed)[0]
        task, rng = self._tasks[dialogue], random.Random(stream_of(dialogue, seed))
        demonstrate, refused = extra(task, "demonstrate", "demonstrator"), refused_proposals(dialogue)
        if not self.reflects:
            return Generation(demonstrate(rng, refused))
        if asked_to_reflect(_last(dialogue)):
            return Generation(extra(task, "lesson", "demonstrator")(rng))
        first = dialogue.messages[0]
        return Generation(demonstrate(rng, refused, Lessons.of(first.content if first.speaker == "system" else "")))


def refused_proposals(dialogue: Dialogue) -> list[str]:
    """The role's own proposals that the checker has refused since anybody else spoke, oldest first."""
    refused: list[str] = []
    messages = dialogue.messages
    end = len(messages)
    while end >= 2 and messages[end - 1].speaker == "checker" and messages[end - 2].speaker == dialogue.role:
        refused.insert(0, messages[end - 2].content)
        end -= 2
    return refused


def _last(dialogue: Dialogue) -> str:
    return dialogue.messages[-1].content if dialogue.messages else ""


def _junk(rng: random.Random) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, 6)))


def stream_of(dialogue: Dialogue, seed: int) -> int:
    """A 128-bit seed from all that a reply may depend on."""
    key = f"{seed}/{dialogue.seed}/{dialogue.role}/{dialogue.replies}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
