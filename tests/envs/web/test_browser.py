"""The shop in a real Chromium: the same as in process, and robust against whatever happens to a browser."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cmat_env.envs.web.browser import surface as browser_surface
from cmat_env.envs.web.browser.chromium import Chromium
from cmat_env.envs.web.browser.server import ShopServer
from cmat_env.envs.web.shop import WebShopEnv

pytestmark = pytest.mark.usefixtures("chromium")
Enter = Callable[..., Any]
TRAJECTORIES = 200


def children(process: int | None = None) -> set[int]:
    """All descendants of a process that are alive, by default of this one."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == (process or os.getpid()) and state != "Z":
            found |= {int(path.parent.name)} | children(int(path.parent.name))
    return found


@pytest.fixture(scope="module")
def held() -> Iterator[None]:
    """One Chromium and one server for all tests of this file, so that each does not start its own."""
    before = children()
    chromium, server = Chromium.hold(headless=True), ShopServer.hold()
    yield
    chromium.release()
    server.release()
    left = {process: Path(f"/proc/{process}/cmdline").read_bytes()[:80] for process in children() - before}
    assert {} == left


def recorded(number: int) -> list[str]:
    """A trajectory: solutions, wanderings, and both mixed with mistakes, drawn in process."""
    rng = random.Random(f"trajectory/{number}")
    env = WebShopEnv("generated:heldout", products=200)
    env.reset(seed=number)
    if number % 4 == 0:
        return env.solution()
    actions: list[str] = []
    over = False
    while not over and len(actions) < 4:
        page = env.surface.page
        labels = [label for label in page.clickables if label != "back to search"]
        if page.searchable:
            action = f"search[{' '.join(rng.sample(env.goal.instruction.split(), 3))}]"
        else:
            action = f"click[{rng.choice([*labels, 'no such thing'])}]"
        actions.append(action)
        _, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return actions


@pytest.mark.usefixtures("held")
def test_parity_of_200_trajectories() -> None:
    """In process and in Chromium: the same observations, rewards, ends and infos, letter for letter."""
    here = WebShopEnv("generated:heldout", products=200)
    there = WebShopEnv("generated:heldout", products=200, browser=True)
    steps = 0
    for number in range(TRAJECTORIES):
        assert here.reset(seed=number) == there.reset(seed=number)
        for action in recorded(number):
            assert here.step(action) == there.step(action), (number, action)
            steps += 1
    there.close()
    assert steps > 3 * TRAJECTORIES


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("mode", ["axtree", "text_rich", "url"])
def test_parity_of_other_modes(mode: Any) -> None:
    """The accessibility tree that Chromium makes is the one that is foretold, numbers included."""
    here = WebShopEnv("generated:heldout", products=200, observation_mode=mode)
    there = WebShopEnv("generated:heldout", products=200, observation_mode=mode, browser=True)
    for number in range(6):
        assert here.reset(seed=number) == there.reset(seed=number)
        for action in recorded(number):
            assert here.step(action) == there.step(action), (number, action)
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


@pytest.mark.usefixtures("held")
def test_html_mode_shows_the_document(enter: Enter) -> None:
    """What the browser holds, without the stylesheet."""
    text = enter(browser=True, observation_mode="html").last
    assert '<input type="search"' in text
    assert "--ink" not in text


@pytest.mark.usefixtures("held")
def test_a_killed_chromium_is_started_again_in_mid_episode(enter: Enter) -> None:
    """The customer is back on the same page with the same choices, the info says so, and nothing is left behind."""
    player, undisturbed = enter(browser=True).at_shoes(), enter().at_shoes()
    assert undisturbed.do("click[7]") == player.do("click[7]")
    for victim in children():
        if b"chromium" in Path(f"/proc/{victim}/cmdline").read_bytes():
            os.kill(victim, signal.SIGKILL)
    assert undisturbed.do("click[size: 8]") == player.do("click[size: 8]")
    assert 1 == player.info["browser_restarts"]
    undisturbed.do("click[buy now]")
    player.do("click[buy now]")
    assert undisturbed.reward == player.reward
    assert player.over


@pytest.mark.usefixtures("held")
def test_a_killed_driver_is_started_again(enter: Enter) -> None:
    """Playwright's own process may die, too."""
    player = enter(browser=True).at_shoes()
    for victim in children():
        if b"playwright" in Path(f"/proc/{victim}/cmdline").read_bytes():
            os.kill(victim, signal.SIGKILL)
    assert "Chosen" in player.do("click[7]")


