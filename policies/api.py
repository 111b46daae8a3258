"""Models behind an OpenAI-compatible endpoint: chat or completion, many requests at a time, each paid for once.

An answer is kept on disk before anybody sees it (`cmat_env.policies.answers`): a run that was stopped, by whatever
means, is given again and goes on from there. A request that is never answered gives a Generation with
finish_reason="error", and a rollout drops its episode instead of scoring it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmat_env.policies.answers import AnswerCache, default_path, key_of
from cmat_env.policies.api_settings import ApiSettings
from cmat_env.policies.endpoint import Endpoint, RefusedError, UnansweredError
from cmat_env.policies.messages import as_chat
from cmat_env.policies.scripted import stream_of
from cmat_env.types import Dialogue, FinishReason, Generation, Usage

if TYPE_CHECKING:
    import httpx

_SEEDS = 2**31
_HEADING = "\n\n### "


class ApiPolicy:
    """A model behind an endpoint.

    It can be sent to other processes, where it connects anew. `concurrency` bounds the requests of one policy: give
    one to several roles rather than one to each.

    Args:
        settings: of the endpoint.
        transport: an `httpx` transport, for tests.
    """

    def __init__(self, settings: ApiSettings, transport: httpx.BaseTransport | None = None) -> None:
        self.settings = settings
        self._endpoint = Endpoint(settings, transport)
        self._pool = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="endpoint")
        path = default_path() if settings.cache == "auto" else Path(settings.cache)
        self._cache = None if settings.cache == "off" else AnswerCache(path)

    def __reduce__(self) -> tuple[type[ApiPolicy], tuple[ApiSettings]]:
        return type(self), (self.settings,)

    def __repr__(self) -> str:
        return f"ApiPolicy({self.settings.model!r} at {self.settings.base_url})"

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Answer each dialogue; equal requests are sent once."""
        self._endpoint.resume()
        wanted: dict[str, tuple[dict[str, Any], list[int]]] = {}
        for index, dialogue in enumerate(dialogues):
            key, body = self._request(dialogue, seed)
            wanted.setdefault(key, (body, []))[1].append(index)
        jobs = [self._pool.submit(self._answer, key, body) for key, (body, _) in wanted.items()]
        replies: dict[int, Generation] = {}
        try:
            for job, (_, places) in zip(jobs, wanted.values(), strict=True):
                reply = job.result()
                replies.update(dict.fromkeys(places, _again(reply)) | {places[0]: reply})
        except BaseException:  # Ctrl-C, or an error of every request: keep what was paid for, ask for nothing more
            self._endpoint.stop()
            for job in jobs:
                job.cancel()
            raise
        return [replies[index] for index in range(len(dialogues))]

    def close(self) -> None:
        """Close connections and the cache; twice is fine."""
        self._pool.shutdown(cancel_futures=True)
        self._endpoint.close()
        if self._cache is not None:
            self._cache.close()

    # -- the request -----------------------------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return "/chat/completions" if self.settings.kind == "chat" else "/completions"

    def _request(self, dialogue: Dialogue, seed: int) -> tuple[str, dict[str, Any]]:
        """The body of a request, and the name of its answer."""
        settings = self.settings
        stream = "" if settings.greedy else str(stream_of(dialogue, seed))
        body: dict[str, Any] = {"model": settings.model, "max_tokens": settings.max_tokens}
        body |= {"temperature": 0} if settings.greedy else {"temperature": settings.temperature}
        body |= {} if settings.greedy else {"seed": int(stream) % _SEEDS}
        chat = as_chat(dialogue.messages, dialogue.role)
        if settings.kind == "chat":
            body |= {"messages": chat}
            body |= {"logprobs": True} if settings.logprobs else {}
            body |= {"tools": list(settings.tools)} if settings.tools else {}
        else:
            body |= {"prompt": transcript(chat), "stop": [_HEADING]}
            body |= {"logprobs": 1} if settings.logprobs else {}
        body = {name: value for name, value in (body | dict(settings.extra)).items() if value is not None}
        return key_of(settings.base_url + self._path, body, stream), body

    # -- the answer ------------------------------------------------------------------------------------------------

    def _answer(self, key: str, body: dict[str, Any]) -> Generation:
        """One answer, from the cache or from the server; in a thread of the pool."""
        kept = None if self._cache is None else self._cache.get(key)
        try:
            answer = kept or self._endpoint.post(self._path, body, key=key, check=self._wrong)
        except RefusedError as error:
            return Generation("", finish_reason="length") if error.too_long else _failed(error)
        except UnansweredError as error:
            return _failed(error)
        if kept is None and self._cache is not None:
            self._cache.put(key, answer)
        return self._generation(answer, cached=kept is not None)

    def _wrong(self, answer: dict[str, Any]) -> str:
        """What is wrong with the form of an answer; "" = nothing."""
        try:
            self._generation(answer, cached=False)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def _generation(self, answer: dict[str, Any], *, cached: bool) -> Generation:
        choice = answer["choices"][0]
        text = _text(choice["message"]) if self.settings.kind == "chat" else choice["text"]
        if not isinstance(text, str):
            raise TypeError(f"the reply is a {type(text).__name__}")
        reason: FinishReason = "length" if choice.get("finish_reason") == "length" else "stop"
        tokens, logprobs = _logprobs(choice.get("logprobs"))
        counts = answer.get("usage") or {}
        asked, told = int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0)
        usage = Usage(asked, told, self.settings.cost(asked, told), cached=cached)
        return Generation(text, None, logprobs, reason, tokens=tokens, usage=usage)


def transcript(chat: Sequence[dict[str, str]]) -> str:
    """A chat as text for a model that continues text."""
    parts = [f"{_HEADING.strip()} {message['role'].capitalize()}\n{message['content']}" for message in chat]
    return "\n\n".join([*parts, f"{_HEADING.strip()} Assistant\n"])


def _text(message: dict[str, Any]) -> str:
    """What was said; tool calls are written behind it as the tasks read them."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    written = [f"<tool_call>\n{_call(call)}\n</tool_call>" for call in calls]
    content = message.get("content")
    if content is None and not calls:
        content = message["content"] if message.get("refusal") is None else message["refusal"]
    return "\n".join([*([] if content in (None, "") and calls else [content or ""]), *written])


def _call(function: dict[str, Any]) -> str:
    """A call as JSON; arguments that are none stay text, so that the task can say what is wrong with them."""
    arguments = function["arguments"]
    with contextlib.suppress(ValueError):
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
    return json.dumps({"name": function["name"], "arguments": arguments}, ensure_ascii=False)


def _logprobs(found: Any) -> tuple[tuple[str, ...] | None, tuple[float, ...] | None]:
    """The reply's tokens and their log-probabilities, in the form of either kind, where the server offers them."""
    if not found:
        return None, None
    if found.get("content"):
        pairs = [(each["token"], each["logprob"]) for each in found["content"]]
    elif found.get("tokens"):
        pairs = list(zip(found["tokens"], found["token_logprobs"], strict=True))
    else:
        return None, None
    return tuple(str(token) for token, _ in pairs), tuple(float(logprob) for _, logprob in pairs)


def _again(reply: Generation) -> Generation:
    """The same reply to an equal request: it was paid for once."""
    return reply if reply.usage is None else replace(reply, usage=replace(reply.usage, cached=True))


def _failed(error: Exception) -> Generation:
    return Generation(str(error), finish_reason="error")
