"""The database environment: AgentBench's rules of an episode, grading, judging, forks."""

from __future__ import annotations

import copy
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from cmat_env.envs.database import DBEnv, DBTask, Table
from cmat_env.envs.database.codec import BAD_CALL, NO_CALL, UNKNOWN_TOOL
from cmat_env.envs.database.generate import SPLITS
from cmat_env.errors import ConfigError, TaskFileError, UnknownNameError
from cmat_env.testing import check_task
from cmat_env.types import Judgement, Task

ROWS = (("rome", 5), ("oslo", 7), ("lima", 7))
READ = DBTask("read", "counting", "how many?", "Table t (city, n).", (Table("t", ("city", "n"), ROWS),), answers=("3",))
KNOWN = DBTask("known", "counting", "how many?", "", READ.tables, answers=("3",), reference="SELECT COUNT(*) FROM t")
WRITE = DBTask(
    "write", "UPDATE", "set", "", READ.tables, write=True, reference="UPDATE t SET n = 9 WHERE city = 'oslo'"
)
SURPRISES = [None, 5, b"x", "", "\0", "\ud800", "é" * 99, "SELECT 1", "x" * 1_000_000, "Action: Operation\n" * 10_000]


def query(sql: str) -> str:
    """A statement in the text format."""
    return f"Action: Operation\n```sql\n{sql}\n```"


def answer(text: str) -> str:
    """An answer in the text format."""
    return f"Action: Answer\nFinal Answer: {text}"


def call(name: str, **arguments: object) -> str:
    """A tool call."""
    return str({"name": name, "arguments": arguments}).replace("'", '"')


def begin(task: DBTask, **settings: Any) -> DBEnv:
    """An environment at the start of this task, on plain SQLite."""
    env = DBEnv([READ, KNOWN, WRITE], **{"dialect": "sqlite", **settings})
    env.reset(seed=0, options={"task": task.id})
    return env


def summary(env: DBEnv, action: str) -> tuple[float, bool, bool, str | None]:
    """Reward, terminated, truncated, outcome of one step."""
    _, reward, terminated, truncated, info = env.step(action)
    return reward, terminated, truncated, info.get("outcome")


def test_the_statement_is_the_question_and_the_tables() -> None:
    """reset states the task in the format's words and names it in the info."""
    env = DBEnv([READ], dialect="sqlite")

    assert ("how many?\nTable t (city, n).", {"task_id": "read", "task_type": "counting"}) == env.reset(seed=0)
    assert "SQLite database" in env.instructions
    assert isinstance(env, Task)


def test_an_observation_is_the_text_of_the_rows() -> None:
    """A query shows a list of tuples, a change shows an empty one, an error its message."""
    env = begin(READ)

    assert "[('rome', 5), ('oslo', 7), ('lima', 7)]" == env.step(query("SELECT * FROM t"))[0]
    assert "[]" == env.step(query("DELETE FROM t WHERE n = 5"))[0]
    assert "[(2,)]" == env.step(query("SELECT COUNT(*) FROM t"))[0]
    assert "no such table: nowhere" in env.step(query("SELECT * FROM nowhere"))[0]


def test_a_long_observation_is_cut() -> None:
    """Text is cut at max_observation characters, rows at max_rows_shown, each with a mark."""
    by_rows = begin(READ, max_rows_shown=2).step(query("SELECT city FROM t"))[0]
    by_text = begin(READ, max_observation=9).step(query("SELECT city FROM t"))[0]

    assert "[('rome',), ('oslo',)][TRUNCATED]" == by_rows
    assert "[('rome',[TRUNCATED]" == by_text
    assert 800 + len("[TRUNCATED]") == len(begin(READ).step(query(f"SELECT '{'y' * 900}'"))[0])


def test_the_answer_ends_the_episode() -> None:
    """A right answer is worth 1, a wrong one 0, and both terminate."""
    assert (1.0, True, False, "correct") == summary(begin(READ), answer('["3"]'))
    assert (0.0, True, False, "wrong") == summary(begin(READ), answer('["4"]'))


