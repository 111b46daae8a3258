"""What blocks of pages need beside an empty folder: `<!-- needs: agentbench, endpoint -->` above a block asks for it.

What cannot be had here is skipped with its block, or fails under CI=true.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium
import pytest

from cmat_env.agents.prompts import prompts_of
from cmat_env.errors import CmatError
from tests.envs.web.test_webshop_files import write as write_webshop

SHARED = Path(__file__).resolve().parents[3] / "shared"
ADDRESS = "http://127.0.0.1:8000/v1"
"""What the pages write; the double listens at a free port, and blocks that need it are given that one."""
AGENTBENCH = {
    "AGENTBENCH/data/dbbench/dev.jsonl": "db/dev.jsonl",
    "AGENTBENCH/data/knowledgegraph/dev.json": "kg/dev.json",
    "AGENTBENCH/data/os_interaction/data/dev.json": "os/dev.json",
    "AGENTBENCH/data/os_interaction/data/train.json": "os/train.json",
    "dev_graphs.nq.gz": "kg/dev_graphs.nq.gz",
    "my_graph.nt.gz": "kg/geo.nt.gz",
}
"""AgentBench's checkout as far as we have it; a reader brings the graphs."""
ANSWER = "Act: answer(1)\nAction: Answer\nFinal Answer: 1"


class Missing(Exception):
    """What a block needs is not here."""


class Double(BaseHTTPRequestHandler):
    """An endpoint that answers every task at once, and wrong."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together; apart, each answer waits 40 ms for an acknowledgement

    def do_POST(self) -> None:
        """One chat completion."""
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
        answer = {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Stage:
    """The folder of one page, and what its blocks asked for.

    Args:
        folder: where the blocks run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ADDRESS
        self.open = ExitStack()
        self._there: dict[str, str] = {}

    def has(self, need: str) -> bool:
        """Lay it out, once; False if it is not to be had."""
        if need not in self._there:
            lay: Callable[[], None] = getattr(self, f"_{need}")
            try:
                lay()
            except Missing as missing:
                if os.environ.get("CI") == "true":
                    pytest.fail(str(missing))
                self._there[need] = str(missing)
            else:
                self._there[need] = ""
        return not self._there[need]

    def _agentbench(self) -> None:
        source = SHARED / "agentbench"
        if not source.is_dir():
            raise Missing(f"{source} is missing")
        for name, place in AGENTBENCH.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).symlink_to(source / place)
        (self.folder / "AGENTBENCH/data/os_interaction/scripts/dev").mkdir(parents=True)

    def _endpoint(self) -> None:
        server = self.open.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Double))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.open.callback(server.shutdown)
        self.address = os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.server_address[1]}/v1"

    def _model(self) -> None:
        """A run's final model of two roles, and a model alone."""
        from cmat_env.policies.hf import HFPolicy  # noqa: PLC0415 - torch is for the pages that need it
        from cmat_env.policies.tiny import TinyConfig, make_model, train_tokenizer  # noqa: PLC0415

        instruction, _ = gymnasium.make("cmat/DB-v0").reset(seed=0)
        words = [instruction, *prompts_of("paper").values(), "Verdict: approve", "Verdict: revise. Try again."]
        tokenizer = train_tokenizer(words * 4, vocabulary=700, phrases=())
        size = TinyConfig(vocabulary=len(tokenizer), width=32, layers=2, heads=4, feed_forward=48, context=4096)
        model = make_model(tokenizer, size, seed=1)
        for place in ("path/to/model", "runs/demo/warm_start"):
            model.save_pretrained(self.folder / place)
            tokenizer.save_pretrained(self.folder / place)
        HFPolicy(model, tokenizer, roles=("assistant", "checker")).save(self.folder / "runs/demo/final")

    def _qwen(self) -> None:
        """A tiny model where a page names one of the Hub's."""
        self.has("model")
        (self.folder / "Qwen").mkdir()
        (self.folder / "path/to/model").rename(self.folder / "Qwen/Qwen2.5-0.5B-Instruct")

    def _recipe(self) -> None:
        """A run of the reader's own."""
        from cmat_env.tuning.presets import presets  # noqa: PLC0415

        shutil.copy(presets()["tinyagent-nano-db"], self.folder / "my.toml")

    def _webshop(self) -> None:
        (self.folder / "WEBSHOP/data").mkdir(parents=True)
        write_webshop(self.folder / "WEBSHOP/data")

    def _person(self) -> None:
        """Who leaves at once."""
        self.open.enter_context(mock.patch.object(sys, "stdin", io.StringIO()))

    def _sandbox(self) -> None:
        from cmat_env.envs.operating_system import SandboxSettings  # noqa: PLC0415
        from cmat_env.envs.operating_system.backends.choose import choose  # noqa: PLC0415

        try:
            choose(SandboxSettings())
        except CmatError as error:
            raise Missing(str(error)) from error

    def _mariadb(self) -> None:
        if not (shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/libexec")):
            raise Missing("mariadbd is missing: apt-get install mariadb-server")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """An empty folder, the working one, with a cache of its own and without the caller's key."""
    made = Stage(tmp_path)
    variables = {"PWD": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    with mock.patch.dict(os.environ, variables), contextlib.chdir(tmp_path), made.open:
        os.environ.pop("OPENAI_API_KEY", None)
        yield made
