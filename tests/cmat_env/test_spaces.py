"""AnyText holds any string up to its length, samples plausible text, and behaves in Gymnasium's containers."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Dict, Discrete, Text, Tuple
from gymnasium.vector import SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st

from cmat_env.spaces import AnyText


@given(st.text(max_size=50))
def test_any_string_up_to_the_length_is_contained(text: str) -> None:
    """Characters never matter, the number of them does."""
    assert AnyText(50).contains(text)
    assert AnyText(len(text)).contains(text)
    assert not AnyText(len(text)).contains(text + "x")


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["a"], np.array("a")])
def test_only_strings_are_contained(value: Any) -> None:
    """What is no string is not in the space, and asking is no error."""
    assert not AnyText(50).contains(value)


def test_the_least_length_counts() -> None:
    """min_length is inclusive."""
    space = AnyText(5, min_length=2)

    assert [False, True, True, False] == [space.contains("x" * n) for n in (1, 2, 5, 6)]


@pytest.mark.parametrize(
    "space", [AnyText(), AnyText(7), AnyText(300, min_length=200), AnyText(0), AnyText(3, min_length=3)]
)
def test_samples_are_in_the_space(space: AnyText) -> None:
    """Every sample keeps both lengths, whatever they are."""
    space.seed(1)

    assert all(space.contains(space.sample()) for _ in range(200))


def test_samples_are_plausible_text() -> None:
    """A random policy says things like queries and verdicts, not line noise."""
    space = AnyText(seed=0)
    samples = [space.sample() for _ in range(200)]

    assert any(sample.startswith("SELECT ") for sample in samples)
    assert any(sample.startswith("Verdict: ") for sample in samples)
    assert len(set(samples)) > 100


def test_samples_follow_the_seed_and_nothing_else() -> None:
    """The same seed gives the same samples, and no global generator is touched."""
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    one, other = AnyText(seed=3), AnyText(seed=3)

    assert [one.sample() for _ in range(5)] == [other.sample() for _ in range(5)]
    assert before == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]


def test_a_mask_samples_from_the_printable_characters() -> None:
    """Gymnasium's masks still work."""
    space = AnyText(50, seed=0)
    mask = np.zeros(len(space.character_list), dtype=np.int8)
    mask[space.character_list.index("z")] = 1

    assert space.sample(mask=(4, mask)) == "zzzz"


def test_equality_is_of_kind_and_lengths() -> None:
    """Two spaces are equal when they hold the same strings."""
    assert AnyText(9) == AnyText(9, seed=4)
    assert AnyText(9) != AnyText(8)
    assert AnyText(9) != AnyText(9, min_length=1)
    assert AnyText(9) != Text(9)


def test_repr_is_short() -> None:
    """A space prints in a line of an error message."""
    assert repr(AnyText(50)) == "AnyText(50)"
    assert repr(AnyText(50, min_length=2)) == "AnyText(50, min_length=2)"


def test_pickles_small_and_goes_on_sampling_alike() -> None:
    """A pickle or copy is under 1 kB and keeps the generator's state."""
    space = AnyText(50, seed=3)
    space.sample()
    data = pickle.dumps(space)
    twins = pickle.loads(data), copy.deepcopy(space)

    expected = [space.sample() for _ in range(3)]
    assert len(data) < 1000
    for twin in twins:
        assert twin == space
        assert expected == [twin.sample() for _ in range(3)]
        assert twin.character_list == space.character_list


def test_jsonable_there_and_back() -> None:
    """A batch survives JSON, also as numpy strings."""
    space = AnyText(50)

    assert ["", "é🦊"] == space.from_jsonable(space.to_jsonable(["", np.str_("é🦊")]))
    assert str is type(space.to_jsonable([np.str_("a")])[0])


def test_works_inside_containers() -> None:
    """Dict and Tuple spaces contain, sample and seed it as any other."""
    space = Dict({"message": AnyText(1000), "pair": Tuple((AnyText(1000), Discrete(3)))})
    space.seed(5)
    first = space.sample()
    space.seed(5)

    assert space.contains(first)
    assert first == space.sample()
    assert not space.contains({"message": 1, "pair": ("", 0)})


def test_works_in_a_vector_of_environments(guess_task: Any) -> None:
    """Text comes out of SyncVectorEnv as a tuple of strings, action strings go in."""
    envs: Any = SyncVectorEnv([lambda: guess_task(max_rounds=3), lambda: guess_task(max_rounds=3)])
    observations, _ = envs.reset(seed=1, options={"task": 5})
    replies, rewards, *_ = envs.step(("5", "4"))

    assert ("Guess a number from 1 to 16.",) * 2 == observations
    assert ("correct", "higher") == replies
    assert [1.0, 0.0] == rewards.tolist()
    envs.close()


def test_flattening_is_refused_inside_a_dict() -> None:
    """No fixed array holds any text, and the space says so."""
    assert AnyText(50).is_np_flattenable is False
    assert isinstance(gymnasium.spaces.flatten_space(Dict({"message": AnyText(50)})), Dict)
