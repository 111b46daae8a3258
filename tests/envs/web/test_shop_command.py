"""The shop on the command line: evaluation, replay, and a person who plays in a browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from cmat_env.cli import main


def run(*arguments: object) -> int:
    """The exit status of a command."""
    return main([str(each) for each in arguments])


@pytest.mark.parametrize(
    ("policy", "low", "high"),
    [
        ("gold", 1.0, 1.0),
        ("cmat_env.policies.shopper:FirstResult", 0.6, 0.95),
        ("random", 0.0, 0.15),
    ],
)
def test_eval_puts_policies_in_order(policy: str, low: float, high: float, tmp_path: Path) -> None:
    """The commands of the documentation, with fewer episodes: gold earns 1, random under 0.15, a heuristic between."""
    report = tmp_path / "report.json"
    status = run(
        "eval", "cmat/WebShop-v0", "--tasks", "generated:heldout", "--roles", "assistant", "--assistant", policy,
        "--episodes", 100, "--json", report,
    )  # fmt: skip
    found = json.loads(report.read_text())

    assert (0, 100) == (status, found["episodes"])
    assert low <= found["mean_reward"] <= high


@pytest.mark.parametrize("policy", ["random", "cmat_env.policies.shopper:FirstResult"])
def test_policies_play_alike_in_every_format(policy: str, tmp_path: Path) -> None:
    """As text or as tool calls, a policy without a model does the same things, and the shop understands them."""
    rewards = []
    for action_format in ("text", "tools"):
        report = tmp_path / f"{action_format}.json"
        run(
            "eval", "cmat/WebShop-v0", "--set", f"action_format={action_format}", "--roles", "assistant",
            "--assistant", policy, "--episodes", 60, "--json", report,
        )  # fmt: skip
        rewards.append([(each["reward"], each["turns"]) for each in json.loads(report.read_text())["per_episode"]])

    assert rewards[0] == rewards[1]
    assert any(reward for reward, _ in rewards[0])


def test_a_replay_shows_pages_and_actions(tmp_path: Path, capsys: Any) -> None:
    """What was clicked, what the page showed, and how it ended; no raw dictionary of actions."""
    run(
        "eval", "cmat/WebShop-v0", "--set", "products=60", "--roles", "assistant", "--assistant", "gold",
        "--episodes", "2", "--record", tmp_path,
    )  # fmt: skip
    capsys.readouterr()
    assert 0 == run("replay", tmp_path, "--episode", "1")
    shown = capsys.readouterr().out

    for words in ("search[", "click[buy now]", "Buy Now", "✔ solved: correct"):
        assert words in shown
    assert "'has_search_bar'" not in shown


@pytest.mark.usefixtures("chromium")
def test_a_person_plays_in_a_browser() -> None:
    """The address is said and serves the shop while it is open; at the end no server and no process is left."""
    command = [
        sys.executable, "-m", "cmat_env.cli", "play", "cmat/WebShop-v0", "--browser", "--set", "products=60",
    ]  # fmt: skip
    screenless = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=screenless
    ) as player:
        assert player.stdin is not None and player.stdout is not None
        address = None
        while address is None:
            line = player.stdout.readline()
            assert line, "it ended before it said an address"
            address = re.search(r"http://127\.0\.0\.1:\d+/[\w-]+/", line)
        with urllib.request.urlopen(address[0], timeout=10) as page:
            assert b"<title>WebShop</title>" in page.read()
        out, _ = player.communicate(timeout=120)

    assert (0, True) == (player.returncode, "You left" in out)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address[0], timeout=10)
