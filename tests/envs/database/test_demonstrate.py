"""The imperfect demonstrator: how often it errs, what it copies, and what it does when it is refused."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from cmat_env.envs.database import DBEnv
from cmat_env.envs.database.demonstrate import alternatives, choose_sql
from cmat_env.envs.database.generate import generate

EPISODES = 600
CLEAN = {"count_all", "count_above", "max", "lookup", "distinct", "delete"}


def play(env: DBEnv, seed: int, rng: random.Random) -> tuple[str, list[str], bool]:
    """One episode of the demonstrator: family, actions, success."""
    _, info = env.reset(seed=seed)
    actions: list[str] = []
    over = False
    while not over:
        actions.append(env.demonstrate(rng))
        _, _, terminated, truncated, end = env.step(actions[-1])
        over = terminated or truncated
    return info["task_type"], actions, bool(end["success"])


@pytest.mark.parametrize(("error", "low", "high"), [(0.75, 0.48, 0.59), (0.6, 0.57, 0.68), (0.0, 1.0, 1.0)])
def test_its_success_is_what_its_errors_leave(error: float, low: float, high: float) -> None:
    """Ten of sixteen families err at the given rate, and wrong statements hardly ever succeed: 1 - 10/16 error."""
    env, rng = DBEnv("generated:train", demonstrator_error=error), random.Random(0)
    played = [play(env, seed, rng) for seed in range(EPISODES)]

    assert low <= sum(success for _, _, success in played) / EPISODES <= high
    assert all(success for family, _, success in played if family in CLEAN)
    assert {2} == {len(actions) for _, actions, _ in played}


def test_a_wrong_statement_does_not_end_right_by_accident() -> None:
    """With errors only, every family that errs fails every time."""
    env, rng = DBEnv("generated:train", demonstrator_error=1.0), random.Random(0)
    played = [play(env, seed, rng) for seed in range(EPISODES)]

    assert CLEAN == {family for family, _, success in played if success}
    assert 16 == len({family for family, _, _ in played})


def test_the_answer_copies_what_really_came_out() -> None:
    """The last action quotes the result of the wrong statement, or says done where there is nothing to quote."""
    env = DBEnv("generated:train", demonstrator_error=1.0, max_rounds=4)
    seed = next(seed for seed in range(99) if generate("train", level=1, seed=seed).family == "sum")
    env.reset(seed=seed)
    observation, *_ = env.step(env.demonstrate(random.Random(0)))
    count = len(env.task.tables[0].rows)

    assert f"[({count},)]" == observation
    assert f'Action: Answer\nFinal Answer: ["{count}"]' == env.demonstrate(random.Random(0))


def test_errors_have_the_shares_of_their_weights() -> None:
    """The first statement is drawn by the table of errors: the reference first, then each error's share."""
    task = next(task for task in (generate("train", level=1, seed=i) for i in range(99)) if task.family == "argmax")
    shares = alternatives(task, error=0.75)
    rng = random.Random(0)
    drawn = Counter(choose_sql(task, rng, error=0.75, refuse=lambda sql: False) for _ in range(4000))

    assert [0.25, 0.3, 0.45] == [round(share, 9) for _, share in shares]
    for sql, share in shares:
        assert abs(drawn[sql] / 4000 - share) < 0.03


def test_after_a_refusal_it_draws_among_what_is_left() -> None:
    """Refused statements are never drawn again, the others keep their proportions; at the end it insists."""
    env = DBEnv("generated:train", demonstrator_error=0.75)
    seed = next(seed for seed in range(99) if generate("train", level=1, seed=seed).family == "argmin")
    env.reset(seed=seed)
    wrong = [env.codec.query(slip.sql) for slip in env.task.slips]
    right = env.codec.query(env.task.reference or "")
    rng = random.Random(0)
    left = Counter(env.demonstrate(rng, wrong[:1]) for _ in range(2000))

    assert {right, wrong[1]} == set(left)
    assert abs(left[right] / 2000 - 0.25 / 0.7) < 0.05
    assert {right} == {env.demonstrate(rng, wrong) for _ in range(20)}
    assert right == env.demonstrate(rng, [right, *wrong])


def test_after_a_refused_answer_it_asks_the_database_again() -> None:
    """A refused answer to a question leads to another statement; a write cannot be undone, and it insists."""
    env = DBEnv("generated:train", demonstrator_error=1.0)
    rng = random.Random(0)
    for family, again in (("sum", True), ("update", False)):
        seed = next(seed for seed in range(99) if generate("train", level=1, seed=seed).family == family)
        env.reset(seed=seed)
        env.step(env.demonstrate(rng))
        answer = env.demonstrate(rng)
        second = env.demonstrate(rng, [answer])

        assert again == (second == env.codec.query(env.task.reference or ""))
        assert again == (second != answer)


def test_both_kinds_of_generators_will_do() -> None:
    """It draws from random.Random and from numpy alike, and the same state gives the same action."""
    import numpy as np  # noqa: PLC0415

    env = DBEnv("generated:train")
    env.reset(seed=1)

    assert env.demonstrate(np.random.default_rng(3)) == env.demonstrate(np.random.default_rng(3))
    assert env.demonstrate(random.Random(3)) == env.demonstrate(random.Random(3))
