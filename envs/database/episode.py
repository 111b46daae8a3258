"""Settings and state of an episode at a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from cmat_env.checks import check_known, check_share, check_whole
from cmat_env.envs.database.backend import Result, Row
from cmat_env.envs.database.codec import FORMAT_NAMES, FormatName
from cmat_env.envs.database.grade import GRADER_NAMES, GraderName
from cmat_env.envs.database.tasks import DBTask

WriteGrading = Literal["commit", "any_end"]


@dataclass(frozen=True, slots=True)
class DBSettings:
    """How an episode is played and graded.

    Attributes:
        action_format: "v0.2" = AgentBench's text, "tools" = tool calls.
        grader: "fc" (AgentBench main), "v0.2" or "strict" (ours).
        grade_writes: "commit" = a change counts once an answer is committed, "any_end" = however the episode ends.
        max_rounds: statements in format "v0.2" (an answer may follow them), turns in format "tools".
        max_observation: characters of what a statement gave; more are cut.
        max_rows_shown: rows of a result that are shown; None = all.
        demonstrator_error: share of wrong statements of the imperfect demonstrator.

    Raises:
        ConfigError: a setting is out of range.
    """

    action_format: FormatName = "v0.2"
    grader: GraderName = "fc"
    grade_writes: WriteGrading = "commit"
    max_rounds: int = 15
    max_observation: int = 800
    max_rows_shown: int | None = None
    demonstrator_error: float = 0.75

    def __post_init__(self) -> None:
        for name, known in (
            ("action_format", FORMAT_NAMES),
            ("grader", GRADER_NAMES),
            ("grade_writes", get_args(WriteGrading)),
        ):
            check_known(name, getattr(self, name), known)
        if self.max_rows_shown is not None:
            check_whole("max_rows_shown", self.max_rows_shown)
        for name in ("max_rounds", "max_observation"):
            check_whole(name, getattr(self, name))
        check_share("demonstrator_error", self.demonstrator_error)


@dataclass(frozen=True, slots=True)
class Episode:
    """The state of an episode beside its database.

    Attributes:
        task: what is to be done.
        gold: the right final rows of a write.
        over: has it ended?
        rounds: turns taken.
        executed: statements run.
        result: what the last of them gave.
        found: of the parts before, what a question's answer should have been, and what was found instead.
        sql_errors, truncations, timeouts: how many statements failed, gave more than was shown, were stopped.
    """

    task: DBTask
    gold: tuple[Row, ...] = ()
    over: bool = False
    rounds: int = 0
    executed: tuple[str, ...] = ()
    result: Result | None = None
    sql_errors: int = 0
    truncations: int = 0
    timeouts: int = 0
    found: Mapping[str, str] = field(default_factory=dict)

    def known(self) -> Mapping[str, str]:
        """What later parts know of this one's answer, and of those before."""
        rows = self.result.rows if self.result else ()
        if self.task.write or len(self.task.answers) != 1 or len(rows) != 1 or len(rows[0]) != 1:
            return self.found
        return {**self.found, self.task.answers[0]: str(rows[0][0])}

    @property
    def metrics(self) -> dict[str, int]:
        """What is told at the end."""
        return {
            "rounds": self.rounds,
            "statements": len(self.executed),
            "sql_errors": self.sql_errors,
            "truncations": self.truncations,
            "timeouts": self.timeouts,
        }
