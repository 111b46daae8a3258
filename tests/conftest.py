"""Fixtures that every room may use: a tiny task, and the AgentBench files."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from cmat_env.envs.web.browser.chromium import find_chromium
from cmat_env.errors import ConfigError
from cmat_env.spaces import AnyText
from cmat_env.types import Judgement

LONG = ("test_browser_parity.py", "test_browser_customers.py", "test_train.py", "test_resume.py")
"""Files of a minute or more of processor time; the processes of `make test` begin with them, so as to end together."""


def needed(module: str, *, extra: str) -> Any:
    """A module of one of our extras; without it the tests that ask for it are skipped, or fail under CI=true."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = f"{error}; run: pip install 'cmat-env[{extra}]'"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing, allow_module_level=True)


def needs(module: str, *, extra: str) -> pytest.MarkDecorator:
    """The same for single tests: a mark that skips them, except under CI=true, where they run and fail."""
    skips = os.environ.get("CI") != "true" and importlib.util.find_spec(module) is None
    return pytest.mark.skipif(skips, reason=f"{module} is not installed; run: pip install 'cmat-env[{extra}]'")


def pytest_configure() -> None:
    """No test pulls the plug, and what a kill leaves does not wait for the disk: so no test does."""
    os.fsync = os.fstat  # type: ignore[assignment]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order is the same in every process."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_collection_finish() -> None:
    """What has been imported stays: garbage is not looked for in it, again and again, by tests that collect it."""
    gc.collect()
    gc.freeze()


class GuessTask(gymnasium.Env[str, str]):
    """Find a number from 1 to `highest`; each guess is answered with "higher" or "lower".

    The smallest task with every extra of the contract, and fast: nothing but integers.
    """

    task_types = ("even", "odd")
    instructions = "Find the number. Answer with a number."

    def __init__(self, *, highest: int = 16, max_rounds: int = 8) -> None:
        self.highest = highest
        self.max_rounds = max_rounds
        self.observation_space = AnyText(1000)
        self.action_space = AnyText(1000)
        self.secret = self.low = self.high = self.rounds = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Think of a number; options={"task": n} says which."""
        super().reset(seed=seed)
        self.secret = int((options or {}).get("task") or self.np_random.integers(1, self.highest + 1))
        self.low, self.high, self.rounds = 1, self.highest, 0
        return f"Guess a number from 1 to {self.highest}.", self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Guess."""
        guess = self._read(action)
        self.rounds += 1
        if guess == self.secret:
            return "correct", 1.0, True, False, {**self._info(), "success": True, "score": 1.0, "outcome": "correct"}
        observation = "say a number"
        if guess is not None:
            observation = "higher" if guess < self.secret else "lower"
            self.low = max(self.low, guess + 1) if guess < self.secret else self.low
            self.high = min(self.high, guess - 1) if guess > self.secret else self.high
        if self.rounds < self.max_rounds:
            return observation, 0.0, False, False, self._info()
        end = {"success": False, "score": 0.0, "outcome": "round limit"}
        return observation, 0.0, False, True, {**self._info(), **end}

    def judge(self, action: str) -> Judgement | None:
        """A guess is good if the answers so far allow it."""
        guess = self._read(action)
        if guess is None:
            return Judgement(good=False, reason="no number")
        return Judgement(good=self.low <= guess <= self.high, reason=f"{self.low} to {self.high} are left")

    def solution(self) -> list[str]:
        """The number."""
        return [str(self.secret)]

    def demonstrate(self, rng: random.Random | np.random.Generator, rejected: Sequence[str] = ()) -> str:
        """Any number that is still possible."""
        return str(self.low + int(rng.random() * (self.high - self.low + 1)))

    def snapshot(self) -> tuple[int, ...]:
        """All there is to know."""
        return (self.secret, self.low, self.high, self.rounds)

    def restore(self, snapshot: tuple[int, ...]) -> None:
        """Back to then."""
        self.secret, self.low, self.high, self.rounds = snapshot

    def _info(self) -> dict[str, Any]:
        return {"task_id": f"guess-{self.secret}", "task_type": self.task_types[self.secret % 2]}

    def _read(self, action: str) -> int | None:
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*", action[:100])
        return int(match[1]) if match else None


@pytest.fixture
def guess_task() -> type[GuessTask]:
    """The class of the tiny task; call it to make one."""
    return GuessTask


@pytest.fixture(scope="session")
def agentbench() -> Path:
    """The folder of AgentBench files beside the checkout; without it the test is skipped, or fails under CI=true."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "agentbench"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{folder} is missing")
        pytest.skip(f"{folder} is missing")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; without it the test is skipped, or fails under CI=true."""
    try:
        return find_chromium(headless=True)
    except ConfigError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