def test_a_malformed_action_ends_the_text_format() -> None:
    """v0.2 fails an action that it cannot read."""
    assert (0.0, True, False, "format") == summary(begin(READ), "hello")


def test_the_text_format_counts_statements() -> None:
    """After max_rounds statements one answer may follow; another statement is the round limit, and is not run."""
    env = begin(WRITE, max_rounds=2, grade_writes="any_end")
    assert [(0.0, False, False, None)] * 2 == [summary(env, query("SELECT 1")) for _ in range(2)]
    assert (0.0, False, True, "round limit") == summary(env, query(WRITE.reference or ""))

    env = begin(READ, max_rounds=1)
    env.step(query("SELECT COUNT(*) FROM t"))
    assert (1.0, True, False, "correct") == summary(env, answer('["3"]'))

    env = begin(READ, max_rounds=1)
    env.step(query("SELECT 1"))
    assert (0.0, False, True, "round limit") == summary(env, "hello")


def test_the_tool_format_answers_mistakes_and_counts_turns() -> None:
    """Main goes on after a malformed call, and every turn counts."""
    env = begin(READ, action_format="tools", max_rounds=4)

    assert [NO_CALL, BAD_CALL, UNKNOWN_TOOL] == [env.step(text)[0] for text in ("hi", "{", call("drop", x=1))]
    assert (0.0, False, True, "round limit") == summary(env, call("execute_sql", query="SELECT 1"))
    assert env.task.id == "read"


def test_the_tool_format_runs_several_calls_in_a_turn() -> None:
    """All calls of a turn run in order; a commit ends the episode at once, also in the last round."""
    env = begin(READ, action_format="tools", max_rounds=2)
    select, commit = call("execute_sql", query="SELECT MAX(n) FROM t"), call("commit_final_answer", answers=["3"])

    assert "[(7,)]\n[(7,)]" == env.step(f"[{select}, {select}]")[0]
    assert (1.0, True, False, "correct") == summary(env, f"[{select}, {commit}, {select}]")


@pytest.mark.parametrize("grader", ["fc", "v0.2", "strict"])
def test_a_write_is_graded_by_its_table(grader: str) -> None:
    """The right rows are right whatever was answered; wrong rows are wrong."""
    env = begin(WRITE, grader=grader)
    env.step(query(WRITE.reference or ""))
    _, reward, terminated, _, info = env.step(answer("anything"))
    assert (1.0, True, True, True) == (reward, terminated, info["success"], info["rows_match"])

    env = begin(WRITE, grader=grader)
    env.step(query("UPDATE t SET n = 9"))
    _, reward, _, _, info = env.step(answer("anything"))
    assert (0.0, False, "wrong") == (reward, info["rows_match"], info["outcome"])


def test_when_a_write_counts_is_a_setting() -> None:
    """Main counts a change at the commit only, v0.2 however the episode ends."""
    for grade_writes, reward, outcome in (("commit", 0.0, "format"), ("any_end", 1.0, "correct")):
        env = begin(WRITE, grade_writes=grade_writes)
        env.step(query(WRITE.reference or ""))
        assert (reward, True, False, outcome) == summary(env, "malformed")


@pytest.mark.parametrize("sql", ["DROP TABLE t", "ALTER TABLE t RENAME COLUMN n TO m", "ALTER TABLE t RENAME TO u"])
def test_a_table_that_is_gone_is_wrong(sql: str) -> None:
    """Grading survives whatever an agent did to the table."""
    env = begin(WRITE)
    env.step(query(sql))

    assert (0.0, True, False, "wrong") == summary(env, answer("done"))


