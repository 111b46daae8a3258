"""PettingZoo's and Gymnasium's own test functions, on every registered id; docs/checks.md: what they see of text."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test.api_test import api_test
from pettingzoo.test.parallel_test import parallel_api_test
from pettingzoo.test.seed_test import parallel_seed_test, seed_test

import cmat_env
from cmat_env.errors import CmatError
from cmat_env.views import ParallelCollab

IDS = [name for name in cmat_env.list_envs() if name.startswith("cmat/")]
CYCLES = 12


def _gymnasium(name: str) -> None:
    task = cmat_env.make_task(name)
    try:
        check_env(task, skip_render_check=True)
    finally:
        task.close()


def _aec(name: str) -> None:
    env = cmat_env.make(name)
    try:
        api_test(env, num_cycles=CYCLES)  # type: ignore[no-untyped-call]
    finally:
        env.close()


def _parallel(name: str) -> None:
    env = cmat_env.parallel_env(name)
    try:
        parallel_api_test(env, num_cycles=CYCLES)
    finally:
        env.close()


def _seeds(name: str) -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(cmat_env.make(name))
        return made[-1]

    def make_parallel() -> ParallelCollab:
        made.append(cmat_env.parallel_env(name))
        return made[-1]  # type: ignore[no-any-return]

    try:
        seed_test(make, num_cycles=CYCLES)  # type: ignore[no-untyped-call]
        parallel_seed_test(make_parallel, num_cycles=CYCLES)  # type: ignore[no-untyped-call]
    finally:
        for env in made:
            env.close()


@pytest.mark.parametrize("check", [_gymnasium, _aec, _parallel, _seeds], ids=lambda check: check.__name__.strip("_"))
@pytest.mark.parametrize("name", IDS)
def test_the_tests_of_others_pass(name: str, check: Callable[[str], None]) -> None:
    """With actions drawn from the space. What is not installed is skipped, and fails under CI=true."""
    try:
        cmat_env.make_task(name).close()
    except (CmatError, OSError) as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{name} cannot be made here: {error}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        check(name)


def test_none_is_forgotten() -> None:
    """The ids that we ship."""
    tasks = {"DB", "KG", "OS", "WebShop", "WebPages", "MiniWoB", "ReasoningGym", "TextArena", "Mix"}
    composite = {"DB-Composite", "KG-Composite", "WebShop-Composite"}

    assert tasks | composite == {name.removeprefix("cmat/").removesuffix("-v0") for name in IDS}
