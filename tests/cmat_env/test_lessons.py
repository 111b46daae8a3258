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
from cmat_env.registry import make_task
from cmat_env.types import Recalled


def task_of(family: str, *, level: int = 1) -> DBTask:
    """The first task of a family."""
    found = (generate("train", level=level, seed=seed) for seed in range(200))
    return next(task for task in found if task.family == family)


def test_what_is_told_is_read() -> None:
    """Plans for this task and for others are told apart, and the latest one counts."""
    recalled = (
        Recalled("Solved: what is the lowest age By: Action: Operation ```sql SELECT MIN(age) FROM cars ```", 1),
        Recalled("I will try SELECT MAX(cost) FROM boats.", 2),
        Recalled("I will try b."),
        Recalled(reflection(["SELECT a FROM t WHERE k = 'x. y'", "c"])),
    )
    lessons = Lessons.of(f"assistant\n\n{told(recalled)}")

    assert ("SELECT a FROM t WHERE k = 'x. y'", "c") == lessons.plan
    assert (recalled[0].text,) == lessons.solved
    assert ("SELECT MAX(cost) FROM boats",) == lessons.planned
    assert Lessons() == Lessons.of("assistant")


def test_a_reflection_is_what_the_next_trial_is_told() -> None:
    """It passes unshortened."""
    said = reflection(["get_neighbors(Al, town.people)", "argmax(#0, person.born)"])

    assert said == parse_reflection(said)
    assert "I will try get_neighbors(Al, town.people); argmax(#0, person.born)." == said
    assert not reflection(())


@pytest.mark.parametrize("style", [PAPER, SHORT])
def test_a_request_to_reflect_is_known(style: dict[str, str]) -> None:
    """In both styles, with and without what the environment said; and nothing else is one."""
    for role in ("assistant", "checker"):
        for seen in ("", "Part 1 was right."):
            assert asked_to_reflect(request(style[role], outcome="wrong", observation=seen))
    assert not asked_to_reflect("Not solved: 3 rows. [('a',)]")


def test_what_was_planned_is_done() -> None:
    """If it is something that the demonstrator would do at all."""
    task = task_of("argmin")
    options = alternatives(task, error=0.8)

    assert [options[1]] == heeded(task, options, Lessons(plan=(options[1][0], "x")))
    assert options == heeded(task, options, Lessons(plan=("x",)))


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
    """The column that solved, or was to be tried after the other had failed; on the same table only."""
    task = task_of("max", level=3)
    options = alternatives(task, error=0.5)
    table = task.tables[0].name
    for option in options:
        shown = option[0].replace("MAX", "SUM")
        elsewhere = shown.replace(table, f"{table}_of_another")

        assert [option] == heeded(task, options, Lessons(solved=(f"By: ```sql {shown} ```",)))
        assert [option] == heeded(task, options, Lessons(planned=(shown,)))
        assert options == heeded(task, options, Lessons(planned=(elsewhere,)))


def test_the_plan_is_what_was_not_done() -> None:
    """It comes from what was executed and the demonstrator's own habits: it may be as wrong as they are."""
    plans: Counter[str] = Counter()
    env = DBEnv("generated:train", demonstrator_error=0.8)
    seed = next(seed for seed in range(99) if generate("train", level=1, seed=seed).family == "argmin")
    for number in range(300):
        env.reset(seed=seed)
        rng = random.Random(number)
        done = env.demonstrate(rng)
        env.step(done)
        [plan] = env.plan(rng)
        assert env.codec.query(plan) != done
        assert (plan,) != env.plan(rng, right=True)
        plans[plan] += 1

    shares = dict(alternatives(env.task, error=0.8))
    assert set(shares) == set(plans)
    assert plans[env.task.reference or ""] < 150


def test_a_part_after_a_wrong_one_speaks_of_what_was_found() -> None:
    """Neither the demonstrator nor its plan names the right row before it has been seen."""
    task = make_task("cmat/DB-Composite-v0", parts=(2, 3), report=True, demonstrator_error=1.0)
    for seed in range(40):
        task.reset(seed=seed)
        rng, over = random.Random(seed), False
        key = task.task.parts[0].answers[0]
        said = []
        while not over:
            said.append(task.demonstrate(rng))
            seen, _, over, _, _ = task.step(said[-1])

        assert "Part 1 was wrong." in seen
        assert f"'{key}'" not in " ".join([*said, task.lesson(rng)])


def test_the_composite_plan_keeps_what_was_right() -> None:
    """With a report, up to the first part that was wrong."""
    task = make_task("cmat/DB-Composite-v0", parts=(2,), report=True, demonstrator_error=0.0)
    for seed in range(30):
        task.reset(seed=seed)
        first = task.demonstrate(random.Random(0))
        task.step(first)
        task.step(task.demonstrate(random.Random(0)))
        if len(task.task.parts[1].slips) == 1:
            task.step(task.inner.codec.query(task.task.parts[1].slips[0].sql))
            *_, info = task.step(task.demonstrate(random.Random(0)))
            moves = Lessons.of(f"From your earlier trials of this task:\n- {task.lesson(random.Random(0))}").plan

            assert [True, False] == [part["right"] for part in info["parts"]]
            assert (task.task.parts[0].reference, task.task.parts[1].reference) == moves
            return
    pytest.fail("no part with one error was drawn")


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


def test_the_graphs_demonstrator_follows_its_plan() -> None:
    """The plan changes one call that can be mistaken; what solved an earlier task is followed, too."""
    env = KGEnv("generated:train", families=["hop_1"], demonstrator_error=1.0)
    for seed in range(60):
        env.reset(seed=seed)
        env.step(env.demonstrate(random.Random(0)))
        right, wrong = env.solution()[1], env.demonstrate(random.Random(0))
        if right == wrong:
            continue
        env.step(wrong)
        [move] = env.plan(random.Random(0))
        assert f"Action: {move}" != wrong
        assert (wrong.removeprefix("Action: "),) == env.plan(random.Random(0), right=True)
        env.reset(seed=seed)
        env.step(env.demonstrate(random.Random(0)))
        right = env.solution()[1]
        relation = right.rpartition(", ")[2].rstrip(")")

        assert right == env.demonstrate(random.Random(0), (), Lessons(plan=(right.removeprefix("Action: "),)))
        assert right == env.demonstrate(random.Random(0), (), Lessons(solved=(f"Solved: x By: y({relation})",)))
        return
    pytest.fail("no task can be mistaken")
