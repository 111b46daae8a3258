"""Composite tasks on a database: linked, gradable by part, with splits, gold, and slips that are wrong."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from cmat_env.collab import CollabEnv
from cmat_env.envs.database.choice import open_backend
from cmat_env.envs.database.generate.chain import FIRST, LATER, generate_chain
from cmat_env.envs.database.generate.words import SPLITS, is_new
from cmat_env.errors import ConfigError, UnknownNameError
from cmat_env.evaluate import evaluate
from cmat_env.registry import make, make_task
from cmat_env.report import EvalReport
from cmat_env.testing import check_collab, check_task

ID = "cmat/DB-Composite-v0"


def played(task: Any, actions: list[str]) -> tuple[list[str], list[float], dict[str, Any]]:
    """Observations, rewards and the last info of an episode."""
    seen, paid, info = [], [], {}
    for action in actions:
        observation, reward, terminated, truncated, info = task.step(action)
        seen.append(observation)
        paid.append(reward)
        if terminated or truncated:
            break
    return seen, paid, info


def test_keeps_the_contract_of_a_task() -> None:
    """Junk, forks, repetition, solutions: as every task."""
    check_task(lambda: make_task(ID), seeds=(0, 1, 2))


def test_keeps_the_contract_of_a_team() -> None:
    """With questions, milestones and a user who may end the dialogue, too."""
    check_collab(lambda: make(ID, closing="user", vague=True, questions=2))


@pytest.mark.parametrize("split", SPLITS)
def test_gold_solves_every_split(split: str) -> None:
    """300 tasks each, and every kind of part among them."""
    task = functools.partial(make, ID, tasks=f"generated:{split}", roles=("assistant",))
    report = evaluate(task, {"assistant": "gold"}, episodes=300)

    assert report.success_rate == 1.0
    assert set(report.by_type) == {"2 parts", "3 parts", "4 parts"}
    assert set(report.parts) == {*FIRST, *LATER}
    assert all(each.success_rate == 1.0 for each in report.parts.values())


def test_a_task_is_a_function_of_its_arguments_and_splits_differ() -> None:
    """Held-out tables have a column that is new to them; another seed is another task."""
    tasks = {split: [generate_chain(split, seed=seed) for seed in range(50)] for split in SPLITS}

    assert tasks["train"] == [generate_chain("train", seed=seed) for seed in range(50)]
    assert len({task.goals for task in tasks["train"]}) > 40
    trained = {task.parts[0].tables for task in tasks["train"]}
    assert not trained & {task.parts[0].tables for task in tasks["heldout"]}
    for task in tasks["heldout"]:
        table = task.parts[0].tables[0]
        assert any(is_new("heldout", table.name, column) for column in table.columns)


def test_no_systematic_error_ends_right_by_accident() -> None:
    """Each slip of each part of 300 tasks, run after the right parts before it, ends otherwise than the reference."""
    backend = open_backend(None, "sqlite", usual="sqlite")
    for seed in range(300):
        task = generate_chain("train", seed=seed)
        backend.load(task.parts[0].tables)
        for part in task.parts:
            before = backend.snapshot()
            endings = []
            for sql in (part.reference, *(slip.sql for slip in part.slips)):
                backend.restore(before)
                result = backend.execute(str(sql))
                assert result.error is None
                table = part.tables[0]
                endings.append((result.rows, sorted(backend.table_rows(table.name, table.columns) or [])))
            assert endings[0] not in endings[1:], (seed, part.family)
            backend.restore(before)
            backend.execute(str(part.reference))
    backend.close()


def test_each_part_is_graded_and_so_is_the_whole() -> None:
    """One wrong part of three: two thirds of the score, no success, and infos that say which."""
    task = make_task(ID, parts=(3,), reward="parts")
    task.reset(seed=1)
    solution = task.solution()
    solution[1] = task.inner.codec.answer(["nobody"])
    seen, paid, info = played(task, solution)

    assert [False, True, True] == [part["right"] for part in info["parts"]]
    assert [0.0, 0.0, 0.0, 1 / 3, 0.0, 1 / 3] == paid
    assert (False, 2 / 3, "wrong") == (info["success"], info["score"], info["outcome"])
    assert "Part 1 of 3 is answered." == seen[1]


def test_the_whole_is_paid_at_the_end_by_default() -> None:
    """1 for everything, 0 for less."""
    task = make_task(ID, parts=(2,))
    task.reset(seed=1)

    assert [0.0, 0.0, 0.0, 1.0] == played(task, task.solution())[1]


def test_what_a_part_changed_stays_changed() -> None:
    """A part after a wrong change is graded against the right one, so that the error is carried on."""
    task = make_task(ID, parts=(3,))
    wanted = ["find_highest", "delete_it", "left_now"]
    seed = next(s for s in range(2000) if list(generate_chain("train", seed=s, lengths=(3,)).families) == wanted)
    task.reset(seed=seed)
    actions = task.solution()
    del actions[2]  # nothing is deleted
    actions[3] = task.inner.codec.answer([str(len(task.task.parts[0].tables[0].rows))])
    info = played(task, actions)[2]

    assert [True, False, False] == [part["right"] for part in info["parts"]]


def test_a_part_that_was_wrong_may_be_tried_again_in_the_world_as_it_was() -> None:
    """A wrong change is taken back before the second try; the right one and what comes after it count."""
    task = make_task(ID, parts=(3,), report=True, retries=1)
    wanted = ["find_highest", "update_it", "total_now"]
    seed = next(s for s in range(2000) if list(generate_chain("train", seed=s, lengths=(3,)).families) == wanted)
    task.reset(seed=seed)
    table = task.task.parts[0].tables[0].name
    done = task.inner.codec.answer(["done"])
    solution = task.solution()
    wrong = [*solution[:2], task.inner.codec.query(f"DELETE FROM {table}"), done]
    seen, _, info = played(task, wrong)

    assert "Part 2 was wrong; it may be answered again." == seen[-1]
    assert 1 == task.brief.tries == info["part"]
    assert info["milestone"]
    assert played(task, solution[2:])[2]["success"]


def test_tries_have_an_end_and_begin_anew_with_every_part() -> None:
    """One retry each: the second wrong answer counts, and the next part has a retry of its own."""
    task = make_task(ID, parts=(2,), report=True, retries=1, reward="parts")
    task.reset(seed=0)
    no = task.inner.codec.answer(["nobody"])
    seen, paid, info = played(task, [no, no, no, no])

    assert "Part 1 was wrong; it may be answered again." == seen[0]
    assert "Part 1 of 2 is answered." == seen[1]
    assert "Part 2 was wrong; it may be answered again." == seen[2]
    assert "Part 1 was wrong. Part 2 was wrong." in seen[3]
    assert [False, False] == [part["right"] for part in info["parts"]]
    assert [0.0] * 4 == paid


@pytest.mark.parametrize("place", [0, 1])
def test_no_dry_run_tells_whether_a_part_would_be_right(place: int) -> None:
    """Neither of the first part nor of the last, which a right answer ends: the checker is told the same of both."""
    env = make(ID, parts=(2,), report=True, retries=1, dry_run=True)
    told = []
    for given in ("right", "nobody"):
        env.reset(seed=0)
        env.step("")
        task: Any = env.task
        solution = task.solution()
        for action in solution[: 2 * place + 1]:
            env.step(action)
            env.step("Verdict: approve")
            if env.agent_selection == "user_0":
                env.step("")
        answer = solution[2 * place + 1] if given == "right" else task.inner.codec.answer(["nobody"])
        env.step(answer)
        told.append(env.observe("checker_0")["message"].rpartition("Dry run: ")[2])

    assert ["the answer would be graded"] * 2 == told


def test_retries_keep_the_contract_of_a_task() -> None:
    """Forks in the midst of a second try, too."""
    check_task(lambda: make_task(ID, report=True, retries=1), seeds=(0, 1))


def test_a_malformed_action_ends_the_whole_as_it_ends_a_part() -> None:
    """AgentBench's text format forgives nothing."""
    task = make_task(ID)
    task.reset(seed=0)
    _, paid, info = played(task, ["hello"])

    assert ([0.0], "format", 0.0) == (paid, info["outcome"], info["score"])


def test_a_user_who_never_ends_is_a_limit() -> None:
    """Three idle actions after the last answer truncate the episode."""
    task = make_task(ID, parts=(2,), closing="user")
    task.reset(seed=0)
    _, _, info = played(task, [*task.solution(), "a", "b", "c"])

    assert "nobody ended it" == info["outcome"]
    assert not info["success"]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"parts": (5,)}, ConfigError),
        ({"retries": 1}, ConfigError),
        ({"retries": -1, "report": True}, ConfigError),
        ({"tasks": "generated:trian"}, UnknownNameError),
        ({"closing": "x"}, ConfigError),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], error: type[Exception]) -> None:
    """Met when the task is made."""
    with pytest.raises(error):
        make_task(ID, **settings)


def test_a_report_with_parts_is_read_back() -> None:
    """JSON holds the parts."""
    report = evaluate(ID, {"assistant": "demonstrator"}, episodes=30)

    assert 0.0 < report.parts["find_highest"].success_rate < 1.0
    assert report == EvalReport.from_json(report.to_json())
    assert isinstance(make(ID), CollabEnv)