def test_the_end_is_told_with_metrics() -> None:
    """The last info holds success, score, outcome, and what happened on the way."""
    env = begin(READ, max_observation=5)
    for sql in ("SELECT * FROM t", "SELEC", "SELECT 1"):
        env.step(query(sql))
    info = env.step(answer('["3"]'))[-1]

    assert {"task_id": "read", "task_type": "counting", "success": True, "score": 1.0, "outcome": "correct"} == {
        name: value for name, value in info.items() if name != "metrics"
    }
    assert {"rounds": 4, "statements": 3, "sql_errors": 1, "truncations": 3, "timeouts": 0} == info["metrics"]


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("split", SPLITS)
def test_gold_solves_every_generated_task(split: str, level: int) -> None:
    """solution() succeeds in 500 of 500 tasks, and judge() approves of each of its actions."""
    env = DBEnv(f"generated:{split}", level=level)
    for seed in range(500):
        env.reset(seed=seed)
        for action in env.solution():
            assert env.judge(action) is not None and env.judge(action).good  # type: ignore[union-attr]
            *_, info = env.step(action)
        assert (True, env.task.write) == (info["success"], info.get("rows_match", False))


@pytest.mark.parametrize("action_format", ["v0.2", "tools"])
@pytest.mark.parametrize("grader", ["fc", "v0.2", "strict"])
def test_gold_solves_all_of_dev(agentbench: Path, action_format: str, grader: str) -> None:
    """Labels replayed and right statements executed: 60 of 60, writes exact to the row, on the MySQL dialect."""
    env = DBEnv(agentbench / "db" / "dev.jsonl", action_format=action_format, grader=grader)  # type: ignore[arg-type]
    solved = exact = 0
    for task_id in env.task_ids or ():
        env.reset(options={"task": task_id})
        for action in env.solution():
            *_, info = env.step(action)
        solved += info["success"]
        exact += info.get("rows_match", False)

    assert (60, 40) == (solved, exact)


def test_known_bad_tasks_are_marked_not_dropped(agentbench: Path) -> None:
    """Number 5 of dev has a nameless column; a hash that its own statement does not give is found by trying."""
    env = DBEnv(agentbench / "db" / "dev.jsonl")
    bad = [index for index in range(60) if "known_bad" in env.reset(options={"task": index})[1]]
    wrong = DBTask("wrong", "UPDATE", "", "", READ.tables, write=True, answer_md5="0" * 32, reference="DELETE FROM t")

    assert [5] == bad
    assert "does not give" in DBEnv([wrong], dialect="sqlite").reset(seed=0)[1]["known_bad"]


@pytest.mark.parametrize(
    ("task", "action", "good"),
    [
        (KNOWN, query("SELECT COUNT(*) FROM t"), True),
        (KNOWN, query("SELECT 3"), True),
        (KNOWN, query("SELECT COUNT(*) FROM t WHERE n = 7"), False),
        (KNOWN, query("SELECT 3, 3"), False),
        (KNOWN, query("DELETE FROM t"), False),
        (READ, query("SELECT COUNT(*) FROM t"), True),
        (READ, query("SELECT city FROM t"), None),
        (READ, query("DELETE FROM t"), False),
        (READ, query("SELEC"), False),
        (READ, answer('["3"]'), True),
        (READ, answer('["4"]'), False),
        (READ, "malformed", False),
        (WRITE, query(WRITE.reference or ""), True),
        (WRITE, query("UPDATE t SET n = 9"), False),
        (WRITE, query("UPDATE t SET n = 9 WHERE city = 'paris'"), False),
        (WRITE, query("SELECT * FROM t"), None),
        (WRITE, query("DROP TABLE t"), False),
        (WRITE, answer("done"), False),
    ],
)
def test_an_action_is_judged_by_what_it_would_do(task: DBTask, action: str, good: bool | None) -> None:
    """A dry run in the same database, of which nothing remains."""
    env = begin(task)
    before = env.backend.table_rows("t", ("city", "n"))
    judgement = env.judge(action)

    assert good is (None if judgement is None else judgement.good)
    assert before == env.backend.table_rows("t", ("city", "n"))


