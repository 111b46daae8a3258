"""An evaluation through a server that fails in every way, killed in the middle: all accounted for, all paid once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cmat_env.log import read_episodes
from cmat_env.policies.messages import as_chat
from tests.conftest import needed

needed("httpx", extra="api")

TASKS = 300
FAULT = 0.05
BURST = 4
CONCURRENCY = 16
LATE = 0.9
TIMEOUT = 0.6
IN_TIME = 0.3
"""Seconds; an answer that took the double longer may have come too late, and is not counted as delivered."""


class Double:
    """What the server knows, whichever thread asks.

    It charges for an answer when it makes it, once an Idempotency-Key, and it makes it before it fails to deliver it.

    Attributes:
        charged: by request, how often its answer was made and charged for.
        delivered: by request, how often a whole answer was sent in time.
        faults: by kind, how many there were.
    """

    def __init__(self, seed: int) -> None:
        self.charged: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._keys: set[str] = set()
        self._rng = random.Random(seed)
        self._burst = 0
        self._lock = threading.Lock()

    def fault(self) -> str:
        """What goes wrong with the next request; "" = nothing."""
        with self._lock:
            if self._burst:
                self._burst -= 1
                return "500"
            drawn = self._rng.random()
            kinds = ("slow", "cut", "malformed", "429", "500")
            kind = next((kind for place, kind in enumerate(kinds) if drawn < FAULT * (place + 1)), "")
            self._burst = BURST - 1 if kind == "500" else 0
            self.faults[kind or "none"] += 1
            return kind

    def charge(self, name: str, key: str) -> None:
        """Make an answer."""
        with self._lock:
            if key not in self._keys:
                self._keys.add(key)
                self.charged[name] += 1

    def deliver(self, name: str) -> None:
        """A whole answer went out."""
        with self._lock:
            self.delivered[name] += 1


def name_of(messages: list[dict[str, str]]) -> str:
    """A request, by what was said."""
    return hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:16]


def reply_to(messages: list[dict[str, str]]) -> str:
    """The one right reply to a dialogue, unlike that to any other: two statements, then an answer."""
    turns = sum(message["role"] == "assistant" for message in messages)
    if turns < 2:
        return f"Action: Operation\n```sql\nSELECT '{name_of(messages)}'\n```"
    return f'Action: Answer\nFinal Answer: ["{name_of(messages)}"]'


class Handler(BaseHTTPRequestHandler):
    """One connection to the double."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together; apart, each answer waits 40 ms for an acknowledgement
    double: Double

    def do_POST(self) -> None:
        """Answer, or fail to."""
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        name, fault, began = name_of(messages), self.double.fault(), time.monotonic()
        if fault in ("429", "500"):
            self._send(int(fault), b"{}", {"Retry-After": "0.05"} if fault == "429" else {})
            return
        self.double.charge(name, self.headers["Idempotency-Key"])
        choice = {"message": {"role": "assistant", "content": reply_to(messages)}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        answer = json.dumps({"choices": [choice], "usage": usage}).encode()
        if fault == "slow":
            time.sleep(LATE)
        if fault == "cut":
            self._send(200, answer[: len(answer) // 2], {}, whole=len(answer))
            self.close_connection = True
            return
        if fault == "malformed":
            answer = answer[:-7]
        if self._send(200, answer, {}) and fault == "" and time.monotonic() - began < IN_TIME:
            self.double.deliver(name)

    def _send(self, status: int, body: bytes, headers: dict[str, str], whole: int | None = None) -> bool:
        try:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(whole or len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True
            return False
        return True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def double() -> Iterator[tuple[Double, str]]:
    """A server that fails, and its base URL."""
    handler = type("TheHandler", (Handler,), {"double": Double(seed=1)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield handler.double, f"http://127.0.0.1:{server.server_address[1]}/v1"  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def start(folder: Path, base_url: str) -> subprocess.Popen[str]:
    """An evaluation of 300 tasks in a process of its own."""
    api = {
        "concurrency": CONCURRENCY,
        "timeout": TIMEOUT,
        "backoff": 0.02,
        "retries": 10,
        "price_in": 1,
        "price_out": 2,
    }
    api_flags = [flag for name, value in api.items() for flag in ("--api", f"{name}={value}")]
    command = [
        *(sys.executable, "-m", "cmat_env.cli", "eval", "cmat/DB-v0", "--roles", "assistant"),
        *("--assistant", "openai:double", "--base-url", base_url, "--episodes", str(TASKS)),
        *("--api", f"cache={folder / 'answers.sqlite'}", *api_flags),
        *("--record", str(folder / "run"), "--json", str(folder / "report.json")),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)


def test_every_task_is_accounted_for_and_every_answer_paid_once(double: tuple[Double, str], tmp_path: Path) -> None:
    """5 % of each fault, and a SIGKILL when about half is paid: the same command goes on and ends with all 300 tasks.

    No answer is charged twice; none is lost or mixed up: each reply of the log is the one right reply to what that
    role had heard. Of the answers delivered whole, only those under way at the kill were delivered again.
    """
    server, base_url = double
    first = start(tmp_path, base_url)
    while len(server.charged) < TASKS * 1.5 and first.poll() is None:
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    paid_before = len(server.charged)
    second = start(tmp_path, base_url)
    output, _ = second.communicate(timeout=240)
    assert (-signal.SIGKILL, 0) == (first.returncode, second.returncode), output
    report = json.loads((tmp_path / "report.json").read_text())

    assert TASKS * 1.5 <= paid_before < TASKS * 3
    assert (TASKS, 0) == (report["episodes"], report["dropped"])
    assert TASKS * 3 == sum(row["turns"] for row in report["per_episode"])
    assert {"slow", "cut", "malformed", "429", "500"} <= server.faults.keys()
    assert TASKS * 3 == len(server.charged)
    assert {1} == set(server.charged.values())
    assert sum(server.delivered.values()) <= TASKS * 3 + CONCURRENCY

    records = {record.trajectory.seed: record.trajectory for record in read_episodes(tmp_path / "run")}
    assert list(range(TASKS)) == sorted(records)
    for episode in records.values():
        (dialogue,) = episode.dialogues["assistant"]
        places = [place for place, message in enumerate(dialogue.messages) if message.speaker == "assistant"]
        for place in places:
            assert reply_to(as_chat(dialogue.messages[:place], "assistant")) == dialogue.messages[place].content
    spent = [step.generation.usage for episode in records.values() for step in episode.steps]
    assert TASKS * 3 * 120 == pytest.approx(sum(usage.cost * 1e6 for usage in spent if usage and usage.cost))
