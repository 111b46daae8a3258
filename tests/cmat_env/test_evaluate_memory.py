"""Evaluation with trials and memory: what an episode may know, and that the report says which setting it was."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cmat_env.agents.memory_store import LongTermMemory
from cmat_env.cli import main
from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate
from cmat_env.log import read_episodes
from cmat_env.policies.scripted import EchoPolicy
from cmat_env.report import EvalReport
from cmat_env.rollout import Trials
from cmat_env.scores import Tokens
from cmat_env.types import Dialogue, Generation, Message, Trajectory

_FILE = Path(__file__).resolve().parents[2] / "examples" / "reflection.py"
_SPEC = importlib.util.spec_from_file_location("reflection_example", _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
example: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(example)
TEAM = {"assistant": example.NoteTaker()}


def told(trials: list[Trajectory]) -> list[str]:
    """Everything that was recalled from long-term memory."""
    return [i.text for t in trials for items in t.recalled.values() for i in items if i.memory is not None]


def test_success_is_reported_by_trial_with_its_cost() -> None:
    """All wrong, then all right; the second trial reads the note as well, and every policy's tokens are counted."""
    report = evaluate(example.make_market, TEAM, episodes=10, trials=Trials(2))
    one, two = report.trials

    assert (10, 0, 0.0) == (one.played, one.solved, one.success_rate)
    assert (10, 10, 1.0, report.total.success_ci95) == (two.played, two.solved, two.success_rate, two.success_ci95)
    assert (1.0, 10) == (report.success_rate, report.episodes)
    assert one.tokens.estimated
    assert one.tokens.written > two.tokens.written > 0
    assert {1} == {row.turns for row in report.per_episode}
    assert report == EvalReport.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False)))


def test_a_report_of_one_trial_has_one_score() -> None:
    """And says that there was no memory."""
    data = evaluate(example.make_market, {"assistant": EchoPolicy()}, episodes=3).to_json()

    assert ([1], None) == ([score["trial"] for score in data["trials"]], data["memory"])


def test_tokens_are_those_of_the_policy_where_it_shows_them() -> None:
    """Else four characters are one."""
    known, unknown = Dialogue("a", messages=[Message("b", "hello")]), Dialogue("a", messages=[Message("b", "x" * 40)])
    known.encode([1, 2, 3])
    known.reply(Generation("hi", (4, 5), (-0.1, -0.1)))
    unknown.reply(Generation("x" * 8))
    episodes = [
        Trajectory("e", "t", "k", 0, (), {"a": (dialogue,)}, (), True, 1.0, "won", True, False)
        for dialogue in (known, unknown)
    ]

    assert [Tokens(3, 2, False), Tokens(14, 5, True)] == [Tokens.of(episodes[:1]), Tokens.of(episodes)]


def test_nothing_of_an_episode_reaches_another(tmp_path: Path) -> None:
    """Read only: what was in the file before is told, the file stays as it was, and the order changes nothing."""
    file = tmp_path / "m"
    evaluate(example.make_market, TEAM, episodes=4, memory=file, continual=True)
    before = file.read_bytes()
    with LongTermMemory(file) as memory:
        state = memory.state_dict()
    heard: dict[int, list[list[str]]] = {}
    for width in (1, 64):
        trials: list[Trajectory] = []
        report = evaluate(
            example.make_market, TEAM, episodes=20, seed=1, memory=file, width=width, trials=Trials(2),
            on_end=lambda _, trial, kept=trials: kept.append(trial),  # type: ignore[misc]
        )  # fmt: skip
        heard[width] = [told([trial]) for trial in trials]
    with LongTermMemory(file) as memory:
        known = {entry.text for entry in memory.entries()}
        assert state == memory.state_dict()

    assert heard[1] == heard[64]
    assert {text for texts in heard[1] for text in texts} <= known
    assert (False, len(known), len(known)) == (report.memory.continual, report.memory.before, report.memory.after)  # type: ignore[union-attr]
    assert before == file.read_bytes()


def test_the_continual_setting_is_asked_for_and_reported(tmp_path: Path) -> None:
    """Then later episodes know what earlier ones wrote; in one block of all they do not."""
    rates = {}
    for block in (1, 40):
        report = evaluate(
            example.make_market, TEAM, episodes=40, memory=tmp_path / str(block), continual=True, block=block
        )
        data = report.to_json()
        assert (True, block, 0) == tuple(data["memory"][name] for name in ("continual", "block", "before"))
        rates[block] = [
            sum(row.success for row in half) / 20 for half in (report.per_episode[:20], report.per_episode[20:])
        ]

    assert {1: [0.8, 1.0], 40: [0.0, 0.0]} == rates


def test_a_stream_is_the_same_again(tmp_path: Path) -> None:
    """Same seed, same file contents at the start: same words, same memories."""
    states = []
    for name in ("a", "b"):
        trials: list[Trajectory] = []
        evaluate(
            example.make_market, TEAM, episodes=15, memory=tmp_path / name, continual=True, trials=Trials(2),
            on_end=lambda _, trial, kept=trials: kept.append(trial),  # type: ignore[misc]
        )  # fmt: skip
        with LongTermMemory(tmp_path / name) as memory:
            states.append((told(trials), memory.state_dict()))

    assert states[0] == states[1]


def _told_in_a_stream(file: Path, stop_after: int | None = None) -> list[list[str]]:
    """What each episode of a continual evaluation recalled; it may be interrupted."""
    trials: list[Trajectory] = []

    def on_end(index: int, trial: Trajectory) -> None:
        trials.append(trial)
        if index == stop_after:
            raise KeyboardInterrupt

    evaluate(example.make_market, TEAM, episodes=12, memory=file, continual=True, on_end=on_end)
    return [told([trial]) for trial in trials]


