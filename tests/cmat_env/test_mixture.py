"""`cmat/Mix-v0`: several environments as one task."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import cmat_env
from cmat_env.errors import ConfigError, UnknownNameError
from cmat_env.evaluate import evaluate
from cmat_env.mixture import Member, MixEnv
from cmat_env.policies.scripted import DemonstratorPolicy, EchoPolicy, OracleChecker
from cmat_env.registry import make_task
from cmat_env.testing import check_task

DB = {"env": "cmat/DB-v0", "share": 2, "settings": {"level": 1, "demonstrator_error": 0.0}}
CHAIN = {"env": "cmat/DB-Composite-v0", "settings": {"parts": [2], "demonstrator_error": 0.0}}
MEMBERS: Mapping[str, Mapping[str, Any]] = {"db": DB, "chain": CHAIN}


@pytest.fixture
def mix() -> Iterator[MixEnv]:
    """Two of three episodes are of the database, one is of its composite tasks."""
    task = MixEnv(MEMBERS)
    yield task
    task.close()


def test_the_contract_of_tasks_is_kept() -> None:
    """With forks, judgements and solutions of whichever member is at play."""
    check_task(lambda: MixEnv(MEMBERS), seeds=(0, 1, 2))


def test_seeds_in_a_row_go_round_the_members_by_their_shares(mix: MixEnv) -> None:
    """And through the tasks of each one after the other: none is left out, none comes twice."""
    turns = [mix.turn_of(seed) for seed in range(9)]

    assert [("db", 0), ("db", 1), ("chain", 0), ("db", 2), ("db", 3), ("chain", 1)] == turns[:6]
    assert {"db": 6, "chain": 3} == Counter(name for name, _ in turns)
    assert ("chain", -1) == mix.turn_of(-1)


def test_a_task_is_the_members_own_under_the_mixtures_name(mix: MixEnv) -> None:
    """The same statement as the bare member's; the name stands before id and type, in the last info too."""
    seen, info = mix.reset(seed=5)
    bare = make_task("cmat/DB-Composite-v0", parts=[2])
    expected, own = bare.reset(seed=1)
    bare.close()
    assert (expected, f"chain/{own['task_id']}") == (seen, info["task_id"])
    for action in mix.solution():
        _, _, terminated, _, info = mix.step(action)
    assert (True, True, "chain/2 parts") == (terminated, info["success"], info["task_type"])
    assert info["task_type"] in mix.task_types
    assert seen == mix.reset(seed=0, options={"task": info["task_id"]})[0]
    assert seen == mix.reset(seed=0, options={"task": 5})[0]


def test_extras_are_those_of_the_member_at_play(mix: MixEnv) -> None:
    """A user has the brief of the task, a demonstrator reflects as it would there; before the first episode neither."""
    assert not hasattr(mix, "brief")
    assert not hasattr(mix, "lesson")
    mix.reset(seed=2)
    assert 2 == len(mix.brief.goals)
    mix.reset(seed=0)
    assert 1 == len(mix.brief.goals)
    planned = re.fullmatch(r"I will try (SELECT .+|UPDATE .+|INSERT .+|DELETE .+)\.", mix.lesson(random.Random(0)))
    assert planned is not None
    assert planned[1] in mix.solution()[0]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "members is empty"),
        ({"a": {}}, "member 'a' has no env"),
        ({"a/b": DB}, 'wanted a name without "/"'),
        ({"a": {"env": "cmat/DB-v0", "shares": 2}}, "did you mean 'share'"),
        ({"a": {"env": "cmat/DB-v0", "share": 0}}, "at least 1"),
    ],
)
def test_a_wrong_member_is_a_clear_error(members: Mapping[str, Any], words: str) -> None:
    """It says which, and what was wanted."""
    with pytest.raises(ConfigError, match=words):
        MixEnv(members)


@pytest.mark.parametrize("task", ["db", "d/train-1", "db/train", True])
def test_an_unknown_task_is_named(mix: MixEnv, task: object) -> None:
    """By id it is MEMBER/TASK."""
    with pytest.raises(UnknownNameError):
        mix.reset(seed=0, options={"task": task})


def test_a_dry_run_is_shown_where_the_member_has_one() -> None:
    """One that cannot be forked, or shall not be, is judged without; the others are as ever."""
    env = cmat_env.make(
        "cmat/Mix-v0", members={"db": Member("cmat/DB-v0"), "blind": Member("cmat/DB-v0", dry_run=False)}, dry_run=True
    )
    task: Any = env.task
    shown = {}
    for seed in (0, 1):
        env.reset(seed=seed)
        env.step("")  # the user says nothing of its own
        env.step(task.solution()[0])
        shown[task.name] = "Dry run:" in env.observe("checker_0")["message"]
    env.close()

    assert {"db": True, "blind": False} == shown


def test_an_evaluation_tells_the_members_apart() -> None:
    """Results by member, beside those by type; demonstrated without errors all are right."""
    report = evaluate(
        lambda: cmat_env.make("cmat/Mix-v0", members=MEMBERS),
        {"user": EchoPolicy(), "assistant": DemonstratorPolicy(), "checker": OracleChecker()},
        episodes=12,
        width=4,
    )

    assert {"chain": (4, 1.0), "db": (8, 1.0)} == {
        name: (score.episodes, score.success_rate) for name, score in report.by_member.items()
    }
    assert report == type(report).from_json(report.to_json())
    assert all("/" in kind for kind in report.by_type)
