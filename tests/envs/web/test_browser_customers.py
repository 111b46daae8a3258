"""Customers in one Chromium: they share nothing, and leave nothing behind."""

from __future__ import annotations

import gc
import os
import runpy
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cmat_env.envs.web.browser.chromium import Chromium
from cmat_env.envs.web.browser.server import ShopServer, Visit

pytestmark = pytest.mark.usefixtures("chromium")
Enter = Callable[..., Any]
trajectories: Any = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("trajectories.py"))))
# What a page could leave behind for another, and what it finds; each is tried by itself.
LEAVE = """() => {
  const tried = (leave) => { try { leave(); } catch { /* not allowed: all the better */ } };
  tried(() => { document.cookie = 'left=here; path=/'; });
  tried(() => localStorage.setItem('left', 'here'));
  tried(() => sessionStorage.setItem('left', 'here'));
  tried(() => indexedDB.open('left'));
  tried(() => caches.open('left'));
  tried(() => { window.left = 'here'; });
}"""
FIND = """async () => {
  const found = async (look) => { try { return await look() || null; } catch { return null; } };
  return [
    await found(() => document.cookie), await found(() => localStorage.getItem('left')),
    await found(() => sessionStorage.getItem('left')), await found(async () => (await indexedDB.databases()).length),
    await found(() => caches.has('left')), await found(() => window.left),
  ];
}"""


def on_page(player: Any, script: str) -> Any:
    """What a script on a customer's page gives."""
    surface = player.env.surface
    return surface._chromium.call(lambda browser: surface._tab.evaluate(script))


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
def test_nothing_that_a_page_leaves_reaches_another_episode(enter: Enter) -> None:
    """Neither a cookie nor any storage: not the customer beside, not the next episode, not who comes later."""
    one, beside = enter(browser=True).at_shoes(), enter(browser=True).at_shoes()
    on_page(one, LEAVE)
    assert [None] * 5 + ["here"] == on_page(one, FIND)
    assert [None] * 6 == on_page(beside, FIND)
    one.env.reset(seed=1)
    assert [None] * 6 == on_page(one, FIND)
    one.env.close()
    assert [None] * 6 == on_page(enter(browser=True), FIND)
    kept = beside.env.surface._chromium.call(lambda browser: [each.cookies() for each in browser.contexts])
    assert [[]] == kept


@pytest.mark.usefixtures("held")
def test_a_script_in_a_page_does_not_run(enter: Enter) -> None:
    """The shop's pages run the one script of theirs; a text that got into a page as markup could do nothing."""
    player = enter(browser=True).at_shoes()
    script = """() => {
      const script = document.createElement('script');
      script.textContent = "document.title = 'taken'";
      document.body.append(script);
      document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="document.title = 1">');
      document.body.insertAdjacentHTML('beforeend', '<iframe src="/"></iframe><form action="http://127.0.0.2/"></form>');
      document.forms[document.forms.length - 1].submit();
      return new Promise(done => setTimeout(() => done([document.title, location.hostname]), 300));
    }"""
    title, host = on_page(player, script)
    assert title.startswith("Norvale Red Running Shoes")
    assert "127.0.0.1" == host
    assert "Chosen" in player.do("click[7]")


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
def test_500_open_and_close_cycles_in_a_browser(enter: Enter, processes: Callable[..., set[int]]) -> None:
    """While one customer stays, 500 come and go: threads, files, processes, tabs, visits and memory do not pile up."""
    staying = enter(browser=True).at_shoes()

    def state() -> tuple[int, int, int, int]:
        browser, server = Chromium._shared[os.getpid(), True], ShopServer._shared[os.getpid()]
        tabs = browser.call(lambda it: sum(len(context.pages) for context in it.contexts))
        return threading.active_count(), len(processes()), tabs, len(server._visits)

    def files_and_memory() -> tuple[int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return len(list(Path("/proc/self/fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE")

    def cycle() -> None:
        env = trajectories.make(browser=True)
        env.reset(seed=1)
        env.close()
        env.close()

    for _ in range(10):
        cycle()
    before, (files, memory) = state(), files_and_memory()
    for _ in range(500):
        cycle()
    assert before == state()
    now, used = files_and_memory()
    assert now <= files + 5  # a connection that is kept alive comes and goes
    assert used - memory < 30_000_000
    assert "Chosen" in staying.do("click[7]")


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
