"""A web server for shops on the loopback interface: Starlette on uvicorn, one for all environments of a process.

Every visit has a secret path of its own and shares nothing with others: what is bought on it, stays on it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from cmat_env.envs.web.shop.engine import Shop
from cmat_env.envs.web.shop.html import ON_CHOICE, as_html
from cmat_env.envs.web.shop.state import State, state_of

_START = 20.0
# No script but the one of options runs, nothing is loaded or embedded. The origin is like no other, so that there is no
# cookie and no storage by which one visit could reach another: all share one browser profile.
_HASH = b64encode(sha256(ON_CHOICE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; script-src 'unsafe-hashes' 'sha256-{_HASH}'; "
    "style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "sandbox allow-forms allow-scripts"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Visit:
    """One customer's visit.

    Attributes:
        shop: where.
        instruction: what stands on top of every page.
        purchase: what was bought; None = nothing yet.
    """

    shop: Shop
    instruction: str = ""
    purchase: State | None = None


class ShopServer:
    """Serves any number of visits.

    Args:
        port: on 127.0.0.1; 0 = one that is free.

    Attributes:
        address: such as "http://127.0.0.1:41234".

    Raises:
        OSError: the port is in use.
    """

    _shared: dict[int, ShopServer] = {}  # noqa: RUF012 - by process, under _lock
    _lock = threading.Lock()

    def __init__(self, *, port: int = 0) -> None:
        self._visits: dict[str, Visit] = {}
        self._holders = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = Starlette(routes=[Route("/{visit}{path:path}", self._serve, methods=["GET", "POST"])])
        config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none", loop="asyncio")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="cmat-shop-server", daemon=True
        )
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_START / 0.01)):
            if self._server.started or not self._thread.is_alive():
                break
            waited.wait(0.01)
        if not self._server.started:
            raise RuntimeError(f"the shop's web server did not start at {self.address}")

    @classmethod
    def hold(cls) -> ShopServer:
        """Take part in the server of this process; `release` it once for each `hold`."""
        with cls._lock:
            if os.getpid() not in cls._shared:
                cls._shared[os.getpid()] = cls()
            cls._shared[os.getpid()]._holders += 1
            return cls._shared[os.getpid()]

    def release(self) -> None:
        """Give it back; the last one stops it."""
        with self._lock:
            self._holders -= 1
            if self._holders > 0:
                return
            if self._shared.get(os.getpid()) is self:
                del self._shared[os.getpid()]
        self._server.should_exit = True
        self._thread.join(_START)
        self._socket.close()

    def begin(self, visit: Visit) -> str:
        """Serve a visit; returns its secret path."""
        name = secrets.token_urlsafe(16)
        self._visits[name] = visit
        return f"/{name}"

    def end(self, path: str) -> None:
        """Forget a visit."""
        self._visits.pop(path.strip("/"), None)

    async def _serve(self, request: Request) -> Response:
        visit = self._visits.get(request.path_params["visit"])
        if visit is None:
            return _missing()
        # Searching may take a while in a large shop; other visits are served meanwhile. By a thread of asyncio's pool,
        # for which the server's end waits: Starlette's own (anyio's) may outlive it.
        return await asyncio.to_thread(self._answer, request, visit)

    def _answer(self, request: Request, visit: Visit) -> Response:
        root = f"/{request.path_params['visit']}"
        target = request.url.path.removeprefix(root) + (f"?{request.url.query}" if request.url.query else "")
        state = state_of(target)
        if state is None or not visit.shop.exists(state):
            return _missing()
        if request.method == "POST":
            if state.page != "done":
                return _missing()
            visit.purchase = visit.purchase or state
            return RedirectResponse(str(request.url.path) + f"?{request.url.query}", status_code=303)
        if state.page == "done" and state != visit.purchase:
            return _missing()
        if state.page == "results" and visit.shop.search(state.query) is None:
            state = State()
        page = visit.shop.page(state, visit.instruction)
        return HTMLResponse(as_html(visit.shop, state, page, root=root), headers=_HEADERS)


def _missing() -> Response:
    return HTMLResponse("<!doctype html><title>Not found</title><p>There is no such page.", status_code=404)
