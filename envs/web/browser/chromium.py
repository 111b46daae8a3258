"""One Chromium for all environments of a process, driven by Playwright from a thread of its own.

Playwright's synchronous interface belongs to the thread that started it and refuses to run inside an event loop; with
a thread of its own, environments may be used from any thread, from notebooks too.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from cmat_env.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

T = TypeVar("T")
PLACE = "CMAT_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The same pages for less processor time, but it has no window. First Debian's program itself: whoever ends what he has
# started, as Chromium's driver does, would end the script of that name alone.
_SHELLS = ("/usr/lib/chromium/chromium-headless-shell", "chromium-headless-shell")
_FLAGS = (
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-software-rasterizer",
    # Pages are small: one renderer for all of them, with one thread to paint.
    "--renderer-process-limit=1",
    "--process-per-site",
    "--num-raster-threads=1",
    # A page takes the frame of the one before it, for a third less processor time than with one of its own. (Chromium
    # heeds the last of these switches; the first feature is what Playwright's own has.)
    "--enable-features=CDPScreenshotNewSurface,RenderDocument:level/crashed-frame",
    # Nothing but the own machine is reached, whatever a page links to.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_STOP = 15.0
_PROBE = 15.0


def find_chromium(*, headless: bool = False) -> str:
    """Where the browser is: CMAT_CHROMIUM, or the first of the usual names.

    Args:
        headless: no window is needed.

    Raises:
        ConfigError: there is none.
    """
    named = os.environ.get(PLACE)
    names = (*_SHELLS, *_NAMES) if headless else _NAMES
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise ConfigError(
            f"{PLACE}={named!r} is no program"
            if named
            else f"there is no Chromium here; run: apt-get install chromium (or say {PLACE}=/path/to/it)"
        )
    return found


class Chromium:
    """A running browser, shared by all who hold it.

    Args:
        headless: False shows its window.

    Attributes:
        generation: grows with every start; pages of an earlier one are gone.
    """

    _shared: dict[tuple[int, bool], Chromium] = {}  # noqa: RUF012 - by process and kind, under _lock
    _lock = threading.Lock()

    def __init__(self, *, headless: bool) -> None:
        self.generation = 0
        self._headless = headless
        self._holders = 0
        self._renewing = threading.Lock()
        self._driver = _Driver(headless=headless)

    @classmethod
    def hold(cls, *, headless: bool) -> Chromium:
        """Take part in the browser of this process; `release` it once for each `hold`.

        Raises:
            MissingExtraError: Playwright is not installed.
            ConfigError: there is no Chromium.
        """
        try:
            import playwright  # noqa: F401, PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise MissingExtraError.of("playwright", "web") from error
        find_chromium(headless=headless)
        with cls._lock:
            key = (os.getpid(), headless)
            if key not in cls._shared:
                cls._shared[key] = cls(headless=headless)
            cls._shared[key]._holders += 1
            return cls._shared[key]

    def release(self) -> None:
        """Give it back; the last one closes it."""
        with self._lock:
            self._holders -= 1
            if self._holders > 0:
                return
            self._shared.pop((os.getpid(), self._headless), None)
        self.stop()

    def call(self, job: Callable[[Browser], T], *, limit: float = 600.0) -> T:
        """Do something with the browser, on its thread; it is started if it does not run.

        Args:
            job: what to do.
            limit: in seconds; a browser that takes longer is ended, and the job with it.

        Raises:
            TimeoutError: the limit was reached.
        """
        with self._renewing:
            driver = self._driver
            if driver.lost:
                driver.stop()
                driver = self._driver = _Driver(headless=self._headless)
            if not driver.started:
                self.generation += 1
                driver.start()
        return driver.call(job, limit=limit)

    def doubt(self) -> None:
        """Something went wrong: if the browser does not answer any more, the next call starts another one."""
        self._driver.probe()

    def stop(self) -> None:
        """End the browser and its thread."""
        self._driver.stop()


class _Driver:
    """One start of Playwright and Chromium, on a thread that ends with them: a dead driver spoils its thread."""

    def __init__(self, *, headless: bool) -> None:
        self.started = False
        self._headless = headless
        self._failed = False
        self._playwright: Any = None
        self._processes: list[Any] = []
        self._waiting: list[threading.Thread] = []
        self._browser: Browser | None = None
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="cmat-chromium", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Did it run, and does not any more?"""
        return self._failed or (self.started and not (self._browser is not None and self._browser.is_connected()))

    def start(self) -> None:
        """Start both."""
        self.started = True
        self._submit(self._launch).result()

    def call(self, job: Callable[[Browser], T], *, limit: float) -> T:
        """Do something with the browser; a page whose script never ends makes Playwright wait without end."""
        browser = self._browser
        if browser is None:
            raise RuntimeError("the browser could not be started")
        future = self._submit(lambda: job(browser))
        try:
            return future.result(limit)
        except TimeoutError:
            if not future.done():
                self._kill()
            raise

    def _kill(self) -> None:
        """End Playwright's process and the browser, which frees the thread."""
        self._failed = True
        import psutil  # noqa: PLC0415 - an extra

        for driver in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in [*driver.children(recursive=True), driver]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()

    def probe(self) -> None:
        """Look whether it still answers."""
        if self._failed:
            return
        try:
            self._submit(self._try_out).result(_PROBE)
        except Exception:  # whatever it says, it is not well
            self._kill()

    def _try_out(self) -> None:
        if self._browser is not None:
            self._browser.new_context().close()

    def stop(self) -> None:
        """End both, dead or alive, and the thread."""
        if self._thread.is_alive():
            with contextlib.suppress(Exception):  # it is on its way out, in whatever state it is
                self._submit(self._end).result(_STOP)
            self._jobs.put(None)
            self._thread.join(1.0)
            if self._thread.is_alive():
                self._kill()
                self._thread.join(_STOP)
            for thread in self._waiting:
                thread.join(_STOP)

    def _submit(self, job: Callable[[], T]) -> Future[T]:
        if not self._thread.is_alive():
            raise RuntimeError("the browser's thread has ended")
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, future = item
            try:
                future.set_result(job())
            except BaseException as error:  # it is raised where the job was asked for
                future.set_exception(error)

    def _launch(self) -> None:
        import psutil  # noqa: PLC0415 - an extra
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra, and a slow import

        before, threads = set(psutil.Process().children()), set(threading.enumerate())
        self._playwright = sync_playwright().start()
        # Before Python 3.12 asyncio has a thread for each process that it waits for; it outlives the loop by a moment.
        new = set(threading.enumerate()) - threads
        self._waiting = [thread for thread in new if thread.name.startswith("asyncio-waitpid")]
        started = set(psutil.Process().children()) - before
        self._processes = [process for process in started if "playwright" in " ".join(process.cmdline())]
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        self._browser = self._playwright.chromium.launch(
            executable_path=find_chromium(headless=self._headless),
            headless=self._headless,
            args=[*_FLAGS, *(("--no-sandbox",) if root else ())],
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )

    def _end(self) -> None:
        with contextlib.suppress(Exception):  # a dead browser or driver has nothing more to say
            if self._browser is not None:
                self._browser.close()
        with contextlib.suppress(Exception):
            if self._playwright is not None:
                self._playwright.stop()


@atexit.register
def _stop_all() -> None:
    """No browser outlives the process that forgot to close it."""
    for (process, _), chromium in list(Chromium._shared.items()):
        if process == os.getpid():
            chromium.stop()
