"""Tasks by learnability: what succeeds sometimes is played more often, and nothing is never played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from cmat_env.collab import CollabEnv
from cmat_env.tuning.learnability import Kinds, Learnability
from cmat_env.types import Task
from tests.cmat_env.tuning.conftest import episode


def kind(seed: int) -> str:
    """A third of the tasks each."""
    return ("easy", "middling", "hard")[seed % 3]


def learned(**settings: float) -> Learnability:
    """One that has seen: easy always succeeds, middling half of the time, hard never."""
    tasks = Learnability(kind, **settings)  # type: ignore[arg-type]
    tasks.saw(episode(success=good, kind=name) for name, good in [("easy", True), ("middling", True), ("hard", False)])
    tasks.saw([episode(success=False, kind="middling")] * 2)
    return tasks


def test_weights_follow_p_times_one_less_p() -> None:
    """Middling: 0.5 * 1 + 0.5 * 0 = 0.5, so 4 * 0.25 = 1; the others keep the floor; an unknown kind weighs 1."""
    tasks = learned(floor=0.1, memory=0.5)

    assert {"easy": 1.0, "middling": 0.5, "hard": 0.0} == tasks.success
    assert [0.1, 1.0, 0.1, 1.0] == pytest.approx([tasks.weight(k) for k in ("easy", "middling", "hard", "unknown")])


def test_what_is_played_follows_the_weights() -> None:
    """Of three candidates, one of each kind, the middling one is chosen with 1 / 1.2 = 0.83; 5 deviations are 0.06."""
    chosen = Counter(kind(seed) for seed in learned(floor=0.1, memory=0.5, candidates=3).choose(0, 1000))

    assert 0.77 < chosen["middling"] / 1000 < 0.89
    assert min(chosen["easy"], chosen["hard"]) > 50


def test_one_candidate_is_taken_as_it_comes() -> None:
    """The task stream is as without any of this, and no task is looked up."""

    def never(seed: int) -> str:
        raise AssertionError(seed)

    assert [7, 8, 9] == list(Learnability(never).choose(7, 3))


def test_the_choice_depends_on_seed_and_success_alone() -> None:
    """The same again after a resume; another seed chooses otherwise."""
    tasks, again, other = (learned(candidates=4, seed=seed) for seed in (1, 1, 2))
    again.load_state_dict(tasks.state_dict())

    assert list(tasks.choose(64, 50)) == list(again.choose(64, 50)) != list(other.choose(64, 50))


def test_iterations_share_no_candidate() -> None:
    """Each seed comes from its own handful."""
    for position, seed in enumerate(learned(candidates=4).choose(100, 20)):
        assert 100 + 4 * position <= seed < 104 + 4 * position


def test_kinds_are_looked_up_in_one_environment(guess_task: Callable[..., Task]) -> None:
    """It is made when it is first asked, and closed once."""
    made: list[CollabEnv] = []

    def make() -> CollabEnv:
        made.append(CollabEnv(guess_task(), roles=("assistant",)))
        return made[-1]

    kinds = Kinds(make)
    assert [] == made
    assert kinds(3) in guess_task.task_types  # type: ignore[attr-defined]
    assert [kinds(3), kinds(4)] == [kinds(3), kinds(4)]
    assert 1 == len(made)
    kinds.close()
    kinds.close()
