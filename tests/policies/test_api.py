"""Endpoint policies over a transport of our own: what is asked, what is read, what is tried again, what is kept."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from cmat_env.errors import ConfigError
from cmat_env.policies.spec import parse_spec
from cmat_env.policy_checks import check_policy
from cmat_env.types import Dialogue, Generation, Message, Usage
from tests.conftest import needed

httpx = needed("httpx", extra="api")

from cmat_env.policies.answers import AnswerCache, key_of  # noqa: E402
from cmat_env.policies.api import ApiPolicy, transcript  # noqa: E402
from cmat_env.policies.api_settings import ApiSettings  # noqa: E402

KEY = "sk-this-must-never-be-seen"
URL = "http://127.0.0.1:1/v1"


def dialogue(text: str = "hello", *, seed: int = 0, role: str = "assistant") -> Dialogue:
    """What a role sees before its first word."""
    return Dialogue(role, seed=seed, messages=[Message("system", "Be brief."), Message("user", text)])


def chat_answer(text: str | None = "hi", **more: Any) -> dict[str, Any]:
    """An answer of /chat/completions."""
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": more.pop("finish_reason", "stop"), **more}
    return {"choices": [choice], "usage": {"prompt_tokens": 11, "completion_tokens": 3}}


class Server:
    """A transport that answers with what it is given, in turn, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Any] = []
        self._lock = threading.Lock()

    def __call__(self, request: Any) -> Any:
        """The next answer; the last one stays."""
        with self._lock:
            self.requests.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was asked."""
        return [json.loads(request.content) for request in self.requests]


def ok(answer: dict[str, Any] | None = None) -> Any:
    """HTTP 200."""
    return httpx.Response(200, json=answer or chat_answer())


def policy_of(server: Server, **settings: Any) -> ApiPolicy:
    """A policy that speaks to `server`; impatient, and without a cache unless one is named."""
    quick: dict[str, Any] = {"base_url": URL, "cache": "off", "backoff": 0.0, "retries": 3, **settings}
    return ApiPolicy(ApiSettings("m", **quick), httpx.MockTransport(server))


def test_a_dialogue_becomes_a_chat_request() -> None:
    """System stays system, the role's own words are the assistant's, everybody else's the user's; greedy asks for 0."""
    server = Server(lambda _: ok())
    talk = dialogue()
    talk.reply(Generation("a try"))
    talk.say(Message("environment", "no"))
    reply = policy_of(server, max_tokens=7).generate([talk], seed=3)[0]

    assert "/v1/chat/completions" == server.requests[0].url.path
    messages = [("system", "Be brief."), ("user", "hello"), ("assistant", "a try"), ("user", "no")]
    assert {
        "model": "m", "max_tokens": 7, "temperature": 0,
        "messages": [{"role": role, "content": text} for role, text in messages],
    } == server.bodies[0]  # fmt: skip
    assert Generation("hi", usage=Usage(11, 3)) == reply


def test_a_completion_request_carries_a_transcript() -> None:
    """A model without a chat continues text, and stops where somebody else would speak."""
    answer = {
        "choices": [{"text": " 4", "finish_reason": "length", "logprobs": {"tokens": [" 4"], "token_logprobs": [-0.5]}}]
    }
    server = Server(lambda _: ok(answer))
    reply = policy_of(server, kind="completion", logprobs=True).generate([dialogue("2+2?")], seed=0)[0]
    body = server.bodies[0]

    assert "/v1/completions" == server.requests[0].url.path
    assert "### System\nBe brief.\n\n### User\n2+2?\n\n### Assistant\n" == body["prompt"]
    assert (["\n\n### "], 1) == (body["stop"], body["logprobs"])
    assert (" 4", "length", (" 4",), (-0.5,)) == (reply.text, reply.finish_reason, reply.tokens, reply.logprobs)
    assert transcript([{"role": "user", "content": "x"}]).startswith("### User\nx")


def test_tool_calls_become_text_that_the_tasks_read() -> None:
    """Whatever the arguments are; what was said beside the calls stays before them."""
    from cmat_env.envs.tool_calls import BadCall, ToolCall, read_calls  # noqa: PLC0415

    calls = [
        {"id": "1", "type": "function", "function": {"name": "execute_sql", "arguments": '{"query": "SELECT 1"}'}},
        {"id": "2", "type": "function", "function": {"name": "execute_sql", "arguments": "{broken"}},
    ]
    tool = {"type": "function", "function": {"name": "execute_sql", "parameters": {"type": "object"}}}
    server = Server(lambda _: ok(chat_answer("I look.", message={"tool_calls": calls}, finish_reason="tool_calls")))
    reply = policy_of(server, tools=(tool,)).generate([dialogue()], seed=0)[0]
    first, second = read_calls(reply.text)

    assert [tool] == server.bodies[0]["tools"]
    assert reply.text.startswith("I look.\n<tool_call>")
    assert ToolCall("execute_sql", {"query": "SELECT 1"}) == first
    assert isinstance(second, BadCall)


def test_log_probabilities_come_where_they_are_offered() -> None:
    """Asked for with logprobs=true, read in nats, one a token; a server that has none gives none."""
    content = [{"token": "h", "logprob": -0.1}, {"token": "i", "logprob": -2.0}]
    server = Server(lambda _: ok(chat_answer("hi", logprobs={"content": content})), lambda _: ok())
    policy = policy_of(server, logprobs=True)
    known, unknown = (policy.generate([dialogue(text)], seed=0)[0] for text in "ab")

    assert server.bodies[0]["logprobs"] is True
    assert (("h", "i"), (-0.1, -2.0)) == (known.tokens, known.logprobs)
    assert (None, None) == (unknown.tokens, unknown.logprobs)


def test_what_may_pass_is_tried_again() -> None:
    """429, 5xx, a cut or late connection, no JSON, and JSON of another form; then the answer counts once."""
    server = Server(
        httpx.Response(429, json={"error": "slow down"}), httpx.Response(500), httpx.ReadError("cut"),
        httpx.ReadTimeout("late"), httpx.Response(200, content=b'{"choices": ['), httpx.Response(200, json=[1]),
        httpx.Response(200, json={"choices": []}), ok(),
    )  # fmt: skip
    replies = policy_of(server, retries=7).generate([dialogue()], seed=0)

    assert ["hi"] == [reply.text for reply in replies]
    assert 8 == len(server.requests)
    assert 1 == len({request.headers["Idempotency-Key"] for request in server.requests})


@pytest.mark.parametrize("value", ["0.3", lambda: formatdate(time.time() + 2, usegmt=True)])
def test_a_server_that_says_when_is_believed(value: str | Callable[[], str]) -> None:
    """Retry-After, as seconds or as a date, is the least wait; without it the bound doubles up to longest_wait."""
    waits: list[float] = []
    header = value if isinstance(value, str) else value()
    server = Server(
        httpx.Response(429, headers={"Retry-After": header}), httpx.Response(503), httpx.Response(503), ok()
    )
    policy = policy_of(server, backoff=10.0, longest_wait=15.0)
    policy._endpoint._wait = waits.append  # type: ignore[assignment]
    policy.generate([dialogue()], seed=0)

    assert 3 == len(waits)
    assert waits[0] >= (0.3 if header == "0.3" else 0.9)
    assert max(waits[1:]) <= 15.0


def test_what_is_never_answered_is_an_error_of_that_dialogue_alone() -> None:
    """The others are answered; a rollout drops the one. A refusal is not tried again."""

    def answer(request: Any) -> Any:
        if b"bad" in request.content:
            return httpx.Response(500, text="down")
        return httpx.Response(400, text="no") if b"refused" in request.content else ok()

    server = Server(answer)
    talks = [dialogue(text) for text in ("good", "bad", "refused")]
    good, bad, refused = policy_of(server, concurrency=1).generate(talks, seed=0)

    assert ("hi", "stop") == (good.text, good.finish_reason)
    assert ("error", "error") == (bad.finish_reason, refused.finish_reason)
    assert "failed 4 times; the last time: HTTP 500: down" in bad.text
    assert 1 + 4 + 1 == len(server.requests)


def test_a_dialogue_longer_than_the_context_is_cut_not_failed() -> None:
    """As with a local model: nothing more can be said."""
    refusal = {"error": {"code": "context_length_exceeded", "message": "maximum context length is 10 tokens"}}
    reply = policy_of(Server(httpx.Response(400, json=refusal))).generate([dialogue()], seed=0)[0]

    assert ("", "length") == (reply.text, reply.finish_reason)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            lambda: httpx.Response(401, json={"error": f"Incorrect API key provided: {KEY}"}),
            "environment variable A_KEY",
        ),
        (lambda: httpx.Response(404, text="no such model"), "check --base-url"),
        (lambda: httpx.Response(429, json={"error": {"code": "insufficient_quota"}}), "check the account"),
        (lambda: httpx.ConnectError("refused"), "is a server there"),
    ],
)
def test_what_concerns_every_request_ends_the_run(
    answer: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key, a wrong model, no money, no server: one line on what to do."""
    monkeypatch.setenv("A_KEY", KEY)
    with pytest.raises(ConfigError, match=words):
        policy_of(Server(answer()), key_env="A_KEY").generate([dialogue()], seed=0)


