"""`cmat watch` and `cmat report`: a run at work, ended, torn, none at all; and the page that is left of it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cmat_env.cli import main
from cmat_env.cli.watch_view import frame
from cmat_env.log import EpisodeWriter, read_episodes
from cmat_env.run_log import RunLog
from cmat_env.tuning.config import RunSettings, to_toml

ALARM = {"role": "checker", "figure": "clip_fraction", "value": 0.5, "limit": 0.1, "text": "steps are too large"}


def line(iteration: int, **more: object) -> str:
    """A line of metrics.jsonl."""
    figures = {"return": 0.1 * iteration, "kl_per_sequence": 0.5, "entropy": 1 / iteration}
    roles = {"assistant": figures, "checker": {**figures, "margin": 2.5}}
    facts = {"iteration": iteration, "episodes": 8 * iteration, "success": 0.1 * iteration, "roles": roles}
    return json.dumps({**facts, "alarms": [], **more}) + "\n"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an evaluation has left, half of whose episodes failed."""
    folder = tmp_path_factory.mktemp("evaluated")
    command = ["eval", "cmat/DB-v0", "--assistant", "demonstrator", "--checker", "coin:0.5", "--episodes", "12"]
    assert 0 == main([*command, "--set", "demonstrator_error=0.7", "--record", str(folder)])
    return folder


@pytest.fixture
def training(tmp_path: Path, evaluated: Path) -> Path:
    """A training run at work, in its fourth iteration, with an alarm."""
    (tmp_path / "config.toml").write_text(to_toml(RunSettings(iterations=6, seed=3)))
    evaluation = {"team, greedy": 0.25, "without checker, greedy": 0.125}
    lines = [line(1), line(2, evaluation=evaluation), line(3), line(4, alarms=[ALARM])]
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    episodes = [record.trajectory for record in read_episodes(evaluated)]
    for name, notes in (("episodes", {"phase": "before"}), ("training", {"iteration": 4})):
        with EpisodeWriter(tmp_path / f"{name}.jsonl", notes=notes) as log:
            for episode in episodes:
                log.write(episode)
    return tmp_path


