"""How an endpoint is asked: where it is, what is asked for, how patiently, and what it costs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from cmat_env.errors import ConfigError, did_you_mean

OPENAI = "https://api.openai.com/v1"
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Settings of `openai:MODEL`.

    Attributes:
        model: as the server names it.
        base_url: up to and with /v1; by default that of OPENAI_BASE_URL, or OpenAI's own.
        key_env: the environment variable that holds the key; it is read when a request is sent.
        kind: "chat" asks /chat/completions, "completion" /completions with the dialogue as a transcript.
        greedy: ask for temperature 0; otherwise for `temperature` and a seed of the reply's own.
        temperature: of sampled replies.
        max_tokens: longest reply, in tokens.
        logprobs: ask for the log-probability of each token of a reply.
        tools: tool definitions, sent as they are.
        extra: further fields of the request's body; null takes one out, such as {"seed": null}.
        concurrency: most requests at a time.
        timeout: for one try to connect, to answer, and to send the answer, in seconds each.
        retries: further tries.
        backoff: longest wait before the first of them, in seconds; twice as long before each next one.
        longest_wait: between two tries, in seconds, also where the server asks for more.
        price_in: of a million prompt tokens.
        price_out: of a million reply tokens.
        cache: file of the answers that came; "auto" = in the user's cache folder, "off" = none.

    Raises:
        ConfigError: a setting is out of range.
    """

    model: str
    base_url: str = field(default_factory=lambda: os.environ.get("OPENAI_BASE_URL") or OPENAI)
    key_env: str = "OPENAI_API_KEY"
    kind: Literal["chat", "completion"] = "chat"
    greedy: bool = True
    temperature: float = 1.0
    max_tokens: int = 512
    logprobs: bool = False
    tools: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 6
    backoff: float = 1.0
    longest_wait: float = 60.0
    price_in: float | None = None
    price_out: float | None = None
    cache: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        object.__setattr__(self, "tools", tuple(self.tools))
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(
                f"base_url={self.base_url!r} is no URL of a server; wanted such as http://127.0.0.1:8000/v1"
            )
        if url.username or url.password or url.query:
            raise ConfigError(
                "base_url holds a user, a password or a query, and would be logged; use key_env for a key"
            )
        if not self.model:
            raise ConfigError("policy 'openai' needs the model's name, such as openai:gpt-4o-mini")
        if self.kind not in ("chat", "completion"):
            raise ConfigError(f"kind={self.kind!r} is unknown; {did_you_mean(str(self.kind), ('chat', 'completion'))}")
        self._check_numbers()
        if url.hostname == urlsplit(OPENAI).hostname and not os.environ.get(self.key_env):
            raise ConfigError(
                f"{self.base_url} wants a key: put it into the environment variable {self.key_env}, or name another "
                "server with --base-url"
            )

    def _check_numbers(self) -> None:
        whole = (("max_tokens", 1), ("concurrency", 1), ("retries", 0))
        real = (("temperature", 0.0), ("timeout", 1e-3), ("backoff", 0.0), ("longest_wait", 0.0))
        for name, least in (*whole, *real, ("price_in", 0.0), ("price_out", 0.0)):
            value = getattr(self, name)
            if value is None and name.startswith("price"):
                continue
            kind = int if isinstance(least, int) else (int, float)
            if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:
                raise ConfigError(f"{name}={value!r} is not possible; give a number of at least {least:g}")

    @classmethod
    def of(cls, model: str, settings: Mapping[str, Any]) -> ApiSettings:
        """From a model's name and settings by name.

        Raises:
            ConfigError: a setting is unknown or out of range.
        """
        known = {each.name for each in fields(cls)} - {"model"}
        for name in settings:
            if name not in known:
                raise ConfigError(f"openai:{model} has no setting {name!r}; {did_you_mean(name, known)}")
        return cls(model, **settings)

    def cost(self, prompt_tokens: int, reply_tokens: int) -> float | None:
        """What that many tokens cost; None where no price is given."""
        if self.price_in is None and self.price_out is None:
            return None
        return ((self.price_in or 0.0) * prompt_tokens + (self.price_out or 0.0) * reply_tokens) / _MILLION
