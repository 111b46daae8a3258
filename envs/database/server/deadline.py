"""The client's own deadline: a thread that kills statements which run for too long.

An agent could lift any limit that the server keeps for its session; this one it cannot reach.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MOMENT = 0.02


class Ticket:
    """One statement under watch.

    Attributes:
        fired: was it killed?
    """

    __slots__ = ("_lock", "_over", "connection", "fired")

    def __init__(self, connection: int) -> None:
        self.connection = connection
        self.fired = False
        self._over = False
        self._lock = threading.Lock()

    def fire(self, kill: Callable[[int], None]) -> None:
        """Kill the statement if it still runs."""
        with self._lock:
            if not self._over:
                self.fired = True
                kill(self.connection)

    def finish(self) -> None:
        """It is over; from now on no kill can hit a later statement of the connection."""
        with self._lock:
            self._over = True


class Watch:
    """Watches statements, from a thread that ends with `close`.

    Args:
        kill: stops what a connection, given by its number at the server, is running; it must not raise.
    """

    def __init__(self, kill: Callable[[int], None]) -> None:
        self._kill = kill
        self._queue: list[tuple[float, int, Ticket]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="cmat-sql-deadline", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, connection: int, seconds: float) -> Iterator[Ticket]:
        """Watch the statement that is run inside."""
        ticket = Ticket(connection)
        entry = (time.monotonic() + seconds, next(self._numbers), ticket)
        with self._changed:
            heapq.heappush(self._queue, entry)
            if self._queue[0] is entry:
                self._changed.notify()
        try:
            yield ticket
        finally:
            ticket.finish()

    def close(self) -> None:
        """End the thread; twice is fine."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._queue or self._queue[0][0] > time.monotonic()):
                    self._changed.wait(self._rest())
                if self._closed:
                    return
                due = []
                while self._queue and self._queue[0][0] <= time.monotonic():
                    due.append(heapq.heappop(self._queue)[2])
            for ticket in due:
                ticket.fire(self._kill)

    def _rest(self) -> float | None:
        """Until the next deadline, but not less than a moment: most statements are over long before theirs."""
        return max(_MOMENT, self._queue[0][0] - time.monotonic()) if self._queue else None