def test_once_shows_how_a_run_stands(
    training: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stage, alarm, curve, figures by role, failures by reason, ledger by role, the latest episodes."""
    monkeypatch.setenv("COLUMNS", "120")
    assert 0 == main(["watch", str(training), "--once"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())

    facts = [
        "iteration 4 of 6, 24 episodes recorded", "! checker: steps are too large", "success", "team, greedy 0.25",
        "KL/episode", "margin", "Failures by reason", "Ledger by role", "verdict", "Latest recorded episodes",
        "training 12, iteration 4", "last written",
    ]  # fmt: skip
    assert [] == [fact for fact in facts if fact not in shown]
    reasons = {record.trajectory.outcome for record in read_episodes(training) if not record.trajectory.success}
    assert reasons
    assert [] == [reason for reason in reasons if f"{reason} " not in shown]


@pytest.mark.parametrize("width", [1, 20, 60, 200])
def test_a_screen_of_any_width_is_drawn_on(training: Path, width: int) -> None:
    """Nothing fails, and no line is wider."""
    screen = StringIO()
    Console(file=screen, width=width, color_system=None).print(frame(RunLog(training)))

    assert [] == [line for line in screen.getvalue().splitlines() if len(line) > width]


@pytest.mark.parametrize("torn", ["metrics.jsonl", "training.jsonl", "episodes.jsonl"])
def test_a_torn_last_line_is_waited_for(training: Path, torn: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not there yet; all before it is."""
    (training / torn).write_bytes((training / torn).read_bytes()[:-9])
    assert 0 == main(["watch", str(training), "--once"])
    wanted = "iteration 3 of 6, 24" if torn == "metrics.jsonl" else "iteration 4 of 6, 23"
    assert f"{wanted} episodes recorded" in capsys.readouterr().out


def test_a_run_that_has_ended_is_shown_and_left(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --once, too."""
    assert 0 == main(["watch", str(evaluated)])
    said = capsys.readouterr().out

    assert said.startswith("ended, 12 episodes recorded; cmat/DB-v0: ")
    assert 1 == len(said.splitlines())


@pytest.mark.parametrize("command", ["watch", "report"])
def test_a_folder_that_is_no_run_is_a_mistake(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, with what came, what was wanted and what to do."""
    assert 2 == main([command, str(tmp_path)])
    assert "holds no run: none of episodes.jsonl, metrics.jsonl and config.toml" in capsys.readouterr().err
    assert 2 == main([command, str(tmp_path / "gone")])
    assert "gone does not exist; wanted the folder of a run" in capsys.readouterr().err


@contextmanager
def watching(folder: Path, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """`cmat watch` in a process of its own."""
    command = [sys.executable, "-m", "cmat_env.cli", "watch", str(folder), "--every", "0.1"]
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_run_is_followed_until_it_ends(training: Path) -> None:
    """In a pipe: a line for whatever is new, and status 0 at the end of the run."""
    with watching(training) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        with (training / "metrics.jsonl").open("a") as file:
            file.write(line(5))
        second = process.stdout.readline()
        report = training / "report.partial"
        report.write_text(json.dumps({"episodes": 40, "evaluations": {}}))
        report.rename(training / "report.json")
        last = process.stdout.readline()

        assert 0 == process.wait(60)
    assert "iteration 4 of 6, 24 episodes recorded; success 0.40; ! checker: steps are too large\n" == first
    assert "iteration 5 of 6, 24 episodes recorded; success 0.50\n" == second
    assert "ended after 5 iterations, 24 episodes recorded; success 0.50\n" == last


def test_ctrl_c_ends_it_without_a_traceback(training: Path) -> None:
    """Status 130, as of every command; the terminal has its own screen back."""
    ours, theirs = pty.openpty()
    with watching(training, theirs) as process:
        os.close(theirs)
        seen = b""
        while b"iteration 4 of 6" not in seen:
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        while b"\x1b[?1049l" not in seen:
            seen += os.read(ours, 65536)
        assert process.stderr is not None
        said = process.stderr.read()

        assert 130 == process.wait(60)
    os.close(ours)
    assert b"\x1b[?1049h" in seen
    assert "stopped\n" == said


def test_a_report_is_printed_and_written(evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Results with intervals, types, failures, ledger; as Markdown too."""
    assert 0 == main(["report", str(evaluated)])
    shown = capsys.readouterr().out
    assert 0 == main(["report", str(evaluated), "--markdown", str(tmp_path / "new" / "report.md")])
    written = (tmp_path / "new" / "report.md").read_text()
    data = json.loads((evaluated / "report.json").read_text())
    low, high = (f"{100 * each:.1f}" for each in data["success_ci95"])

    for words in (f"{100 * data['success_rate']:.1f}", f"{low} to {high}", *data["by_type"], *data["outcomes"]):
        if words != "correct":
            assert words in shown
            assert words.replace("_", "\\_") in written
    assert "| policies.assistant | demonstrator |" in written


def test_a_page_of_a_run_holds_everything_and_asks_for_nothing(training: Path, tmp_path: Path) -> None:
    """Curves, results, ledger, episodes, settings; no script, no address, and only the style that its policy allows."""
    page = tmp_path / "pages" / "run.html"
    assert 0 == main(["report", str(training), "--html", str(page), "--episodes", "2"])
    text = page.read_text(encoding="utf-8")

    facts = [
        "iteration 4 of 6", "steps are too large", "<polyline", "<b>success</b> by iteration", "Results, in percent",
        "Solved by type of task", "Failures by reason", "Ledger by role", "<td>seed</td><td>3</td>", "SELECT</span>",
        "default-src &#x27;none&#x27;; style-src &#x27;sha256-",
    ]  # fmt: skip
    assert [] == [fact for fact in facts if fact not in text]
    assert 2 == text.count('<details class="episode')
    assert not [word for word in ("<script", "://", "@import", " style=", "url(") if word in text]


def test_a_browser_draws_the_curves(training: Path, tmp_path: Path, photograph: Callable[..., Any]) -> None:
    """Debian's Chromium shows the lines of two roles in two colours, and the page is no wider than its window."""
    page = tmp_path / "run.html"
    assert 0 == main(["report", str(training), "--html", str(page), "--episodes", "1"])
    red, green, blue = (photograph(page, 1100, 1000)[..., channel] for channel in range(3))

    assert int(((blue - red > 0.4) & (blue - green > 0.2)).sum()) > 200, "the assistant's lines"
    assert int(((red - blue > 0.4) & (red - green > 0.3)).sum()) > 200, "the checker's lines"
