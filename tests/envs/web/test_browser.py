"""The shop in a real Chromium: the same as in process, and robust against whatever happens to a browser."""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lxml.html
import pytest

from cmat_env.envs.web.browser import chromium
from cmat_env.envs.web.browser import surface as browser_surface
from cmat_env.envs.web.browser.chromium import Chromium
from cmat_env.envs.web.browser.server import ShopServer, Visit

pytestmark = pytest.mark.usefixtures("chromium")
Enter = Callable[..., Any]
trajectories: Any = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("trajectories.py"))))


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
    browser, server = Chromium.hold(headless=True), ShopServer.hold()
    yield
    browser.release()
    server.release()
    left = {process: Path(f"/proc/{process}/cmdline").read_bytes()[:80] for process in children() - before}
    assert {} == left


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
def test_a_browser_that_never_answers_truncates_with_the_reason(enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error without a word of its own, such as a time limit's, is no worse than others."""
    player = enter(browser=True)

    def silent(*_: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(player.env.surface, "_attempt", silent)
    assert "The browser was lost: TimeoutError: no answer in time" == player.do("search[lamp]")
    assert (True, "browser lost") == (player.over, player.info["outcome"])


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
        monkeypatch.setattr(browser_surface, "_PATIENCE", 10.0)
        monkeypatch.setattr(browser_surface, "_LIMIT", 15.0)
    player, undisturbed = enter(browser=True).at_shoes(), enter().at_shoes()
    surface = player.env.surface
    surface._chromium.call(lambda browser: surface._tab.evaluate(script))
    assert undisturbed.do("click[7]") == player.do("click[7]")
    assert undisturbed.do("click[reviews]") == player.do("click[reviews]")


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("victim", [b"playwright", b"chromium"])
def test_a_hang_is_found_within_its_bound(enter: Enter, monkeypatch: pytest.MonkeyPatch, victim: bytes) -> None:
    """Processes that are alive and do not answer are killed and replaced, within the sum of the limits."""
    assert (30.0, 5.0, 15.0, 15.0) == (browser_surface._LIMIT, browser_surface._CLOSE, chromium._PROBE, chromium._STOP)
    monkeypatch.setattr(browser_surface, "_LIMIT", 8.0)
    monkeypatch.setattr(browser_surface, "_CLOSE", 3.0)
    monkeypatch.setattr(chromium, "_PROBE", 3.0)
    monkeypatch.setattr(chromium, "_STOP", 3.0)
    player, undisturbed = enter(browser=True).at_shoes(), enter().at_shoes()
    frozen = [process for process in children() if victim in Path(f"/proc/{process}/cmdline").read_bytes()]
    for process in frozen:
        os.kill(process, signal.SIGSTOP)
    started = time.monotonic()
    assert undisturbed.do("click[7]") == player.do("click[7]")
    assert time.monotonic() - started < 8.0 + 3.0 + 3.0 + 3.0 + 30.0  # action, closing, probe, stop, and a new start
    assert not children().intersection(frozen)


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
        browser, server = Chromium._shared[os.getpid(), True], ShopServer._shared[os.getpid()]
        tabs = browser.call(lambda it: sum(len(context.pages) for context in it.contexts))
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), tabs, len(server._visits)

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


def test_a_port_in_use_is_not_taken() -> None:
    """Servers of several processes choose ports that are free, each its own; a port that is taken is never shared."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    with pytest.raises(OSError, match="in use"):
        ShopServer(port=taken.getsockname()[1])
    one, other = ShopServer(), ShopServer()
    one._holders = other._holders = 1
    assert 3 == len({taken.getsockname()[1], *(int(each.address.rpartition(":")[2]) for each in (one, other))})
    for each in (one, other):
        with urllib.request.urlopen(
            each.address + each.begin(Visit(trajectories.make().shop)) + "/", timeout=10
        ) as page:
            assert b"WebShop" in page.read()
        each.release()
    taken.close()


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
