"""Tuned roles as an OpenAI-compatible endpoint: /v1/models and /v1/chat/completions, batched, also as a stream.

What is not offered is refused with a reason, never ignored: tools, formats of a reply, penalties, top_logprobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from cmat_env.errors import ConfigError, MissingExtraError
from cmat_env.policies.batching import Batcher, Job
from cmat_env.policies.chat_request import ChatRequest, RequestError
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.pretrained import roles_in
from cmat_env.types import Dialogue, Generation, Message

try:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
except ModuleNotFoundError as missing:
    raise MissingExtraError.of("starlette", "serve") from missing

_MOST_BYTES = 8 * 1024 * 1024
_SEEDS = 2**62


def load(folder: Path, name: str | None = None) -> dict[str, HFPolicy]:
    """The models of a folder, by the names under which they are served.

    Args:
        folder: of one model, or a run's `final/`, whose roles are served each under its own name.
        name: of a folder's only model; by default the folder's.

    Raises:
        ConfigError: there is no model.
    """
    roles = roles_in(folder)
    if not roles:
        return {name or folder.resolve().name: HFPolicy.load(folder)}
    if name is not None:
        raise ConfigError(f"{folder} holds {', '.join(roles)}, which are served under these names; drop --name")
    return {role: HFPolicy.load(folder, roles=(role,), adapter=role) for role in roles}


class ChatServer:
    """The application, for uvicorn or any ASGI server.

    Args:
        policies: by model's name; see `load`.
        window: how long the first request of a batch waits for others, in seconds.

    Attributes:
        app: a Starlette application.
        batcher: who decodes.
    """

    def __init__(self, policies: Mapping[str, HFPolicy], *, window: float = 0.005) -> None:
        self._policies = dict(policies)
        self._started = int(time.time())
        self.batcher = Batcher(policies, window=window)
        routes = [
            Route("/health", lambda _: JSONResponse({"status": "ok"})),
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes, exception_handlers={RequestError: _refused})

    @property
    def models(self) -> tuple[str, ...]:
        """Under which names they are served."""
        return tuple(self._policies)

    def close(self) -> None:
        """Stop decoding."""
        self.batcher.close()

    def _models(self, _: Request) -> Response:
        models = [
            {"id": name, "object": "model", "created": self._started, "owned_by": "cmat-env"} for name in self._policies
        ]
        return JSONResponse({"object": "list", "data": models})

    async def _chat(self, request: Request) -> Response:
        asked = ChatRequest.of(await _body(request))
        if asked.model not in self._policies:
            known = ", ".join(self._policies)
            raise RequestError(f"no model {asked.model!r} here; there is {known}", "model", "model_not_found", 404)
        policy = self._policies[asked.model]
        dialogues = [self._dialogue(asked, number) for number in range(asked.n)]
        policy.chat.encode(dialogues)
        length = len(dialogues[0].token_ids)
        if length >= policy.context:
            words = f"this model's maximum context length is {policy.context} tokens, but the messages are {length}"
            raise RequestError(words, "messages", "context_length_exceeded")
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
        if asked.stream:
            events = self._stream(asked, dialogues, head, length)
            return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        sampling = asked.sampling(policy.context)
        jobs = [self.batcher.submit(Job(asked.model, dialogue, sampling)) for dialogue in dialogues]
        replies = [await asyncio.wrap_future(job) for job in jobs]
        choices = [self._choice(asked, number, reply) for number, reply in enumerate(replies)]
        body = {**head, "object": "chat.completion", "choices": choices, "usage": _usage(length, replies)}
        return JSONResponse(body)

    def _dialogue(self, asked: ChatRequest, number: int) -> Dialogue:
        """What the role has heard and said, as its own dialogue; without a seed, one that nobody knows."""
        seed = random.SystemRandom().randrange(_SEEDS) if asked.seed is None else asked.seed + number * _SEEDS
        role = self._policies[asked.model].weights.roles[0]
        speakers = {"assistant": role, "system": "system", "developer": "system"}
        messages = [Message(speakers.get(name, "environment"), content) for name, content in asked.messages]
        return Dialogue(role, seed=seed, messages=messages)

    def _choice(self, asked: ChatRequest, number: int, reply: Generation) -> dict[str, Any]:
        text, stopped = asked.cut(reply.text)
        return {
            "index": number,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "finish_reason": "stop" if stopped else reply.finish_reason,
            "logprobs": {"content": self._logprobs(asked, reply), "refusal": None} if asked.logprobs else None,
        }

    def _logprobs(self, asked: ChatRequest, reply: Generation) -> list[dict[str, Any]]:
        """Each token of the text with its log-probability under the sampling distribution; the end of turn is none."""
        ids = (reply.token_ids or ())[: -1 if reply.finish_reason == "stop" else None]
        names = self._policies[asked.model].chat.decode([[token_id] for token_id in ids])
        pairs = zip(names, reply.logprobs or (), strict=False)
        return [
            {"token": name, "logprob": logprob, "bytes": list(name.encode()), "top_logprobs": []}
            for name, logprob in pairs
        ]

    async def _stream(
        self, asked: ChatRequest, dialogues: list[Dialogue], head: dict[str, Any], length: int
    ) -> AsyncIterator[str]:
        """Server-sent events: pieces of text as they come, the ends, and [DONE]."""
        loop = asyncio.get_running_loop()
        news: asyncio.Queue[tuple[int, int | None]] = asyncio.Queue()
        policy = self._policies[asked.model]

        def teller(number: int) -> Any:
            return lambda token_id: loop.call_soon_threadsafe(news.put_nowait, (number, token_id))

        def event(choices: list[dict[str, Any]], **more: Any) -> str:
            body = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
            return f"data: {json.dumps(body)}\n\n"

        replies = []
        for number, dialogue in enumerate(dialogues):
            job = Job(asked.model, dialogue, asked.sampling(policy.context), teller(number))
            ended = functools.partial(loop.call_soon_threadsafe, news.put_nowait, (number, None))
            job.reply.add_done_callback(lambda _, ended=ended: ended())  # type: ignore[misc]
            replies.append(asyncio.wrap_future(self.batcher.submit(job)))
            yield event([{"index": number, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        ids: list[list[int]] = [[] for _ in dialogues]
        sent = [0] * len(dialogues)
        left = len(dialogues)
        while left:
            number, token_id = await news.get()
            if token_id is None:
                left -= 1
                choice = self._choice(asked, number, await replies[number])
                piece, reason = choice["message"]["content"][sent[number] :], choice["finish_reason"]
            else:
                ids[number].append(token_id)
                piece, reason = asked.safe(policy.chat.decode([ids[number]])[0])[sent[number] :], None
                choice = {"logprobs": None}
            sent[number] += len(piece)
            if piece or reason:
                delta = {"content": piece} if piece else {}
                part = {"index": number, "delta": delta, "finish_reason": reason, "logprobs": choice["logprobs"]}
                yield event([part])
        if asked.usage_wanted:
            yield event([], usage=_usage(length, [await reply for reply in replies]))
        yield "data: [DONE]\n\n"


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Only application/json: a browser's other sites cannot send that unasked."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RequestError("send JSON, with Content-Type: application/json", "", "unsupported_media_type", 415)
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MOST_BYTES:
            raise RequestError(f"the body has more than {_MOST_BYTES} bytes", "", "request_too_large", 413)
    body: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(data)
    if not isinstance(body, dict):
        raise RequestError("the body is no JSON object", "", "invalid_json")
    return body


def _usage(length: int, replies: list[Generation]) -> dict[str, int]:
    written = sum(len(reply.token_ids or ()) for reply in replies)
    return {"prompt_tokens": length, "completion_tokens": written, "total_tokens": length + written}


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return JSONResponse(error.body, status_code=error.status)
