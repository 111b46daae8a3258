"""The shop in a real Chromium, whatever happens to it: it is killed, it hangs, a page misbehaves."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cmat_env.envs.web.browser import chromium
from cmat_env.envs.web.browser import server as shop_server
from cmat_env.envs.web.browser import surface as browser_surface

pytestmark = [pytest.mark.usefixtures("chromium"), pytest.mark.usefixtures("held")]
Enter = Callable[..., Any]
Processes = Callable[..., set[int]]


def test_a_killed_chromium_is_started_again_in_mid_episode(enter: Enter, processes: Processes) -> None:
    """The customer is back on the same page with the same choices, the info says so, and nothing is left behind."""
    player, undisturbed = enter(browser=True).at_shoes(), enter().at_shoes()
    assert undisturbed.do("click[7]") == player.do("click[7]")
    for victim in processes(b"chromium"):
        with contextlib.suppress(ProcessLookupError):  # it went with the one before
            os.kill(victim, signal.SIGKILL)
    assert undisturbed.do("click[size: 8]") == player.do("click[size: 8]")
    assert 1 == player.info["browser_restarts"]
    undisturbed.do("click[buy now]")
    player.do("click[buy now]")
    assert undisturbed.reward == player.reward
    assert player.over


def test_a_killed_driver_is_started_again(enter: Enter, processes: Processes) -> None:
    """Playwright's own process may die, too."""
    player = enter(browser=True).at_shoes()
    for victim in processes(b"playwright"):
        with contextlib.suppress(ProcessLookupError):  # it went with the one before
            os.kill(victim, signal.SIGKILL)
    assert "Chosen" in player.do("click[7]")


def test_a_browser_that_stays_dead_truncates_with_the_reason(enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two restarts the episode ends as truncated, and says why."""
    player = enter(browser=True).at_shoes()

    def broken(*_: Any) -> None:
        raise RuntimeError("no display, no memory, no luck")

    monkeypatch.setattr(player.env.surface, "_attempt", broken)
    assert "The browser was lost: RuntimeError: no display, no memory, no luck" == player.do("click[7]")
    assert (True, "browser lost", 0.0) == (player.over, player.info["outcome"], player.reward)


def test_a_browser_that_never_answers_truncates_with_the_reason(enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error without a word of its own, such as a time limit's, is no worse than others."""
    player = enter(browser=True)

    def silent(*_: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(player.env.surface, "_attempt", silent)
    assert "The browser was lost: TimeoutError: no answer in time" == player.do("search[lamp]")
    assert (True, "browser lost") == (player.over, player.info["outcome"])


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
    """Dialogs, tabs, downloads, other sites, loops: the episode goes on as if nothing had happened.

    Without the policy that would keep most of it from happening at all.
    """
    monkeypatch.setattr(shop_server, "_HEADERS", {})
    if "while" in script:  # the only one that has to be waited for
        monkeypatch.setattr(browser_surface, "_PATIENCE", 3.0)
        monkeypatch.setattr(browser_surface, "_LIMIT", 4.5)
    player, undisturbed = enter(browser=True).at_shoes(), enter().at_shoes()
    surface = player.env.surface
    surface._chromium.call(lambda browser: surface._tab.evaluate(script))
    assert undisturbed.do("click[7]") == player.do("click[7]")
    assert undisturbed.do("click[reviews]") == player.do("click[reviews]")


@pytest.mark.parametrize("victim", [b"playwright", b"chromium"])
def test_a_hang_is_found_within_its_bound(
    enter: Enter, processes: Processes, monkeypatch: pytest.MonkeyPatch, victim: bytes
) -> None:
    """Processes that are alive and do not answer are killed and replaced, within the sum of the limits."""
    assert (30.0, 5.0, 15.0, 15.0) == (browser_surface._LIMIT, browser_surface._CLOSE, chromium._PROBE, chromium._STOP)
    monkeypatch.setattr(browser_surface, "_LIMIT", 3.0)
    monkeypatch.setattr(browser_surface, "_CLOSE", 1.0)
    monkeypatch.setattr(chromium, "_PROBE", 1.0)
    monkeypatch.setattr(chromium, "_STOP", 1.0)
    player, undisturbed = enter(browser=True).at_shoes(), enter().at_shoes()
    frozen = processes(victim)
    for process in frozen:
        os.kill(process, signal.SIGSTOP)
    started = time.monotonic()
    assert undisturbed.do("click[7]") == player.do("click[7]")
    assert time.monotonic() - started < 3.0 + 1.0 + 1.0 + 1.0 + 30.0  # action, closing, probe, stop, and a new start
    assert not processes() & frozen


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
