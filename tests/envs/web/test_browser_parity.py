"""The shop in a real Chromium is the shop in process: the same observations, rewards, ends and infos."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lxml.html
import pytest

pytestmark = pytest.mark.usefixtures("chromium")
Enter = Callable[..., Any]
trajectories: Any = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("trajectories.py"))))


def in_json(said: list[list[Any]]) -> Any:
    """As it looks after a way through JSON."""
    return json.loads(json.dumps(said))


def test_recorded_trajectories_in_process() -> None:
    """What 200 recorded customers read and earned is what they would read and earn now."""
    env, recorded = trajectories.make(), trajectories.recorded()
    for trajectory in recorded:
        said = trajectories.play(env, trajectory)
        assert (trajectory["digest"], trajectory["reward"]) == (trajectories.digest(said), said[-1][1]), trajectory
    assert 200 == len(recorded)
    assert {"gold", "random", "odd", "wander"} == {trajectory["kind"] for trajectory in recorded}
    assert 20 == max(len(trajectory["actions"]) for trajectory in recorded)
    assert {1.0} == {trajectory["reward"] for trajectory in recorded if trajectory["kind"] == "gold"}


def test_parity_of_200_recorded_trajectories() -> None:
    """In process and in Chromium: the same observations, rewards, ends and infos, letter for letter.

    Two processes, each with a Chromium of its own, share the work.
    """
    script = Path(__file__).with_name("trajectories.py")
    players = [
        subprocess.Popen([sys.executable, script, "play", str(start), "2"], stdout=subprocess.PIPE, text=True)
        for start in range(2)
    ]
    env, played = trajectories.make(), 0
    try:
        for number, trajectory in enumerate(trajectories.recorded()):
            line = players[number % 2].stdout.readline()  # type: ignore[union-attr]
            assert in_json(trajectories.play(env, trajectory)) == json.loads(line or "null"), trajectory
            played += 1
    finally:
        for player in players:
            if played < trajectories.NUMBER:
                player.kill()
            player.communicate(timeout=60)
    assert (200, [0, 0]) == (played, [player.returncode for player in players])


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("mode", ["axtree", "text_rich", "url"])
def test_parity_of_other_modes(mode: Any) -> None:
    """The accessibility tree that Chromium makes is the one that is foretold, numbers included."""
    here, there = trajectories.make(mode=mode), trajectories.make(mode=mode, browser=True)
    for trajectory in trajectories.recorded()[:7]:
        assert trajectories.play(here, trajectory) == trajectories.play(there, trajectory), trajectory
    there.close()


def tree(observation: str) -> list[tuple[Any, ...]]:
    """The document of an html observation: every element with attributes and words, whoever wrote it down."""
    text = observation.partition("Observation:\n")[2].rpartition("\n\nAvailable Actions:\n")[0]
    # Chromium writes what has no value as an empty value, and puts blanks where it likes.
    return [
        (each.tag, sorted((name, value.replace("checked", "")) for name, value in each.items()),
         " ".join((each.text or "").split()), " ".join((each.tail or "").split()))
        for each in lxml.html.fromstring(text).iter()
    ]  # fmt: skip


@pytest.mark.usefixtures("held")
def test_parity_of_html_mode() -> None:
    """Chromium's document has the elements, attributes, addresses and words of the one drawn in process."""
    here, there = trajectories.make(mode="html"), trajectories.make(mode="html", browser=True)
    for trajectory in trajectories.recorded()[:6]:
        for ours, theirs in zip(trajectories.play(here, trajectory), trajectories.play(there, trajectory), strict=True):
            assert tree(ours[0]) == tree(theirs[0])
            assert ours[1:] == theirs[1:]
    there.close()


@pytest.mark.usefixtures("held")
def test_odd_labels_and_hostile_text_are_the_same_in_both(enter: Enter) -> None:
    """Brackets, accents, ambiguous labels, page text that imitates the environment, a choice made twice."""
    here, there = enter(), enter(browser=True)
    for action in (
        "search[office chair]", "click[b000000002]", "click[back to search]", "search[running & shoes = ü +%]",
        "click[b000000001]", "click[red [matte]]", "click[red [matte]]", "click[crème brûlée]", "click[size: buy now]",
        "click[reviews]", "click[< prev]", "click[buy now]",
    ):  # fmt: skip
        assert here.do(action) == there.do(action), action
    assert here.reward == there.reward
    assert here.over and there.over