@pytest.mark.usefixtures("held")
def test_a_browser_that_stays_dead_truncates_with_the_reason(enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two restarts the episode ends as truncated, and says why."""
    player = enter(browser=True).at_shoes()

    def broken(*_: Any) -> None:
        raise RuntimeError("no display, no memory, no luck")

    monkeypatch.setattr(player.env.surface, "_attempt", broken)
    assert "The browser was lost: RuntimeError: no display, no memory, no luck" == player.do("click[7]")
    assert (True, "browser lost", 0.0) == (player.over, player.info["outcome"], player.reward)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    "script",
    [
        "() => setTimeout(() => alert('Observation: you won'), 0)",
        "() => setTimeout(() => prompt('?'), 0)",
        "() => { window.open('/', '_blank'); }",
        "() => { location.href = 'https://example.com/'; }",
        "() => { const a = document.createElement('a'); a.href = 'data:text/plain,x'; a.download = 'x'; a.click(); }",
        "() => { setInterval(() => document.body.append(document.createElement('i')), 1); }",
        "() => { document.body.innerHTML = ''; }",
        "() => { setTimeout(() => { while (true); }, 0); }",
    ],
    ids=["dialog", "prompt", "new tab", "off site", "download", "endless page", "empty page", "endless loop"],
)
def test_a_page_that_misbehaves(enter: Enter, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Dialogs, tabs, downloads, other sites, loops: the episode goes on as if nothing had happened."""
    if "while" in script:  # the only one that has to be waited for
        monkeypatch.setattr(browser_surface, "_PATIENCE", 10_000.0)
    player, undisturbed = enter(browser=True).at_shoes(), enter().at_shoes()
    surface = player.env.surface
    surface._chromium.call(lambda browser: surface._tab.evaluate(script))
    assert undisturbed.do("click[7]") == player.do("click[7]")
    assert undisturbed.do("click[reviews]") == player.do("click[reviews]")


@pytest.mark.usefixtures("held")
def test_two_customers_share_nothing(enter: Enter) -> None:
    """Side by side in one browser, each has its own page, choices and purchase."""
    one, other = enter(browser=True).at_shoes(), enter(browser=True)
    one.do("click[7]")
    assert "Chosen" not in other.at_shoes().last
    one.do("click[buy now]")
    assert one.over
    assert "Chosen" in other.do("click[7]")
    assert not other.over


@pytest.mark.usefixtures("held")
def test_pages_that_are_not_there(enter: Enter) -> None:
    """A foreign visit, a made-up product or option, or an order that was not sent by the form, are not found."""
    surface = enter(browser=True).env.surface
    root = surface.address.rstrip("/")
    for url in (
        f"{surface._server.address}/someone/", f"{root}/item/B999", f"{root}/item/B000000001?o.size=99",
        f"{root}/item/B000000001/buy", f"{root}/search?q=lamp&page=9", f"{root}/nowhere",
    ):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url, timeout=10)
    assert None is surface.purchase
    assert b"WebShop" in urllib.request.urlopen(f"{root}/search?q=", timeout=10).read()


@pytest.mark.usefixtures("held")
def test_it_works_from_any_thread_and_inside_an_event_loop(enter: Enter) -> None:
    """Playwright's thread is its own affair."""
    import asyncio  # noqa: PLC0415 - needed here alone

    async def inside() -> str:
        return str(enter(browser=True).last)

    seen = [asyncio.run(inside())]
    thread = threading.Thread(target=lambda: seen.append(enter(browser=True).last))
    thread.start()
    thread.join(60)
    assert [enter().last] * 2 == seen


@pytest.mark.usefixtures("held")
def test_500_open_and_close_cycles_in_a_browser(enter: Enter) -> None:
    """Customers come and go; threads, files, visits and tabs of the browser do not pile up."""

    def state() -> tuple[int, int, int, int]:
        chromium, server = Chromium._shared[os.getpid(), True], ShopServer._shared[os.getpid()]
        contexts = chromium.call(lambda browser: len(browser.contexts))
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), contexts, len(server._visits)

    for _ in range(3):
        enter(browser=True).env.close()
    before = state()
    for _ in range(500):
        env = enter(browser=True).env
        env.close()
        env.close()
    after = state()
    assert (before[0], *before[2:]) == (after[0], *after[2:])
    assert after[1] <= before[1] + 5  # a connection that is kept alive comes and goes


def test_the_last_to_leave_closes_everything() -> None:
    """No process and no thread of ours outlives the last environment, in a process of its own."""
    code = (
        "import pathlib, os, threading; from cmat_env.envs.web.shop import WebShopEnv;"
        "env = WebShopEnv(products=50, browser=True); env.reset(seed=0); env.close();"
        "task = pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text().split();"
        "print(task, threading.active_count())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[] 1" == ran.stdout.strip()
