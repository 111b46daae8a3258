"""`cmat replay`: printed where nobody types, drawn where a picture is wanted, torn ends reported."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cmat_env.cli import main


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run folder with three episodes."""
    main(["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "3", "--record", str(tmp_path)])
    capsys.readouterr()
    return tmp_path


def test_episodes_are_printed_without_keys(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, or one; a folder or the file itself."""
    assert 0 == main(["replay", str(run)])
    assert 3 == capsys.readouterr().out.count("✔ solved")
    assert 0 == main(["replay", str(run / "episodes.jsonl"), "--episode", "2"])
    assert 1 == capsys.readouterr().out.count("✔ solved")


def test_a_torn_end_is_reported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole episodes are shown, and standard error says what is left out."""
    log = run / "episodes.jsonl"
    log.write_bytes(log.read_bytes()[:-10])

    assert 0 == main(["replay", str(run)])
    shown = capsys.readouterr()
    assert 2 == shown.out.count("✔ solved")
    assert "is left out" in " ".join(shown.err.split())


def test_a_corrupt_line_is_a_mistake_with_its_number(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File and line in one line."""
    log = run / "episodes.jsonl"
    log.write_bytes(b"junk\n" + log.read_bytes())

    assert 2 == main(["replay", str(run)])
    assert "episodes.jsonl:1: not a JSON line" in capsys.readouterr().err


def test_a_picture_is_drawn(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name is printed."""
    assert 0 == main(["replay", str(run), "--svg", str(run / "x.svg")])
    assert f"{run / 'x.svg'}\n" == capsys.readouterr().out
    assert (run / "x.svg").read_text().startswith("<svg")


def test_a_film_is_made(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An asciicast of version 2: times that rise, the words of the terminal in order, and the same file each time."""
    films = [run / "new" / "one.cast", run / "two.cast"]
    for film in films:
        assert 0 == main(["replay", str(run), "--episode", "2", "--cast", str(film)])
    said = capsys.readouterr().out
    first, second = (film.read_text() for film in films)
    header, *events = (json.loads(line) for line in first.splitlines())
    times = [time for time, _, _ in events]
    shown = "".join(data for _, _, data in events)
    assert 0 == main(["replay", str(run), "--episode", "2"])
    plain = capsys.readouterr().out

    assert first == second
    assert {"version": 2, "width": 100, "height": 32} == {name: header[name] for name in ("version", "width", "height")}
    assert {"o"} == {kind for _, kind, _ in events}
    assert sorted(times) == times
    assert 5 < times[-1] < 60
    assert f"{films[0]}: {times[-1]:.0f} s; play it with: asciinema play {films[0]}" in said
    assert plain.split("\n")[1].rstrip() in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert shown.count("\n") == shown.count("\r\n")
    assert "\x1b[" in shown
    assert 2 == main(["replay", str(run), "--episode", "9", "--cast", str(run / "x.cast")])
    assert 2 == main(["replay", str(run), "--cast", str(run / "two.cast" / "x.cast")])
    assert "cannot be written" in capsys.readouterr().err


def test_a_log_is_verified(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0 where all comes again; where a word was changed, status 1 with episode, step, field and both values."""
    assert 0 == main(["replay", str(run), "--verify"])
    assert "3 of 3 episodes came again exactly\n" == capsys.readouterr().out
    log = run / "episodes.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if '"index":1' in line)
    lines[place] = lines[place].replace('"message":"', '"message":"!', 1)
    log.write_text("".join(lines))

    assert 1 == main(["replay", str(run), "--verify"])
    shown = capsys.readouterr().out
    assert "the first divergence is at step 2 (assistant_0), in observation.message" in shown
    assert "recorded: '!" in shown
    assert "2 of 3 episodes came again exactly" in shown


def test_an_episode_is_forked_and_compared(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The continued episode is shown and kept; the comparison shows where it parts and who solved it."""
    fork = ["replay", str(run), "--episode", "2", "--fork", "1", "--assistant", "random", "--record", str(run / "b")]
    assert 0 == main(fork)
    assert "from step 1" in " ".join(capsys.readouterr().out.split())
    assert 0 == main(["replay", "--diff", str(run), str(run / "b")])
    shown = capsys.readouterr().out

    assert "1 episodes in both: 0 the same, 1 part" in shown
    assert "only in A: 2, only in B: 0" in shown
    assert "only A: 1" in shown
    assert 0 == main(["replay", "--diff", str(run), str(run / "b"), "--episode", "2"])
    assert 2 == main(["replay", "--diff", str(run), str(run / "b"), "--episode", "1"])
    assert 0 == main(["replay", str(run / "b"), "--verify"])


def test_a_page_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file, whose name, episodes and size are said."""
    assert 0 == main(["replay", str(run), "--html", str(run / "page.html"), "--tokens"])
    assert capsys.readouterr().out.startswith(f"{run / 'page.html'}: 3 episodes, ")
    assert 2 == main(["replay", str(run), "--html", str(run / "other.html"), "--episode", "9"])
    assert "no episode 9" in capsys.readouterr().err
    assert not (run / "other.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--verify", "--svg", "x.svg"], "--svg and --verify cannot both be done"),
        (["--assistant", "gold"], "belong to --fork; add --fork STEP"),
        (["--diff"], "1 logs are given; wanted two logs to compare"),
        (["."], "2 logs are given; wanted one log; to compare two add --diff"),
        (["--fork", "99", "--assistant", "gold"], "no step 99: the episode has steps 1 to"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Status 2, with what to do."""
    assert 2 == main(["replay", str(run), *arguments])
    assert message in capsys.readouterr().err