def test_a_judgement_never_changes_the_episode() -> None:
    """An episode with every action judged first, and some others, is the same as one without."""
    ends = []
    for judged in (False, True):
        env = DBEnv("generated:train", max_rounds=4)
        rng, trace = random.Random(5), []
        for seed in range(30):
            trace.append(env.reset(seed=seed))
            for action in (env.demonstrate(rng), env.demonstrate(rng)):
                if judged:
                    assert all(isinstance(env.judge(text), Judgement | None) for text in (action, "junk", query("x")))
                trace.append(env.step(action))  # type: ignore[arg-type]
                if trace[-1][2]:  # type: ignore[misc]
                    break
        ends.append(trace)

    assert ends[0] == ends[1]


def test_several_calls_are_judged_as_one() -> None:
    """Calls of a turn are judged in order on one database; the first bad one decides, a commit closes."""
    env = begin(WRITE, action_format="tools")
    right, wrong = call("execute_sql", query="UPDATE t SET n = 9 WHERE n + city = 7"), call("execute_sql", query="x")
    right = right.replace("n + city = 7", "rowid = 2")
    commit = call("commit_final_answer", answers=["done"])

    assert [True, False, False] == [
        env.judge(f"[{calls}]").good  # type: ignore[union-attr]
        for calls in (f"{right}, {commit}", f"{wrong}, {right}", f"{commit}, {right}")
    ]


def test_there_is_no_opinion_outside_of_an_episode() -> None:
    """Before the first reset and after the end an action has nothing to be judged by."""
    env = DBEnv([READ], dialect="sqlite")
    assert None is env.judge(answer("3"))
    env.reset(seed=0)
    env.step(answer("3"))

    assert None is env.judge(answer("3"))


@pytest.mark.parametrize("action", SURPRISES, ids=repr)
@pytest.mark.parametrize("action_format", ["v0.2", "tools"])
def test_any_action_is_survived(action_format: str, action: Any) -> None:
    """Whatever an agent says, the environment answers with text in its space."""
    env = begin(READ, action_format=action_format)
    env.judge(action)
    observation, reward, *_ = env.step(action)

    assert env.observation_space.contains(observation)
    assert 0.0 == reward


@pytest.mark.parametrize("text", ["\ud800", "\0", "é", "; ;", "SELECT 1; SELECT 2", "PRAGMA x", "x" * 1_000_000])
def test_any_statement_is_survived(text: str) -> None:
    """Whatever stands in the block of SQL is an observation."""
    env = begin(READ)
    observation, *_ = env.step(query(text))

    assert env.observation_space.contains(observation)
    assert (1.0, True, False, "correct") == summary(env, answer('["3"]'))


def test_a_fork_goes_its_own_way() -> None:
    """Snapshot, pickle and deep copy carry database, counters and the random numbers that pick tasks."""
    env = begin(WRITE)
    env.step(query("INSERT INTO t VALUES ('x', 1)"))
    mark = env.snapshot()
    twins = [pickle.loads(pickle.dumps(env)), copy.deepcopy(env)]
    env.step(query("DELETE FROM t"))
    env.restore(mark)
    seen = [twin.step(query("SELECT COUNT(*) FROM t"))[0] for twin in (env, *twins)]
    ends = [twin.step(answer("x"))[-1]["metrics"] for twin in (env, *twins)]
    picked = [twin.reset()[1]["task_id"] for twin in (env, *twins)]

    assert ["[(4,)]"] * 3 == seen
    assert ends[0] == ends[1] == ends[2]
    assert picked[0] == picked[1] == picked[2]
    env.restore(mark)
    assert "[(4,)]" == env.step(query("SELECT COUNT(*) FROM t"))[0]


def test_seeds_pick_tasks() -> None:
    """A generated task is its seed's; seeds go round a list; options name a task by id or number."""
    generated, listed = DBEnv("generated:dev"), DBEnv([READ, KNOWN, WRITE], dialect="sqlite")

    assert "dev-1-17" == generated.reset(seed=17)[1]["task_id"]
    assert "dev-1-17" == generated.reset(seed=3, options={"task": 17})[1]["task_id"]
    assert "dev-1-17" == generated.reset(options={"task": "dev-1-17"})[1]["task_id"]
    assert ["read", "known", "write", "read"] == [listed.reset(seed=seed)[1]["task_id"] for seed in range(4)]
    assert ["write", "known"] == [listed.reset(options={"task": name})[1]["task_id"] for name in (2, "known")]
    assert (None, ("read", "known", "write")) == (generated.task_ids, listed.task_ids)
    assert (16, ("UPDATE", "counting")) == (len(generated.task_types), listed.task_types)