def _known(file: Path) -> dict[str, Any]:
    with LongTermMemory(file) as memory:
        return memory.state_dict()


def test_an_interrupted_stream_leaves_nothing_behind(tmp_path: Path) -> None:
    """Started again it recalls what an undisturbed one does, and not what the aborted one wrote of the same tasks."""
    file, apart = tmp_path / "m", tmp_path / "apart"
    for path in (file, apart):
        evaluate(example.make_market, TEAM, episodes=3, seed=1, memory=path, continual=True)
    before = _known(file)
    with pytest.raises(KeyboardInterrupt) as interrupt:  # whoever holds the error holds no lock
        _told_in_a_stream(file, stop_after=6)
    assert before == _known(file)

    assert _told_in_a_stream(apart) == _told_in_a_stream(file)
    assert before != _known(file) == _known(apart)
    assert interrupt.value is not None


STREAM = """
import runpy, sys, time
from cmat_env.evaluate import evaluate
example = runpy.run_path(sys.argv[1])
def on_end(index, trial):
    print(index, flush=True)
    if index == 6:
        time.sleep(600)
evaluate(example["make_market"], {"assistant": example["NoteTaker"]()}, episodes=12, memory=sys.argv[2], continual=True,
         on_end=on_end)
"""


def test_a_killed_stream_leaves_nothing_behind(tmp_path: Path) -> None:
    """And while it runs, others read what was there before."""
    file = tmp_path / "m"
    evaluate(example.make_market, TEAM, episodes=3, seed=1, memory=file, continual=True)
    before = _known(file)
    with subprocess.Popen(
        [sys.executable, "-c", STREAM, str(_FILE), str(file)], stdout=subprocess.PIPE, text=True
    ) as stream:
        assert stream.stdout is not None
        assert [f"{index}\n" for index in range(7)] == [stream.stdout.readline() for _ in range(7)]
        during = _known(file)
        stream.kill()

    assert before == during == _known(file)


def test_likeness_by_vectors_in_an_evaluation(tmp_path: Path) -> None:
    """`embed` reaches the memory: everything that is written and looked for passes through it."""
    seen: list[str] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        seen.extend(texts)
        return [[float(name in text) for name in example.MEASURES] for text in texts]

    stream = evaluate(example.make_market, TEAM, episodes=40, memory=tmp_path / "m", continual=True, embed=embed)

    assert stream.memory is not None
    assert stream.memory.recalled > 0
    assert any(text.startswith("One elbow is 18 inches. How many inches") for text in seen)
    assert all(len(entry[-1]) == len(example.MEASURES) for entry in _known(tmp_path / "m")["entries"])


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"continual": True}, "needs a memory"),
        ({"memory": "none"}, "none: no such memory"),
        ({"memory": "m", "continual": True, "workers": 2}, "workers=2 must be 1"),
        ({"memory": "m", "continual": True, "block": 0}, "block=0"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], word: str) -> None:
    """Before anything is played or made."""
    with pytest.raises(ConfigError, match=word):
        evaluate(example.make_market, TEAM, episodes=1, **wrong)


# -- the command -------------------------------------------------------------------------------------------------

DB = ["eval", "cmat/DB-v0", "--assistant", "reflecting:Guesser", "--episodes", "4"]


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with an assistant that always answers 1, and reflects in the same words."""
    text = (
        "from cmat_env.types import Generation\nclass Guesser:\n    def generate(self, dialogues, *, seed):\n"
        "        return [Generation('Action: Answer\\nFinal Answer: [\"1\"]') for _ in dialogues]\n"
    )
    (tmp_path / "reflecting.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_trials_and_memory_on_the_command_line(
    policy: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report names the setting; the log holds every trial; the memory can be listed."""
    flags = ["--trials", "2", "--memory", "m.sqlite", "--continual", "--record", "run"]
    assert 0 == main([*DB, *flags])
    shown = capsys.readouterr().out
    assert 0 == main(["memory", "list", "m.sqlite"])
    listed = capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    records = list(read_episodes(tmp_path / "run"))

    assert "CONTINUAL" in shown
    assert "by trial" in shown
    assert report["memory"]["continual"] is True
    assert [1, 2] == [score["trial"] for score in report["trials"]]
    assert 4 + report["trials"][1]["played"] == len(records)
    assert "reflection" in listed
    assert 0 == main([*DB, "--memory", "m.sqlite", "--trials", "2", "--no-reflect", "--json", "-"])
    again = json.loads(capsys.readouterr().out)
    assert again["memory"]["continual"] is False


def test_greedy_models_cannot_try_again_without_reflection(capsys: pytest.CaptureFixture[str]) -> None:
    """They would say the same."""
    assert 2 == main(["eval", "cmat/DB-v0", "--assistant", "hf:nowhere", "--trials", "2", "--no-reflect"])
    assert "add --sampled" in capsys.readouterr().err


def test_a_budget_holds_in_evaluations(guess_task: Any) -> None:
    """Dialogues are begun anew, and the digest stands in the note."""
    trials: list[Trajectory] = []
    evaluate(
        lambda: CollabEnv(guess_task(max_rounds=30), roles=("assistant",)),
        {"assistant": EchoPolicy()},
        episodes=1,
        budget=64,
        digest=16,
        on_end=lambda _, trial: trials.append(trial),
    )
    dialogues = trials[0].dialogues["assistant"]

    assert 1 < len(dialogues)
    assert "; you said: " in dialogues[1].messages[1].content
