"""`cmat serve` before the `openai` client and before our own endpoint policy: the model itself is the measure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from cmat_env.cli import main
from cmat_env.errors import ConfigError
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.policies.tiny import TinyConfig, make_model
from cmat_env.types import Dialogue, Message
from tests.conftest import needed

httpx = needed("httpx", extra="api")
openai = needed("openai", extra="dev")
uvicorn = needed("uvicorn", extra="serve")

from cmat_env.policies.api import ApiPolicy  # noqa: E402
from cmat_env.policies.api_settings import ApiSettings  # noqa: E402
from cmat_env.policies.batching import Job  # noqa: E402
from cmat_env.policies.server import ChatServer, load  # noqa: E402


@pytest.fixture(scope="module")
def run_folder(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves: two roles whose weights differ."""
    size = TinyConfig(vocabulary=len(tokenizer), width=32, layers=2, heads=4, feed_forward=48, context=96, init_std=0.3)
    folder = tmp_path_factory.mktemp("run") / "final"
    policy = HFPolicy(make_model(tokenizer, size, seed=5), tokenizer, roles=("assistant", "checker"))
    for number, parameter in enumerate(policy.weights.policy_parameters("checker")):
        parameter.data += 0.1 + 0.01 * number
    policy.save(folder)
    return folder


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[tuple[ChatServer, str]]:
    """The server in a thread, with a window long enough that callers meet, and its base URL."""
    chat = ChatServer(load(run_folder), window=0.1)
    running = uvicorn.Server(uvicorn.Config(chat.app, port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        thread.join(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield chat, f"http://127.0.0.1:{port}/v1"
    running.should_exit = True
    thread.join()
    chat.close()


@pytest.fixture
def client(server: tuple[ChatServer, str]) -> Any:
    """The `openai` client."""
    return openai.OpenAI(base_url=server[1], api_key="none", max_retries=0)


def at_home(folder: Path, role: str, text: str, **sampling: Any) -> Any:
    """The same model's reply without a server."""
    policy = HFPolicy.load(folder, roles=(role,), sampling=Sampling(**sampling))
    dialogue = Dialogue(role, seed=sampling.pop("seed", 0), messages=[Message("environment", text)])
    return policy.generate([dialogue], seed=0)[0]


def say(text: str) -> list[dict[str, str]]:
    """One message of the user."""
    return [{"role": "user", "content": text}]


def test_each_role_is_a_model(client: Any) -> None:
    """Under its own name."""
    assert ["assistant", "checker"] == [model.id for model in client.models.list()]


@pytest.mark.parametrize("role", ["assistant", "checker"])
def test_the_openai_client_hears_what_the_model_says(client: Any, run_folder: Path, role: str) -> None:
    """Text, log-probabilities and counts are those of the role's own weights, greedy as at home."""
    wanted = at_home(run_folder, role, "higher", greedy=True, max_new_tokens=9)
    answer = client.chat.completions.create(
        model=role, messages=say("higher"), temperature=0, max_tokens=9, logprobs=True
    )
    choice = answer.choices[0]
    shown = [each.logprob for each in choice.logprobs.content]

    assert wanted.text == choice.message.content
    assert wanted.finish_reason == choice.finish_reason
    assert pytest.approx(list(wanted.logprobs[: len(shown)]), abs=1e-5) == shown
    assert len(wanted.token_ids) == answer.usage.completion_tokens >= len(shown)


def test_roles_do_not_share_weights(client: Any) -> None:
    """The two models say different things."""
    texts = {
        client.chat.completions.create(model=role, messages=say("higher"), temperature=0, max_tokens=9)
        .choices[0].message.content
        for role in ("assistant", "checker")
    }  # fmt: skip

    assert 2 == len(texts)


def test_a_seed_is_kept_and_no_seed_is_chance(client: Any) -> None:
    """n replies differ among themselves; the same seed gives the same ones; without one they are others."""

    def ask(seed: int | None) -> list[str]:
        more = {} if seed is None else {"seed": seed}
        answer = client.chat.completions.create(model="assistant", messages=say("1"), n=3, max_tokens=12, **more)
        return [choice.message.content for choice in answer.choices]

    first = ask(7)

    assert 3 == len(set(first))
    assert first == ask(7)
    assert ask(None) != ask(None)


def test_a_stream_brings_the_same_text_in_pieces(client: Any) -> None:
    """Token by token, with the end's reason, counts and log-probabilities; no half of a sign is ever sent."""
    asked: dict[str, Any] = {
        "model": "assistant",
        "messages": say("lower"),
        "seed": 3,
        "max_tokens": 14,
        "logprobs": True,
    }
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    last = [chunk for chunk in chunks if chunk.choices][-1].choices[0]

    assert whole.choices[0].message.content == "".join(pieces)
    assert len([piece for piece in pieces if piece]) > 2
    assert whole.choices[0].finish_reason == last.finish_reason
    assert whole.choices[0].logprobs.content == last.logprobs.content
    assert whole.usage == chunks[-1].usage


def test_a_stop_text_ends_a_reply(client: Any) -> None:
    """It is not part of it, in a stream neither."""
    asked: dict[str, Any] = {"model": "assistant", "messages": say("lower"), "seed": 3, "max_tokens": 14}
    text = client.chat.completions.create(**asked).choices[0].message.content
    stop = text[5:7]
    whole = client.chat.completions.create(**asked, stop=[stop, "never"]).choices[0]
    stream = list(client.chat.completions.create(**asked, stop=stop, stream=True))

    assert (text[: text.index(stop)], "stop") == (whole.message.content, whole.finish_reason)
    assert text[: text.index(stop)] == "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def test_concurrent_requests_are_decoded_together(server: tuple[ChatServer, str], client: Any) -> None:
    """Twelve callers at once make a few batches, and each gets the reply it would get alone."""

    def ask(number: int) -> str:
        answer = client.chat.completions.create(
            model="assistant", messages=say(str(number)), temperature=0, max_tokens=6
        )
        return str(answer.choices[0].message.content)

    alone = [ask(number) for number in range(12)]
    before = len(server[0].batcher.batches)
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(ask, range(12)))
    batches = server[0].batcher.batches[before:]

    assert alone == together
    assert 12 == sum(batches)
    assert max(batches) >= 4


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "user"}, 404, "model_not_found"),
        ({"messages": []}, 400, "invalid_value"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "invalid_value"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, 400, "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "invalid_value"),
        ({"messages": [{"role": "user", "content": "x" * 500}]}, 400, "context_length_exceeded"),
        ({"temperature": -1}, 400, "invalid_value"),
        ({"max_tokens": 0}, 400, "invalid_value"),
        ({"n": True}, 400, "invalid_value"),
        ({"stop": [""]}, 400, "invalid_value"),
        ({"tools": [{"type": "function"}]}, 400, "unsupported_parameter"),
        ({"top_logprobs": 5}, 400, "unsupported_parameter"),
    ],
)
def test_what_is_not_offered_is_refused(
    server: tuple[ChatServer, str], body: dict[str, Any], status: int, code: str
) -> None:
    """With OpenAI's status and form, so that any client understands; never ignored."""
    asked = {"model": "assistant", "messages": say("x"), **body}
    answer = httpx.post(f"{server[1]}/chat/completions", json=asked)

    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])