def test_without_a_seed_the_stream_of_tasks_goes_on() -> None:
    """reset(seed) fixes the stream of the resets that follow, and no global random state is touched."""
    env, states = DBEnv("generated:train"), (random.getstate(), str(np.random.get_state()))
    streams = []
    for _ in range(2):
        env.reset(seed=5)
        streams.append([env.reset()[1]["task_id"] for _ in range(3)])

    assert streams[0] == streams[1]
    assert 3 == len(set(streams[0]))
    assert states == (random.getstate(), str(np.random.get_state()))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tasks": "generated:heldot"}, UnknownNameError, "did you mean 'heldout'"),
        ({"tasks": "no/such/file.jsonl"}, TaskFileError, "cannot be read"),
        ({"tasks": []}, ConfigError, "tasks is empty"),
        ({"tasks": [READ, READ]}, ConfigError, "the same id"),
        ({"level": 9}, ConfigError, "level=9"),
        ({"dialect": "oracle"}, ConfigError, "dialect='oracle'"),
        ({"action_format": "tool"}, ConfigError, "did you mean 'tools'"),
        ({"grader": "fcc"}, ConfigError, "did you mean 'fc'"),
        ({"grade_writes": "comit"}, ConfigError, "did you mean 'commit'"),
        ({"max_rounds": 0}, ConfigError, "max_rounds=0"),
        ({"max_observation": -1}, ConfigError, "max_observation=-1"),
        ({"max_rows_shown": 0}, ConfigError, "max_rows_shown=0"),
        ({"demonstrator_error": 1.5}, ConfigError, "demonstrator_error=1.5"),
    ],
)
def test_a_wrong_setting_is_told(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """A user's mistake names what came and what was wanted."""
    with pytest.raises(error, match=message):
        DBEnv(**arguments)


def test_a_write_whose_reference_fails_is_told() -> None:
    """Nobody could be graded against an ending that cannot be worked out."""
    task = DBTask("1", "UPDATE", "", "", READ.tables, write=True, reference="UPDATE nowhere SET n = 1")
    with pytest.raises(ConfigError, match="its reference fails"):
        DBEnv([task], dialect="sqlite").reset(seed=0)


@pytest.mark.parametrize("named", ["red", 3, -1, True, 1.5])
def test_an_unknown_task_is_told(named: object) -> None:
    """options["task"] must name a task of the list."""
    with pytest.raises(UnknownNameError, match="task"):
        DBEnv([READ], dialect="sqlite").reset(options={"task": named})
    if named not in (3, -1):
        with pytest.raises(UnknownNameError, match="task"):
            DBEnv("generated:dev").reset(options={"task": named})


def test_the_order_of_calls_is_kept() -> None:
    """A step before reset or after the end is the caller's mistake; closing twice is not."""
    env = DBEnv([READ], dialect="sqlite")
    with pytest.raises(ResetNeeded):
        env.step("x")
    env.reset(seed=0)
    env.step("x")
    with pytest.raises(ResetNeeded):
        env.step("x")
    env.close()
    env.close()


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("action_format", ["v0.2", "tools"])
def test_gymnasium_accepts_it(level: int, action_format: str) -> None:
    """Gymnasium's own check passes."""
    check_env(DBEnv("generated:train", level=level, action_format=action_format), skip_render_check=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"level": 2, "max_rounds": 4},
        {"action_format": "tools"},
        {"tasks": [READ, KNOWN, WRITE], "dialect": "sqlite"},
    ],
    ids=["level 1", "level 2", "tools", "listed"],
)
def test_our_own_check_accepts_it(settings: dict[str, Any]) -> None:
    """Spaces, determinism, isolation, forks, junk and closing hold as for every task."""
    check_task(lambda: DBEnv(**settings))
