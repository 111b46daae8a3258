"""Any SPARQL endpoint over HTTP: time limits, retries with backoff, and no silently shortened answer.

What the endpoint does wrong is never the agent's mistake: after a few tries it is a `StoreError`, and the episode is
not scored. Only a query that takes too long while the endpoint answers others is told to the agent.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from cmat_env.envs.knowledge_graph.compiler import Dialect
from cmat_env.envs.knowledge_graph.store import QueryTimeoutError, Row, StoreError, Term
from cmat_env.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import httpx

_ACCEPT = "application/sparql-results+json"
_MOST_BYTES = 64 * 1024 * 1024
_GRACE = 2.0
_TIMED_OUT = ("S1TAT", "S1T00", "SR171", "estimated execution time")
_PROBE_ROWS = 10_001
_ROUND = 100


class _FailedError(Exception):
    """One try failed; another may not."""


class _LateError(Exception):
    """No whole answer within the time."""


class EndpointStore:
    """A SPARQL endpoint.

    Args:
        url: of the endpoint, such as "http://localhost:8890/sparql".
        dialect: "virtuoso" passes the time limit on to the server and reads its notes.
        retries: further tries after a failure of the endpoint.
        backoff: seconds before the first of them; twice as long before each next one.
        client: an `httpx.Client` to use.
    """

    graphs_named = False

    def __init__(
        self,
        url: str,
        *,
        dialect: Dialect = "1.1",
        retries: int = 3,
        backoff: float = 0.25,
        client: httpx.Client | None = None,
    ) -> None:
        self.url, self.dialect, self.retries, self.backoff = url, dialect, retries, backoff
        self._client = client
        self.most_rows: int | None = None

    def check(self, *, seconds: float = 10.0) -> None:
        """Is it there, and does it cut answers? Sets `most_rows` to the number of rows at which it does.

        Raises:
            ConfigError: it does not answer as an endpoint does.
        """
        try:
            found = len(self._ask(f"SELECT ?s WHERE {{ ?s ?p ?o }} LIMIT {_PROBE_ROWS}", None, seconds))
            there = self._number(f"SELECT ?s WHERE {{ ?s ?p ?o }} LIMIT {_PROBE_ROWS}", None, seconds)
        except (StoreError, QueryTimeoutError) as error:
            raise ConfigError(
                f"graphs={self.url!r}: {error}; wanted the URL of a SPARQL endpoint that is up"
            ) from error
        self.most_rows = found if found < there else None

    def select(self, query: str, *, graph: str | None = None, weight: int = 1, seconds: float = 5.0) -> list[Row]:
        """The rows of a SELECT query; see `Store.select`."""
        rows = self._ask(query, graph, seconds)
        cut = self.most_rows is not None and len(rows) >= self.most_rows
        if cut or (len(rows) >= _ROUND and len(rows) % _ROUND == 0 and self._number(query, graph, seconds) > len(rows)):
            raise StoreError(
                f"{self.url} cuts answers at {len(rows)} rows without a word (Virtuoso: ResultSetMaxRows); raise that "
                "number above the limit of rows, 10001 by default"
            )
        return rows

    def close(self) -> None:
        """Close the connections; twice is fine."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _number(self, query: str, graph: str | None, seconds: float) -> int:
        """How many rows a query has, counted by the endpoint."""
        rows = self._ask(f"SELECT (COUNT(*) AS ?rows) WHERE {{ {{ {query} }} }}", graph, seconds)
        if len(rows) != 1 or rows[0][0] is None or not rows[0][0].value.isdigit():
            raise StoreError(f"{self.url} does not count: it gave {len(rows)} rows for a COUNT")
        return int(rows[0][0].value)

    def _ask(self, query: str, graph: str | None, seconds: float) -> list[Row]:
        """Ask, and again where the endpoint fails."""
        late = False
        for attempt in range(self.retries + 1):
            try:
                return self._once(query, graph, seconds)
            except _LateError as error:
                if not self._alive(seconds):
                    last: Exception = error
                elif late:
                    raise QueryTimeoutError(f"{seconds:g} s") from None
                else:
                    late, last = True, error
            except _FailedError as error:
                last = error
            if attempt < self.retries:
                time.sleep(self.backoff * 2**attempt)
        raise StoreError(f"{self.url} failed {self.retries + 1} times; the last time: {last}")

    def _alive(self, seconds: float) -> bool:
        """Does it answer the smallest question?"""
        try:
            self._once("SELECT (1 AS ?one) WHERE { }", None, min(seconds, 2.0))
        except (_LateError, _FailedError, QueryTimeoutError):
            return False
        return True

    def _once(self, query: str, graph: str | None, seconds: float) -> list[Row]:
        data = {"query": query}
        if graph is not None:
            data["default-graph-uri"] = graph
        if self.dialect == "virtuoso":
            data["timeout"] = str(max(int(seconds * 1000), 1))
        status, headers, body = self._post(data, seconds)
        text = body[:2000].decode("utf-8", "replace")
        if headers.get("X-SQL-State") in _TIMED_OUT or (status >= 500 and any(mark in text for mark in _TIMED_OUT)):
            raise QueryTimeoutError(f"{seconds:g} s")
        if 400 <= status < 500 and status != 429:
            raise StoreError(f"{self.url} refuses a query with status {status}: {text[:200]!r}")
        if status != 200:
            raise _FailedError(f"status {status}: {text[:200]!r}")
        return _rows(body)

    def _post(self, data: dict[str, str], seconds: float) -> tuple[int, Any, bytes]:
        """Send, and read the answer within the time as a whole: a trickle must not keep us for ever."""
        httpx = _httpx()
        deadline = time.monotonic() + seconds + _GRACE
        body = bytearray()
        try:
            with self._open().stream(
                "POST", self.url, data=data, headers={"Accept": _ACCEPT}, timeout=seconds + _GRACE
            ) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if time.monotonic() > deadline:
                        raise _LateError(f"no whole answer within {seconds:g} s")
                    if len(body) > _MOST_BYTES:
                        raise _FailedError(f"an answer of more than {_MOST_BYTES} bytes")
                return response.status_code, response.headers, bytes(body)
        except httpx.ConnectTimeout as error:
            raise _FailedError(f"no connection: {error!r}") from error
        except httpx.TimeoutException as error:
            raise _LateError(f"no answer within {seconds:g} s") from error
        except httpx.HTTPError as error:
            raise _FailedError(repr(error)) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise StoreError(f"{self.url} is no URL: {error}") from error

    def _open(self) -> httpx.Client:
        if self._client is None:
            self._client = _httpx().Client(follow_redirects=True)
        return self._client


def _rows(body: bytes) -> list[Row]:
    """The rows in SPARQL's JSON format.

    Source: W3C, SPARQL 1.1 Query Results JSON Format.
    """
    try:
        answer = json.loads(body)
        variables = answer["head"]["vars"]
        return [tuple(_term(binding.get(name)) for name in variables) for binding in answer["results"]["bindings"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        start = body[:60].decode("utf-8", "replace")
        raise _FailedError(f"the answer is not SPARQL's JSON ({error!r}); it begins with {start!r}") from error


def _term(cell: dict[str, str] | None) -> Term | None:
    if cell is None:
        return None
    kind = {"uri": "iri", "bnode": "blank"}.get(cell["type"], "literal")
    return Term(str(cell["value"]), kind)


def _httpx() -> Any:
    try:
        import httpx  # noqa: PLC0415 - an optional dependency, loaded when an endpoint is asked
    except ImportError as error:
        raise MissingExtraError.of("httpx", "kg") from error
    return httpx
