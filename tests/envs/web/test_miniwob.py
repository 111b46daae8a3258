"""MiniWoB++ for real: in Debian's Chromium with its driver, offline."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import psutil
import pytest

from cmat_env.envs.web.miniwob import MiniWoBEnv
from cmat_env.envs.web.miniwob.env import NO_ACTION
from cmat_env.errors import ConfigError, UnknownNameError

pytestmark = pytest.mark.usefixtures("driver")


@pytest.fixture(scope="module")
def driver(chromium: str) -> str:
    """Chromium's driver; without it tests are skipped, or fail under CI=true."""
    found = shutil.which("chromedriver")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no chromedriver")
        pytest.skip("there is no chromedriver")
    return found


def test_there_are_at_least_20_scripted_games() -> None:
    """The promise of the documentation."""
    assert len(MiniWoBEnv.games()) >= 20


@pytest.mark.parametrize("game", MiniWoBEnv.games())
def test_scripted_solutions_win(game: str) -> None:
    """Two seeds of each game are won."""
    env = MiniWoBEnv(game)
    try:
        for seed in (1, 2):
            text, info = env.reset(seed=seed)
            assert text.startswith("Task: ")
            assert {"task_id": f"{game}-{seed}", "task_type": game} == info
            for action in env.solution():
                _, reward, terminated, truncated, info = env.step(action)
            assert (1.0, True, False, "correct") == (reward, terminated, truncated, info["outcome"]), text
    finally:
        env.close()


@pytest.fixture(scope="module")
def button() -> Iterator[MiniWoBEnv]:
    """A game that several tests play."""
    env = MiniWoBEnv("click-button", max_rounds=8)
    yield env
    env.close()
    env.close()


def test_mistakes_are_answered_and_counted(button: MiniWoBEnv) -> None:
    """What cannot be done changes nothing; the round limit truncates."""
    first, _ = button.reset(seed=3)
    for action, note in (
        ("", NO_ACTION),
        ("click 3", NO_ACTION),
        ("click[999]", "Element 999 is not on this page."),
        ("click[x]", "'x' is no whole number."),
        ("press[Hyper]", "There is no key 'Hyper'."),
        ("at[1]", "A place is two whole numbers"),
        ("type[]", "'' is no whole number."),
    ):
        text, reward, terminated, truncated, _ = button.step(action)
        assert text.startswith(f"Note: {note}")
        assert text.endswith(first)
        assert (0.0, False, False) == (reward, terminated, truncated)
    *_, truncated, info = button.step("hello")
    assert (True, "round limit", 8) == (truncated, info["outcome"], info["metrics"]["mistakes"])


def test_the_same_seed_asks_the_same(button: MiniWoBEnv) -> None:
    """A seed decides the page."""
    assert button.reset(seed=5)[0] == button.reset(seed=5)[0]
    assert len({button.reset(seed=seed)[0] for seed in range(5)}) > 1


def test_no_process_is_left() -> None:
    """Neither the driver nor any of the browser's, whoever their parent is by then."""
    before = set(psutil.Process().children(recursive=True))
    env = MiniWoBEnv("click-test")
    env.reset(seed=1)
    started = set(psutil.Process().children(recursive=True)) - before
    env.close()

    assert len(started) > 3
    _, left = psutil.wait_procs(started, timeout=10)
    assert [] == [process.name() for process in left]


def test_mistakes_in_settings_are_told() -> None:
    """An unknown game names the nearest."""
    with pytest.raises(UnknownNameError, match="did you mean 'click-button'"):
        MiniWoBEnv("click-buton")
    with pytest.raises(UnknownNameError, match=r"no game is called '\.\./\.\./etc/passwd'"):
        MiniWoBEnv("../../etc/passwd")
    with pytest.raises(ConfigError, match="max_rounds=0"):
        MiniWoBEnv(max_rounds=0)
