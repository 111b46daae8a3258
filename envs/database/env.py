"""`cmat/DB-v0`: work a database by SQL until a question is answered or a change is made, as AgentBench's dbbench.

observation: the task, then what each statement gave, as `str` of a list of row tuples or an error text
action:      any text; a codec finds statements and the answer in it
reward:      0 or 1, at the end
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cmat_env.envs.database.backend import Backend
from cmat_env.envs.database.choice import open_backend
from cmat_env.envs.database.codec import CODECS, Answer, Codec, FormatName, Malformed, Move, Query
from cmat_env.envs.database.demonstrate import DONE, next_action, plan, spoken_of
from cmat_env.envs.database.episode import DBSettings, Episode, WriteGrading
from cmat_env.envs.database.gold import Gold, final_rows
from cmat_env.envs.database.grade import GRADERS, GraderName, grade_table
from cmat_env.envs.database.judge import judge_result
from cmat_env.envs.database.source import open_source
from cmat_env.envs.database.sqlite import DialectName
from cmat_env.envs.database.tasks import DBTask
from cmat_env.envs.source import Generated
from cmat_env.envs.task_env import RestorableEnv, Snapshot
from cmat_env.envs.tool_calls import MAX_CALLS
from cmat_env.lessons import NOTHING, Lessons, reflection
from cmat_env.protocols import Uniform
from cmat_env.spaces import AnyText
from cmat_env.types import Judgement

TRUNCATED = "[TRUNCATED]"
TIMED_OUT = "Error: SQL execution timed out."
_WRONG_LABEL = "its own statement does not give its answer_md5"


class DBEnv(RestorableEnv[DBTask, Episode]):
    """One agent at a database.

    Args:
        tasks: "generated:train", "generated:dev", "generated:heldout", "generated:unseen_words", the path of a dbbench
            file, or the tasks themselves.
        level: of generated tasks.
        families: of generated tasks; by default all of the level.
        dialect: "mysql" (8, as AgentBench's), "mariadb" (10.11, see docs/db.md) or "sqlite"; None = "sqlite" for
            generated tasks, else "mysql". But for "sqlite", every column is text as in AgentBench, so that MAX and
            ORDER BY of a generated task compare text.
        backend: "sqlite" = an embedded one of that dialect, "mariadb" = a private server of this process, a URL such as
            "mysql://root:secret@HOST/" = that server, or a `Backend`.
        action_format, grader, grade_writes, max_rounds, max_observation, max_rows_shown, demonstrator_error: see
            `DBSettings`.

    `reset(seed=, options={"task": ...})`: of generated tasks, each seed has its own; of a list, seeds go round it;
    options name one by id or number. At the end, infos hold success, score, outcome ("correct", "wrong", "format" or
    "round limit"), metrics, and rows_match for a write: are the rows exactly right?

    Raises:
        ConfigError, UnknownNameError, TaskFileError: an argument is not what it should be.
    """

    def __init__(
        self,
        tasks: str | Path | Sequence[DBTask] = "generated:train",
        *,
        level: int = 1,
        families: Sequence[str] = (),
        dialect: DialectName | None = None,
        backend: Backend | str | None = None,
        action_format: FormatName = "v0.2",
        grader: GraderName = "fc",
        grade_writes: WriteGrading = "commit",
        max_rounds: int = 15,
        max_observation: int = 800,
        max_rows_shown: int | None = None,
        demonstrator_error: float = 0.75,
    ) -> None:
        self.settings = DBSettings(
            action_format, grader, grade_writes, max_rounds, max_observation, max_rows_shown, demonstrator_error
        )
        self.source = open_source(tasks, level=level, only=families)
        self.task_types = self.source.families
        usual: DialectName = "sqlite" if isinstance(self.source, Generated) else "mysql"
        self.backend: Backend = open_backend(backend, dialect, usual=usual)
        self.dialect: DialectName = getattr(self.backend, "dialect", dialect or usual)
        self.observation_space = AnyText(max(100_000, MAX_CALLS * (max_observation + 100)))
        self.action_space = AnyText(1_000_000)
        self._gold = Gold(self.backend)

    @property
    def codec(self) -> Codec:
        """How actions are written."""
        return CODECS[self.settings.action_format]

    @property
    def instructions(self) -> str:
        """AgentBench's prompt for the action format, with the database's own name."""
        text = self.codec.instructions
        return text if self.dialect != "sqlite" else text.replace("MySQL", "SQLite")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        Raises:
            UnknownNameError: options["task"] names no task.
            ConfigError: the reference of a write whose ending is not given otherwise does not run.
        """
        return self.begin(self._pick(seed, options))

    def begin(self, task: DBTask, *, fresh: bool = True) -> tuple[str, dict[str, Any]]:
        """Begin an episode of this task.

        Args:
            task: any.
            fresh: on its own tables; else on the database as it is.

        Raises:
            ConfigError: the reference of a write whose ending is not given otherwise does not run.
        """
        gold = self._gold.rows(task) if task.write else ()
        before = self._episode
        found = {} if fresh or before is None else before.known()
        if fresh:
            self.backend.load(task.tables)
        self._episode = Episode(task, gold, found=found)
        info: dict[str, Any] = {"task_id": task.id, "task_type": task.family}
        if task.known_bad or self._gold.label_is_wrong(task, gold):
            info["known_bad"] = task.known_bad or _WRONG_LABEL
        return self.codec.state(task.description, task.add_description, task.evidence), info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one turn; whatever is no text counts as an empty one.

        Raises:
            ResetNeeded: the episode is over, or none has begun.
        """
        state = self._running()
        last_round = self._in_last_round(state)
        self._episode = replace(state, rounds=state.rounds + 1)
        seen: list[str] = []
        for move in self.codec.parse(action if isinstance(action, str) else "", last_round=last_round):
            if isinstance(move, Query):
                seen.append(self._execute(move.sql))
            elif isinstance(move, Answer):
                return self._end("wrong", seen, committed=True, given=move.given)
            elif move.message is not None:
                seen.append(move.message)
            elif not last_round:
                return self._end("format", seen)
        if last_round:
            return self._end("round limit", seen)
        return "\n".join(seen), 0.0, False, False, self._info()

    def _in_last_round(self, state: Episode) -> bool:
        """Format "v0.2" counts statements and lets an answer follow them; "tools" counts turns."""
        return state.rounds >= self.settings.max_rounds - (self.settings.action_format == "tools")

    def _info(self) -> dict[str, Any]:
        return {"task_id": self.task.id, "task_type": self.task.family}

    def _execute(self, sql: str) -> str:
        """Run a statement, count what happened, and show what it gave."""
        result = self.backend.execute(sql)
        limit, shown = self.settings.max_observation, result.rows[: self.settings.max_rows_shown]
        cut = result.truncated or len(shown) < len(result.rows)
        text = str(list(shown)) if result.error is None else result.error
        if result.timed_out and self.settings.action_format == "tools":
            text = TIMED_OUT
        if len(text) > limit or cut:
            cut, text = True, text[:limit] + TRUNCATED
        state = self._state
        self._episode = replace(
            state,
            executed=(*state.executed, sql),
            result=result,
            sql_errors=state.sql_errors + (result.error is not None),
            truncations=state.truncations + cut,
            timeouts=state.timeouts + result.timed_out,
        )
        return text

    def _end(
        self, outcome: str, seen: Sequence[str], *, committed: bool = False, given: object = None
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Grade and close the episode."""
        state = self._episode = replace(self._state, over=True)
        info = self._info()
        if state.task.write:
            right, info["rows_match"] = self._table_is_right(state)
            success = right and (committed or self.settings.grade_writes == "any_end")
        else:
            success = committed and GRADERS[self.settings.grader](given, state.task.answers)
        score = 1.0 if success else 0.0
        info["success"], info["score"], info["outcome"] = success, score, "correct" if success else outcome
        info["metrics"] = state.metrics
        truncated = outcome == "round limit"
        return "\n".join(seen), score, not truncated, truncated, info

    def _table_is_right(self, state: Episode) -> tuple[bool, bool]:
        """By the grader's rule, and row by row."""
        task = state.task
        return grade_table(final_rows(self.backend, task), state.gold, grader=self.settings.grader, md5=task.answer_md5)

    def solution(self) -> list[str]:
        """The actions of a right episode; see `solution_of`."""
        return self.solution_of(self.task)

    def solution_of(self, task: DBTask) -> list[str]:
        """The actions that solve a task: the reference where there is one, then the label or "done"."""
        first = [] if task.reference is None else [self.codec.query(task.reference)]
        return [*first, self.codec.answer(DONE if task.write else task.answers)]

    def plan(self, rng: Uniform, *, right: bool = False) -> tuple[str, ...]:
        """What the demonstrator would do if it had to try the task again.

        Args:
            rng: as of `demonstrate`.
            right: has the statement that it executed last turned out to be right? Then it is that one, else another.
        """
        state = self._state
        task, error = spoken_of(state.task, state.found), self.settings.demonstrator_error
        return state.executed[-1:] if right else plan(task, rng, error=error, executed=state.executed)

    def lesson(self, rng: Uniform) -> str:
        """The demonstrator's reflection on an episode that failed."""
        return reflection(self.plan(rng))

    def demonstrate(self, rng: Uniform, rejected: Sequence[str] = (), lessons: Lessons = NOTHING) -> str:
        """The next action of the imperfect demonstrator.

        Args:
            rng: a `random.Random` or a `numpy.random.Generator`.
            rejected: its proposals that were refused in this turn.
            lessons: what it was told of earlier trials and tasks.
        """
        state = self._state
        return next_action(
            spoken_of(state.task, state.found),
            rng,
            error=self.settings.demonstrator_error,
            executed=state.executed,
            result=state.result,
            rejected=rejected,
            lessons=lessons,
            query=self.codec.query,
            answer=self.codec.answer,
        )

    def judge(self, action: str) -> Judgement | None:
        """Should this action be taken now? The episode stays as it is; see `judge_result` for statements.

        The first bad move of several counts, else the last opinion. None = no opinion, or no episode to judge in.
        """
        state = self._episode
        if state is None or state.over:
            return None
        last_round = self._in_last_round(state)
        database = self.backend.snapshot()
        opinion: Judgement | None = None
        try:
            for move in self.codec.parse(action if isinstance(action, str) else "", last_round=last_round):
                opinion = self._judge_move(move, state) or opinion
                if opinion is not None and (not opinion.good or isinstance(move, Answer)):
                    break
        finally:
            self.backend.restore(database)
        return opinion

    def _judge_move(self, move: Move, state: Episode) -> Judgement | None:
        task = state.task
        if isinstance(move, Malformed):
            return Judgement(good=False, reason="format")
        if isinstance(move, Query):
            result = self.backend.execute(move.sql)
            return judge_result(task, result, gold=state.gold, rows=lambda: final_rows(self.backend, task))
        right = (
            self._table_is_right(state)[0] if task.write else GRADERS[self.settings.grader](move.given, task.answers)
        )
        return Judgement(right, "right answer" if right else "wrong answer")

    def snapshot(self) -> Snapshot[Episode]:
        """The episode and its database, untouched by what comes after."""
        return replace(super().snapshot(), world=self.backend.snapshot())

    def restore(self, snapshot: Snapshot[Episode]) -> None:
        """Go on from a snapshot, which may be used again."""
        super().restore(snapshot)
        self.backend.restore(snapshot.world)

    def close(self) -> None:
        """Free the database; twice is fine."""
        self._episode = None
        self.backend.close()
