"""`cmat train` and `cmat demo`: what they do, and what they say to a user's mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cmat_env.cli import INTERRUPTED, MISTAKE, main

TINY = """
iterations = 500
episodes = 4
evaluate_every = 0
final_episodes = 4
checkpoint_every = 100
[task.settings]
families = ["max", "min"]
max_rounds = 3
[model]
width = 32
layers = 1
heads = 2
feed_forward = 32
vocabulary = 400
max_new_tokens = 12
[warm_start]
episodes = 40
[warm_start.sft]
steps = 10
[tuner]
minibatch = 2
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "tinyagent-nan"], "did you mean 'tinyagent-nano'"),
        (["train", "nowhere.toml"], "cannot read nowhere.toml"),
        (["train", "tinyagent-nano-db", "--set", "tuner.learning_rat=1"], "did you mean 'learning_rate'"),
        (["train", "tinyagent-nano-db", "--set", "tuner.algorithm=pp"], "wanted one of 'ppo', 'grpo', 'rloo'"),
        (["train", "tinyagent-nano-db", "--set", "tuner.algorithm=reinforce"], "set tuner.epochs=1"),
        (["train", "tinyagent-nano-db", "--set", "tuner.algorithm=dpo"], "set samples to 2 or more"),
        (["train", "tinyagent-nano-db", "--set", "pairs.path=p.jsonl"], "pairs.path is for dpo"),
        (
            ["train", "tinyagent-nano-db", "--set", "tuner.algorithm=dpo", "--set", "pairs.path=p.jsonl"],
            "p.jsonl cannot be read",
        ),
        (["train", "tinyagent-nano-db", "--set", "alarms.window=0"], "window=0 must be at least 1"),
        (["train", "tinyagent-nano-db", "--set", "episodes=many"], "wanted int"),
        (["train", "tinyagent-nano-db", "--set", "tuner.algorithm=grpo"], "set samples to 2 or more"),
        (["train", "tinyagent-nano-db", "--set", 'team.learners=["asistant"]'], "did you mean 'assistant'"),
        (["train", "tinyagent-nano-db", "--set", "task.env=cmat/BD-v0"], "did you mean 'cmat/DB-v0'"),
        (["train", "tinyagent-nano-db", "--set", "task.settings.levl=2"], "did you mean 'level'"),
        (["train", "tinyagent-nano-db", "--resume"], "no run to resume"),
        (
            ["train", "any", "--resume", "--out", "."],
            "holds no run to resume: config.toml is missing; name the folder of a",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Status 2, one line on standard error that says what to do, and no half-made run."""
    monkeypatch.chdir(tmp_path)

    assert MISTAKE == main(arguments)

    said = capsys.readouterr().err.strip()
    assert words in said
    assert 1 == len(said.splitlines())
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    """The first Ctrl-C ends after the update in progress, with a checkpoint and status 130; --resume goes on."""
    config, out = tmp_path / "tiny.toml", tmp_path / "run"
    config.write_text(TINY, encoding="utf-8")
    command = [sys.executable, "-m", "cmat_env.cli", "train", str(config), "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert any("iteration 2/500" in line for line in started.stdout)

    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=120)

    assert INTERRUPTED == started.returncode, said
    assert "--resume" in said
    metrics = out / "metrics.jsonl"
    done = len(metrics.read_text().splitlines())
    assert ["000000", f"{done:06d}"] == sorted(path.name for path in (out / "checkpoints").iterdir())

    text = (out / "config.toml").read_text().replace("iterations = 500", f"iterations = {done + 1}")
    (out / "config.toml").write_text(text, encoding="utf-8")

    assert 0 == main(["train", str(config), "--out", str(out), "--resume"])
    assert list(range(1, done + 2)) == [json.loads(line)["iteration"] for line in metrics.read_text().splitlines()]


def test_the_quick_demo_does_the_whole_job(tmp_path: Path) -> None:
    """It warms up, tunes, evaluates with and without the checker, and replays an episode that it learned.

    Learning happens, in under a minute of processor time: a team made from scratch improves by reward alone (the seed
    is fixed), while it trains and on held-out tasks, where both ways to play the assistant make 200 episodes.
    """
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "cmat_env.cli", "demo", "--quick", "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)

    assert 0 == done.returncode, done.stderr
    for words in ("warm start, step", "iteration 8/8", "without checker, greedy", "after tuning: succeeds"):
        assert words in done.stdout
    report = json.loads((out / "report.json").read_text())["evaluations"]
    before, after = (
        [report[f"{when}: {team}, sampled"] for team in ("team", "without checker")] for when in ("before", "after")
    )
    assert [100] * 4 == [each["episodes"] for each in (*before, *after)]
    assert before[0]["success_rate"] < after[0]["success_rate"]
    assert 0.08 <= sum(each["success_rate"] for each in after) / 2 - sum(each["success_rate"] for each in before) / 2
    rates = [json.loads(line)["success"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert sum(rates[:3]) / 3 + 0.08 <= sum(rates[-3:]) / 3
    assert (out / "curve.png").stat().st_size > 10_000