def test_the_key_is_sent_and_never_seen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """It goes out as a bearer token, and is in no repr, log, pickle, cache, error or traceback."""
    monkeypatch.setenv("A_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    server = Server(ok(), httpx.Response(500, text=f"your key is {KEY}"))
    policy = policy_of(server, key_env="A_KEY", cache=str(tmp_path / "answers.sqlite"), retries=0)
    policy.generate([dialogue("a")], seed=0)
    failed = policy.generate([dialogue("b")], seed=0)[0]
    server.answers = [httpx.Response(401, text=f"wrong key {KEY}")]
    with pytest.raises(ConfigError) as caught:
        policy.generate([dialogue("c")], seed=0)
    with_locals = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = [
        repr(policy), str(policy.settings), repr(vars(policy)), repr(vars(policy._endpoint)), failed.text, caplog.text,
        "".join(with_locals.format()), repr(pickle.dumps(policy)),
        *(repr(file.read_bytes()) for file in tmp_path.iterdir()),
    ]  # fmt: skip

    assert [f"Bearer {KEY}"] * 3 == [request.headers["Authorization"] for request in server.requests]
    assert [] == [text for text in shown if KEY in text]
    assert "[key]" in failed.text


def test_no_more_than_concurrency_requests_are_under_way() -> None:
    """Twenty dialogues, three at a time, and three indeed."""
    under_way: list[int] = []
    now, lock, full = 0, threading.Lock(), threading.Barrier(3, timeout=10)

    def answer(_: Any) -> Any:
        nonlocal now
        with lock:
            now += 1
            under_way.append(now)
            first = len(under_way) <= 3
        if first:
            full.wait()
        with lock:
            now -= 1
        return ok()

    policy_of(Server(answer), concurrency=3).generate([dialogue(str(number)) for number in range(20)], seed=0)

    assert 3 == max(under_way)


def test_a_kept_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    """By another policy, too, and its tokens still count; equal requests of one batch are sent once."""
    server = Server(lambda _: ok())
    file = str(tmp_path / "deep" / "answers.sqlite")
    first = policy_of(server, cache=file, price_in=1.0, price_out=2.0).generate([dialogue(), dialogue(seed=9)], seed=0)
    second = policy_of(server, cache=file, price_in=1.0, price_out=2.0).generate([dialogue()], seed=5)

    cost = (11 * 1.0 + 3 * 2.0) / 1e6
    assert 1 == len(server.requests)
    assert [Usage(11, 3, cost), Usage(11, 3, cost, cached=True)] == [reply.usage for reply in first]
    assert Usage(11, 3, cost, cached=True) == second[0].usage


def test_all_that_matters_is_in_the_name_of_an_answer(tmp_path: Path) -> None:
    """Another model, URL, setting, message, or (where it samples) seed is another answer; the role's name is not."""
    server = Server(lambda _: ok())
    file = str(tmp_path / "answers.sqlite")
    variants: list[dict[str, Any]] = [
        {}, {"base_url": URL + "x"}, {"max_tokens": 9}, {"greedy": False}, {"greedy": False, "temperature": 0.5},
        {"logprobs": True}, {"extra": {"top_p": 0.5}}, {"kind": "completion"},
    ]  # fmt: skip
    server.answers = [
        lambda request: ok(chat_answer() if b"messages" in request.content else {"choices": [{"text": "t"}]})
    ]
    for settings in variants:
        policy_of(server, cache=file, **settings).generate([dialogue()], seed=0)
    sampled = policy_of(server, cache=file, greedy=False)
    for seed, talk in ((1, dialogue()), (0, dialogue(seed=1)), (0, dialogue("other"))):
        sampled.generate([talk], seed=seed)
    assert len(variants) + 3 == len(server.requests)
    policy_of(server, cache=file).generate([dialogue(seed=4)], seed=7)
    sampled.generate([dialogue()], seed=1)

    assert len(variants) + 3 == len(server.requests)
    assert key_of("u", {"a": 1, "b": 2}, "") == key_of("u", {"b": 2, "a": 1}, "")


def test_two_policies_write_one_cache(tmp_path: Path) -> None:
    """Threads and connections at once: no answer is lost, the first of a name stays."""
    file = tmp_path / "answers.sqlite"
    caches = [AnswerCache(file), AnswerCache(file)]

    def fill(cache: AnswerCache, mark: int) -> None:
        for number in range(50):
            cache.put(str(number), {"by": mark})

    threads = [threading.Thread(target=fill, args=(cache, mark)) for mark, cache in enumerate(caches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = [(caches[0].get(str(number)), caches[1].get(str(number))) for number in range(50)]
    assert [] == [pair for pair in found if pair[0] is None or pair[0] != pair[1]]
    assert caches[0].get("50") is None


def test_a_server_that_drips_meets_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is in time, the whole is not."""
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    class Drip(httpx.SyncByteStream):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Any:
            return iter([b"{"] * 20)

    server = Server(lambda request: ok() if b"fine" in request.content else httpx.Response(200, stream=Drip()))
    from cmat_env.policies.endpoint import Endpoint, UnansweredError  # noqa: PLC0415

    settings = ApiSettings("m", base_url=URL, cache="off", timeout=10.0, retries=0)
    endpoint = Endpoint(settings, httpx.MockTransport(server))
    endpoint.post("/x", {"a": "fine"}, key="k", check=lambda _: "")
    with pytest.raises(UnansweredError, match="not whole after 10 s"):
        endpoint.post("/x", {}, key="k", check=lambda _: "")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"base_url": "localhost:80"}, "is no URL of a server"),
        ({"base_url": "http://me:pw@host/v1"}, "would be logged"),
        ({"kind": "chats"}, "did you mean 'chat'"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"timeout": 0.0}, "timeout=0.0"),
        ({"price_in": -1}, "price_in=-1"),
        ({"concurency": 2}, "did you mean 'concurrency'"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any], words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=words):
        ApiSettings.of("m", {"base_url": URL, **settings})


def test_the_word_of_the_command_line_gives_an_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """openai:MODEL, of OPENAI_BASE_URL or OpenAI's own, which wants a key; the model's name may hold colons."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        parse_spec("openai:gpt", role="assistant")
    with pytest.raises(ConfigError, match="needs the model's name"):
        parse_spec("openai:", role="assistant")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/")
    policy = parse_spec("openai:ft:gpt:me", role="checker", greedy=False)

    assert isinstance(policy, ApiPolicy)
    assert ("ft:gpt:me", "http://127.0.0.1:9/v1", False) == (
        policy.settings.model, policy.settings.base_url, policy.settings.greedy
    )  # fmt: skip
    assert pickle.loads(pickle.dumps(policy)).settings == policy.settings
    assert (tmp_path / "cmat-env" / "answers.sqlite").exists()


def test_it_keeps_the_contract_of_policies() -> None:
    """`check_policy` finds nothing to say."""

    def answer(request: Any) -> Any:
        return ok(chat_answer(f"{len(request.content)}"))

    check_policy(policy_of(Server(answer), greedy=False))
