"""An endpoint policy before a real server: `transformers serve` with a tiny model, against the same model at home."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.policies.tiny import TinyConfig, make_model
from cmat_env.types import Dialogue, Message
from tests.conftest import needed

httpx = needed("httpx", extra="api")

from cmat_env.policies.api import ApiPolicy  # noqa: E402
from cmat_env.policies.api_settings import ApiSettings  # noqa: E402

PATIENCE = 180.0
"""Seconds: it took 43 to start on a machine whose cores were busy."""


@pytest.fixture(scope="module")
def model_folder(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TinyAgent of random weights."""
    size = TinyConfig(
        vocabulary=len(tokenizer), width=32, layers=2, heads=4, feed_forward=48, context=128, init_std=0.3
    )
    folder = tmp_path_factory.mktemp("served") / "model"
    HFPolicy(make_model(tokenizer, size, seed=3), tokenizer).save(folder)
    return folder


@pytest.fixture(scope="module")
def server(model_folder: Path) -> Iterator[str]:
    """The base URL of `transformers serve`."""
    if find_spec("fastapi") is None or find_spec("openai") is None:
        missing = "transformers serve needs fastapi and openai; run: pip install 'cmat-env[dev]'"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model_folder), "--device", "cpu"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = model_folder.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=output, stderr=output, env=environment
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield f"{url}/v1"
    finally:
        process.kill()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(f"{url}/health", timeout=5).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"transformers serve did not start: {log.read_text()[-2000:]}")


def test_a_served_model_says_what_it_says_at_home(server: str, model_folder: Path, tmp_path: Path) -> None:
    """Greedy replies over HTTP are those of `hf:` with the same weights, for first and second turns."""
    policy = ApiPolicy(
        ApiSettings(str(model_folder), base_url=server, max_tokens=8, concurrency=2, cache=str(tmp_path / "a.sqlite"))
    )
    home = HFPolicy.load(model_folder, sampling=Sampling(greedy=True, max_new_tokens=8))
    talks = [("1 to 16",), ("higher",), ("1 to 16", "guess", "lower")]
    replies = policy.generate([_dialogue(*said) for said in talks], seed=0)
    wanted = home.generate([_dialogue(*said) for said in talks], seed=0)

    assert [reply.text for reply in wanted] == [reply.text for reply in replies]
    assert [reply.finish_reason for reply in wanted] == [reply.finish_reason for reply in replies]
    assert [len(reply.token_ids or ()) for reply in wanted] == [
        reply.usage.reply_tokens if reply.usage else 0 for reply in replies
    ]
    assert 3 == len({reply.text for reply in replies})


def test_a_completion_is_continued(server: str, model_folder: Path) -> None:
    """The other kind of request, before the same server."""
    settings = ApiSettings(str(model_folder), base_url=server, max_tokens=4, kind="completion", cache="off")
    (reply,) = ApiPolicy(settings).generate([_dialogue("1 to 16")], seed=0)

    assert ("length", 4) == (reply.finish_reason, reply.usage.reply_tokens if reply.usage else 0)


def _dialogue(*said: str) -> Dialogue:
    """User and assistant in turn. Replies are given: random bytes would not survive as text."""
    speakers = ("user", "assistant") * len(said)
    return Dialogue("assistant", messages=[Message(*pair) for pair in zip(speakers, said, strict=False)])
