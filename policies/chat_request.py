"""A request of /v1/chat/completions, checked: what was asked for, in our terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmat_env.policies.sampling import Sampling

_ROLES = ("system", "developer", "user", "assistant", "tool")
_MOST_CHOICES = 64
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "tools": (None, []),
    "functions": (None, []),
    "response_format": (None, {"type": "text"}),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "top_logprobs": (None, 0),
}
_HALF_A_SIGN = "\N{REPLACEMENT CHARACTER}"


class RequestError(Exception):
    """A request that is refused, in the words and with the status of OpenAI's API."""

    def __init__(self, message: str, param: str, code: str = "invalid_value", status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What was asked for.

    Attributes:
        model: whose reply.
        messages: (role, content) in order.
        temperature: 0 = the likeliest tokens.
        top_p: see `Sampling`.
        top_k: see `Sampling`; not OpenAI's.
        max_tokens: None = as many as fit.
        n: replies wanted.
        seed: None = another reply each time.
        stop: texts before which a reply ends.
        logprobs: with log-probabilities.
        stream: as server-sent events.
        usage_wanted: the stream ends with token counts.
    """

    model: str
    messages: tuple[tuple[str, str], ...]
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int | None = None
    n: int = 1
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    stream: bool = False
    usage_wanted: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ChatRequest:
        """From a JSON object.

        Raises:
            RequestError: a field is missing, of another kind, or asks for what is not offered.
        """
        for name, neutral in _NEUTRAL.items():
            if body.get(name) not in neutral:
                raise RequestError(f"{name} is not offered here; leave it out", name, "unsupported_parameter")
        limit = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
        stop = body.get("stop") or []
        stops = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, list) else (None,)
        if not all(isinstance(each, str) and each for each in stops):
            raise RequestError("stop must be a text or a list of texts", "stop")
        options = body.get("stream_options")
        return cls(
            model=_text(body, "model"),
            messages=_messages(body.get("messages")),
            temperature=_number(body, "temperature", 1.0, 0.0, 10.0),
            top_p=_number(body, "top_p", 1.0, 1e-9, 1.0),
            top_k=_whole(body, "top_k", 0, 0) or 0,
            max_tokens=_whole(body, limit, None, 1),
            n=_whole(body, "n", 1, 1, _MOST_CHOICES) or 1,
            seed=_whole(body, "seed", None, -(2**63), 2**63),
            stop=stops,
            logprobs=_flag(body, "logprobs"),
            stream=_flag(body, "stream"),
            usage_wanted=isinstance(options, Mapping) and options.get("include_usage") is True,
        )

    def sampling(self, context: int) -> Sampling:
        """The distribution; `context` bounds replies without a bound of their own."""
        greedy = self.temperature == 0.0
        return Sampling(
            temperature=1.0 if greedy else self.temperature,
            top_k=0 if greedy else self.top_k,
            top_p=1.0 if greedy else self.top_p,
            greedy=greedy,
            max_new_tokens=min(self.max_tokens or context, context),
        )

    def cut(self, text: str) -> tuple[str, bool]:
        """The text before the first of the stop texts, and whether there was one."""
        places = [place for place in (text.find(stop) for stop in self.stop) if place >= 0]
        return (text[: min(places)], True) if places else (text, False)

    def safe(self, text: str) -> str:
        """As much of an unfinished text as will stay: no half of a sign at its end, nor what may begin a stop text."""
        cut, stopped = self.cut(text)
        if stopped:
            return cut
        held = max((len(stop) - 1 for stop in self.stop), default=0)
        return cut[: len(cut) - held].rstrip(_HALF_A_SIGN)


def _messages(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise RequestError("messages must be a list with at least one message", "messages")
    messages = []
    for place, message in enumerate(value):
        name = f"messages[{place}]"
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            raise RequestError(f"{name}.role must be one of {', '.join(_ROLES)}", f"{name}.role")
        messages.append((str(message["role"]), _content(message.get("content"), name)))
    if messages[-1][0] == "assistant":
        raise RequestError("the last message is the assistant's own; nobody has spoken since", "messages")
    return tuple(messages)


def _content(value: Any, name: str) -> str:
    """A text, also where it comes in parts."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in value):
        return "".join(str(part.get("text", "")) for part in value)
    raise RequestError(f"{name}.content must be text", f"{name}.content")


def _text(body: Mapping[str, Any], name: str) -> str:
    if not isinstance(body.get(name), str):
        raise RequestError(f"{name} must be a text", name)
    return str(body[name])


def _flag(body: Mapping[str, Any], name: str) -> bool:
    if body.get(name) not in (None, True, False):
        raise RequestError(f"{name} must be true or false", name)
    return body.get(name) is True


def _number(body: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = default if body.get(name) is None else body[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RequestError(f"{name} must be a number from {least:g} to {most:g}", name)
    return float(value)


def _whole(body: Mapping[str, Any], name: str, default: int | None, least: int, most: int | None = None) -> int | None:
    value = default if body.get(name) is None else body[name]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise RequestError(f"{name} must be a whole number of at least {least}", name)
    return value