def test_other_sites_of_a_browser_cannot_ask(server: tuple[ChatServer, str]) -> None:
    """JSON that is not declared as such, as a form of another site sends it, is refused, and junk is, too."""
    body = json.dumps({"model": "assistant", "messages": say("x")})
    plain = httpx.post(f"{server[1]}/chat/completions", content=body, headers={"Content-Type": "text/plain"})
    junk = httpx.post(f"{server[1]}/chat/completions", content="[" * 9000, headers={"Content-Type": "application/json"})

    assert (415, 400) == (plain.status_code, junk.status_code)


def test_our_endpoint_policy_is_at_home_here(server: tuple[ChatServer, str], run_folder: Path) -> None:
    """Both ends of ours fit: texts, log-probabilities and the context's end, as with `hf:`."""
    settings = ApiSettings("checker", base_url=server[1], max_tokens=9, logprobs=True, cache="off")
    talks = [Dialogue("checker", messages=[Message("assistant", text)]) for text in ("higher", "1", "x" * 500)]
    higher, _, long = ApiPolicy(settings).generate(talks, seed=0)
    wanted = at_home(run_folder, "checker", "higher", greedy=True, max_new_tokens=9)

    assert wanted.text == higher.text
    assert pytest.approx(list(wanted.logprobs[: len(higher.logprobs or ())]), abs=1e-5) == list(higher.logprobs or ())
    assert ("", "length") == (long.text, long.finish_reason)


def test_cmat_serve_serves_a_model_folder(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says where it listens, and `cmat eval` plays through it; Ctrl-C ends it."""
    command = [sys.executable, "-m", "cmat_env.cli", "serve", str(run_folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+/v1", line)
            assert found, line
            status = main([
                "eval", "cmat/DB-v0", "--roles", "assistant", "--assistant", "openai:assistant", "--episodes", "2",
                "--base-url", found[0], "--api", "cache=off", "--api", "max_tokens=4", "--json", "-",
            ])  # fmt: skip
            report = json.loads(capsys.readouterr().out)
        finally:
            process.terminate()
    assert line.startswith("assistant, checker at http://127.0.0.1:")
    assert (0, 2) == (status, report["episodes"])


def test_adapters_on_a_base_are_served(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """A LoRA a role, over one base: each model says what its role said before it was saved."""
    size = TinyConfig(vocabulary=len(tokenizer), width=32, layers=2, heads=4, feed_forward=48, context=96, init_std=0.3)
    roles = ("assistant", "checker")
    greedy = Sampling(greedy=True, max_new_tokens=8)
    policy = HFPolicy(
        make_model(tokenizer, size, seed=5),
        tokenizer,
        roles=roles,
        adapter=AdapterSettings("lora", rank=4),
        sampling=greedy,
    )
    for seed, role in enumerate(roles):
        generator = torch.Generator().manual_seed(seed)
        for parameter in policy.weights.policy_parameters(role):
            parameter.data += torch.randn(parameter.shape, generator=generator) * 0.3
    policy.save(tmp_path)
    wanted = [
        policy.generate([Dialogue(role, messages=[Message("x", "higher")])], seed=0)[0].token_ids for role in roles
    ]
    chat = ChatServer(load(tmp_path))
    jobs = [chat.batcher.submit(Job(role, Dialogue(role, messages=[Message("x", "higher")]), greedy)) for role in roles]

    assert roles == chat.models
    assert wanted == [job.result().token_ids for job in jobs]
    assert wanted[0] != wanted[1]
    chat.close()


def test_a_folder_without_a_model_is_named(tmp_path: Path, run_folder: Path) -> None:
    """And a name for several models at once is refused."""
    with pytest.raises(ConfigError, match="holds no model"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="drop --name"):
        load(run_folder, "x")
