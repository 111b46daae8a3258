"""What a prompt tells, what a rule reads out of it, and what the demonstrators do with that."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from cmat_env.agents.reflection import PAPER, SHORT, parse_reflection, request, told
from cmat_env.envs.database import DBEnv
from cmat_env.envs.database.demonstrate import alternatives, heeded
from cmat_env.envs.database.generate import generate
from cmat_env.envs.database.tasks import DBTask
from cmat_env.envs.knowledge_graph import KGEnv
from cmat_env.lessons import Lessons, asked_to_reflect, reflection
from cmat_env.types import Recalled


def task_of(family: str, *, level: int = 1) -> DBTask:
    """The first task of a family."""
    found = (generate("train", level=level, seed=seed) for seed in range(200))
    return next(task for task in found if task.family == family)


def test_what_is_told_is_read() -> None:
    """Notes of this task and of others are told apart, and moves of several sentences are found."""
    recalled = (
        Recalled("Solved: what is the lowest age By: Action: Operation ```sql SELECT MIN(age) FROM cars ```", 1),
        Recalled("SELECT MAX(cost) FROM boats was wrong.", 2),
        Recalled(reflection(wrong=["SELECT a FROM t WHERE k = 'x. y'", "b"], right=["c"])),
    )
    lessons = Lessons.of(f"assistant\n\n{told(recalled)}")

    assert ("SELECT a FROM t WHERE k = 'x. y'", "b") == lessons.wrong
    assert ("c",) == lessons.right
    assert (recalled[0].text,) == lessons.solved
    assert ("SELECT MAX(cost) FROM boats",) == lessons.failed
    assert Lessons() == Lessons.of("assistant")


def test_a_reflection_is_what_the_next_trial_is_told() -> None:
    """Two sentences pass unshortened."""
    said = reflection(wrong=["get_neighbors(Al, town.people)", "argmax(#0, person.born)"], right=["x"])

    assert said == parse_reflection(said)
    assert "get_neighbors(Al, town.people); argmax(#0, person.born) was wrong. x was right." == said
    assert not reflection(wrong=())


@pytest.mark.parametrize("style", [PAPER, SHORT])
def test_a_request_to_reflect_is_known(style: dict[str, str]) -> None:
    """In both styles, with and without what the environment said; and nothing else is one."""
    for role in ("assistant", "checker"):
        for seen in ("", "Part 1 was right."):
            assert asked_to_reflect(request(style[role], outcome="wrong", observation=seen))
    assert not asked_to_reflect("Not solved: 3 rows. [('a',)]")


def test_what_was_wrong_is_not_tried_again() -> None:
    """In the next trial; what was right is, and where nothing is left it insists."""
    task = task_of("argmin")
    options = alternatives(task, error=0.8)
    right, *wrong = [sql for sql, _ in options]

    assert [right, wrong[1]] == [sql for sql, _ in heeded(task, options, Lessons(wrong=(wrong[0],)))]
    assert [wrong[1]] == [sql for sql, _ in heeded(task, options, Lessons(right=(wrong[1],)))]
    assert options == heeded(task, options, Lessons(wrong=(right, *wrong)))


def test_a_solved_task_of_the_same_form_tells_the_form() -> None:
    """And one of another form tells nothing."""
    task = task_of("min")
    options = alternatives(task, error=0.8)
    same, other = "By: ```sql SELECT MIN(age) FROM cars ```", "By: ```sql SELECT COUNT(age) FROM cars ```"

    kept = [sql for sql, _ in heeded(task, options, Lessons(solved=(same,)))]
    assert all("MIN" in sql for sql in kept)
    assert 2 == len(kept)
    assert options == heeded(task, options, Lessons(solved=(other,)))


def test_what_an_earlier_task_of_the_house_has_shown_is_heeded() -> None:
    """The column that solved, not the one that failed; on the same table only."""
    task = task_of("max", level=3)
    options = alternatives(task, error=0.5)
    (right, _), (wrong, _) = options
    table = task.tables[0].name
    shown, failed = right.replace("MAX", "SUM"), wrong.replace("MAX", "SUM")

    assert [right] == [sql for sql, _ in heeded(task, options, Lessons(solved=(f"By: ```sql {shown} ```",)))]
    assert [right] == [sql for sql, _ in heeded(task, options, Lessons(failed=(failed,)))]
    assert [wrong] == [sql for sql, _ in heeded(task, options, Lessons(failed=(shown,)))]
    elsewhere = shown.replace(table, f"{table}_of_another")
    assert options == heeded(task, options, Lessons(failed=(elsewhere,)))


def test_the_lesson_of_an_episode_names_what_was_executed() -> None:
    """It comes from what was done, not from the answer key."""
    env = DBEnv("generated:train", demonstrator_error=1.0)
    env.reset(seed=next(seed for seed in range(99) if generate("train", level=1, seed=seed).family == "sum"))
    while not env._state.over:
        env.step(env.demonstrate(random.Random(0)))

    [slip] = env.task.slips
    assert f"{slip.sql} was wrong." == env.lesson()
    assert f"{slip.sql} was right." == env.lesson(right=True)


def test_the_graphs_demonstrator_errs_as_often_as_it_is_told() -> None:
    """Never at 0; at 0.5 in half of the choices that can be mistaken; and an earlier success is heeded."""
    env = KGEnv("generated:train", families=["hop_1"])
    outcomes: Counter[tuple[float, bool]] = Counter()
    for error in (0.0, 0.5):
        env.settings = type(env.settings)(demonstrator_error=error)
        for seed in range(150):
            env.reset(seed=seed)
            rng, over = random.Random(seed), False
            while not over:
                *_, over, _, info = env.step(env.demonstrate(rng))
            outcomes[error, info["success"]] += 1

    assert 150 == outcomes[0.0, True]
    assert 0.5 < outcomes[0.5, True] / 150 < 0.95


def test_the_graphs_demonstrator_does_not_repeat_a_failed_trial() -> None:
    """With one choice, the noted call is avoided; what solved an earlier task is followed."""
    env = KGEnv("generated:train", families=["hop_1"])
    env.settings = type(env.settings)(demonstrator_error=1.0)
    for seed in range(60):
        env.reset(seed=seed)
        env.step(env.demonstrate(random.Random(0)))
        right, wrong = env.solution()[1], env.demonstrate(random.Random(0))
        if right == wrong:
            continue
        noted = wrong.removeprefix("Action: ")
        relation = right.rpartition(", ")[2].rstrip(")")

        assert right == env.demonstrate(random.Random(0), (), Lessons(wrong=(noted,)))
        assert right == env.demonstrate(random.Random(0), (), Lessons(solved=(f"Solved: x By: y({relation})",)))
        return
    pytest.fail("no task can be mistaken")
