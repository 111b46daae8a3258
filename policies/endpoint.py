"""One OpenAI-compatible server over HTTP: time limits, retries with backoff and jitter, and a key that stays secret.

What may pass is tried again: 408, 409, 429 and 5xx, connections that fail or are cut, answers that are late or no
JSON. A server that says when to come back (Retry-After) is believed. What will not pass (no key, no such model, no
money) is an error at once.
"""

from __future__ import annotations

import email.utils
import json
import os
import random
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from cmat_env.errors import ConfigError, MissingExtraError

try:
    import httpx
except ModuleNotFoundError as missing:
    raise MissingExtraError.of("httpx", "api") from missing

if TYPE_CHECKING:
    from cmat_env.policies.api_settings import ApiSettings

_AGAIN = frozenset({408, 409, 425, 429})
_HOPELESS = frozenset({401, 402, 403, 404, 405})
_NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached")
_TOO_LONG = ("context_length", "context length", "maximum context")
_MOST_BYTES = 32 * 1024 * 1024
_SHOWN = 300

Check = Callable[[dict[str, Any]], str]


class RefusedError(Exception):
    """The server has answered that it will not answer this request; asking again is of no use.

    Attributes:
        too_long: because the dialogue is longer than the model's context.
    """

    def __init__(self, message: str, *, too_long: bool = False) -> None:
        super().__init__(message)
        self.too_long = too_long


class UnansweredError(Exception):
    """No whole answer came in any of the tries."""


class _AgainError(Exception):
    """One try failed; another may not. `wait` is how long the server asked for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class _BearerAuth(httpx.Auth):
    """Reads the key from the environment when a request is sent, and keeps it nowhere."""

    def __init__(self, variable: str) -> None:
        self.variable = variable

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the key, if there is one."""
        if os.environ.get(self.variable):
            request.headers["Authorization"] = f"Bearer {os.environ[self.variable]}"
        yield request


class Endpoint:
    """A server; safe to use from many threads.

    Args:
        settings: where it is and how patient to be.
        transport: an `httpx` transport, for tests.

    Attributes:
        answered: has it ever answered, if only that it will not?
    """

    def __init__(self, settings: ApiSettings, transport: httpx.BaseTransport | None = None) -> None:
        self.settings = settings
        self.answered = False
        self._jitter = random.Random()
        self._stopped = threading.Event()
        self._wait = self._stopped.wait
        limits = httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
        self._client = httpx.Client(
            auth=_BearerAuth(settings.key_env), timeout=settings.timeout, limits=limits, transport=transport
        )

    def post(self, path: str, body: Mapping[str, Any], *, key: str, check: Check) -> dict[str, Any]:
        """The answer to a request.

        Args:
            path: behind the base URL, such as "/chat/completions".
            body: of the request.
            key: sent as Idempotency-Key with every try, so that a server that knows such keys charges once.
            check: what is wrong with an answer; "" = nothing.

        Raises:
            RefusedError: the server refuses this request.
            UnansweredError: all tries failed.
            ConfigError: it refuses every request, or has never answered one.
        """
        content = json.dumps(body).encode()
        for attempt in range(self.settings.retries + 1):
            try:
                return self._once(path, content, key, check)
            except _AgainError as error:
                last = error
            if attempt < self.settings.retries and self._wait(self._pause(attempt, last.wait)):
                raise UnansweredError("stopped")
        failed = f"{self.settings.base_url} failed {self.settings.retries + 1} times; the last time: {last}"
        if not self.answered:
            raise ConfigError(f"{failed}; is a server there? check --base-url")
        raise UnansweredError(failed)

    def resume(self) -> None:
        """Wait again between tries, after a `stop`."""
        self._stopped.clear()

    def stop(self) -> None:
        """Wait no longer: requests that are under way end, and none is tried again."""
        self._stopped.set()

    def close(self) -> None:
        """Close the connections; twice is fine."""
        self._client.close()

    def _pause(self, attempt: int, asked: float | None) -> float:
        """Seconds before the next try: full jitter under a doubling bound, and never less than the server asked for.

        Source: Brooker 2015, "Exponential backoff and jitter", AWS architecture blog.
        """
        bound = min(self.settings.longest_wait, self.settings.backoff * 2**attempt)
        jitter = self._jitter.uniform(0.0, bound)
        return jitter if asked is None else min(asked, self.settings.longest_wait) + jitter

    def _once(self, path: str, content: bytes, key: str, check: Check) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            url = self.settings.base_url + path
            with self._client.stream("POST", url, content=content, headers=headers) as response:
                data = self._read(response)
        except httpx.TimeoutException as error:
            raise _AgainError(f"no whole answer in {self.settings.timeout:g} s ({type(error).__name__})") from None
        except httpx.InvalidURL as error:
            raise ConfigError(f"base_url={self.settings.base_url!r} is no URL: {error}") from None
        except httpx.HTTPError as error:
            raise _AgainError(self.redacted(f"{type(error).__name__}: {error}")) from None
        self.answered = True
        if response.status_code != httpx.codes.OK:
            self._refuse(response, data)
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            raise _AgainError("an answer that is no JSON") from None
        wrong = check(answer) if isinstance(answer, dict) else "it is no JSON object"
        if wrong:
            raise _AgainError(f"an answer out of form: {wrong}")
        return answer  # type: ignore[no-any-return]

    def _read(self, response: httpx.Response) -> str:
        """The body, without the key, which some servers repeat. One that drips meets the time limit, too."""
        began, data = time.monotonic(), bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if time.monotonic() - began > self.settings.timeout:
                raise _AgainError(f"an answer not whole after {self.settings.timeout:g} s")
            if len(data) > _MOST_BYTES:
                raise _AgainError(f"an answer of more than {_MOST_BYTES} bytes")
        return self.redacted(data.decode("utf-8", "replace"))

    def _refuse(self, response: httpx.Response, data: str) -> None:
        """Raise what a status other than 200 means."""
        status = response.status_code
        words = f"HTTP {status}: {data[:_SHOWN].strip()}"
        poor = any(code in data for code in _NO_MONEY)
        if status in _HOPELESS or poor:
            raise ConfigError(
                f"{self.settings.base_url} refuses {self.settings.model}: {words}; {self._advice(status)}"
            )
        if status in _AGAIN or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise _AgainError(words, _retry_after(response.headers.get("retry-after")))
        too_long = any(hint in data for hint in _TOO_LONG)
        raise RefusedError(words, too_long=too_long)

    def _advice(self, status: int) -> str:
        if status in (401, 403):
            return f"put the key into the environment variable {self.settings.key_env}"
        if status in (404, 405):
            return "check --base-url (it usually ends in /v1) and the model's name"
        return "check the account; answers that came are kept, and the same command goes on from here"

    def redacted(self, text: str) -> str:
        """The text without the key."""
        secret = os.environ.get(self.settings.key_env)
        return text.replace(secret, "[key]") if secret else text


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a Retry-After header of either form: a number, or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
