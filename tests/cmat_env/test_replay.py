"""Replay: every fact of an episode is on the screen, at any width, without colour, and keys lead where they say."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from cmat_env.errors import LogError
from cmat_env.keys import name_of
from cmat_env.log import EpisodeWriter
from cmat_env.log_lines import EpisodeRecord
from cmat_env.look_rich import content
from cmat_env.looks import rows_of
from cmat_env.replay import HELP, Place, Shelf, browse, draw_svg, move, replay
from cmat_env.replay_view import whole
from cmat_env.types import Dialogue, Generation, Judgement, Payment, Step, Trajectory, Verdict

QUERY = "Action: Operation\n```sql\nSELECT name FROM towns WHERE size > 3\n```"


def episode(name: str = "t1", *, reply: str = QUERY, seen: str = "[(1, 'Ulm'), (2, 'Bonn')]") -> Trajectory:
    """A refused proposal, a better one, rows, and an answer; the checker errs once."""
    said = [reply, "Verdict: revise. look closer", QUERY, "Verdict: approve", "Final Answer: [1]"]
    roles = ["assistant", "checker", "assistant", "checker", "assistant"]
    heard = [("how many towns?", "user"), ("Proposal:\n" + reply, "assistant"), (said[1], "checker")]
    heard += [(f"Proposal:\n{QUERY}\nDry run: 2 rows", "assistant"), (seen, "environment")]
    checks = {1: (Verdict(False, "look closer", 0.75), True), 3: (Verdict(True), True)}
    paid = {
        1: (Payment("checker", -1.0, "verdict", 0),),
        3: (Payment("checker", 1.0, "verdict", 1),),
        4: (Payment("assistant", 1.0, "task", 2), Payment("checker", 0.7, "team", 1)),
    }
    steps = tuple(
        Step(
            index, f"{role}_0", role, index // 2, {"message": heard[index][0], "speaker": heard[index][1]},
            Generation(said[index]), payments=paid.get(index, ()), verdict=checks.get(index, (None,))[0],
            judgement=Judgement(checks[index][1]) if index in checks else None,
        )
        for index, role in enumerate(roles)
    )  # fmt: skip
    dialogues = {role: (Dialogue(role),) for role in ("assistant", "checker")}
    for step in steps:
        dialogues[step.role][0].reply(step.generation)
    payments = tuple(payment for entries in paid.values() for payment in entries)
    return Trajectory("cmat/DB-v0", name, "select", 3, steps, dialogues, payments, True, 1.0, "correct", True, False)


def text_of(parts: list[RenderableType] | Iterator[RenderableType], *, width: int = 100) -> str:
    """What a screen without colour shows."""
    screen = StringIO()
    console = Console(file=screen, width=width, color_system=None)
    for part in parts:
        console.print(part)
    return screen.getvalue()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three episodes."""
    with EpisodeWriter(tmp_path / "episodes.jsonl", policies={"assistant": "hf:x", "checker": "oracle"}) as writer:
        for name in ("t1", "t2", "t3"):
            writer.write(episode(name))
    return tmp_path


@pytest.mark.parametrize("width", [60, 100])
def test_every_fact_is_shown(width: int) -> None:
    """Task, team, words, verdicts with their rightness, payments with totals, outcome; also on 60 columns."""
    shown = text_of(whole(EpisodeRecord(episode(), {"assistant": "hf:x"}), number=2, count=3), width=width)

    facts = [
        "episode 2 of 3", "cmat/DB-v0", "task t1", "seed 3", "assistant hf:x", "how many towns?", "1/5 assistant",
        "SELECT name FROM towns WHERE size > 3", "✘ revise", "confidence 0.75", "look closer", "✔ approve",
        "the task says good: wrongly", "the task says good: rightly", "dry run:", "2 rows", "Ulm", "✔ solved: correct",
    ]  # fmt: skip
    assert [] == [fact for fact in facts if fact not in shown]
    assert width >= max(len(line) for line in shown.splitlines())
    ledger = [line.split() for line in shown.splitlines() if " total " in line]
    assert [
        ["checker", "-1.00", "verdict", "total", "-1.00"],
        ["checker", "+1.00", "verdict", "total", "+0.00"],
        ["assistant", "+1.00", "task", "total", "+1.00"],
        ["checker", "+0.70", "team", "total", "+0.70"],
    ] == ledger


def test_words_are_shown_once() -> None:
    """What a role hears is not repeated where the reader has just read it."""
    shown = text_of(whole(EpisodeRecord(episode()), number=1))

    assert 1 == shown.count("look closer")
    assert 2 == shown.count("SELECT name")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("[(1, 'a'), (2, None)]", [(1, "a"), (2, None)]),
        (" [[1]] ", [(1,)]),
        ("[]", None),
        ("[(1, 'a'), (2", None),
        ("[(Decimal('3'),)]", None),
        ("[(), ()]", None),
        ("[(1)]", None),
        ("[(" * 3000, None),
        ("[(" + "1," * 20_000 + ")]", None),
        ("[(__import__('os').system('true'),)]", None),
    ],
)
def test_rows_are_read_and_never_run(text: str, rows: list[tuple[object, ...]] | None) -> None:
    """Lists of rows become tables; everything else, also absurd or hostile text, stays text."""
    assert rows == rows_of(text)


def test_tables_are_cut_with_a_note() -> None:
    """A dozen rows are enough, and the reader is told how many are left out."""
    shown = text_of(content(str([(number, number * 1.5) for number in range(1000, 1030)])))

    assert "1011" in shown
    assert "1012" not in shown
    assert "... 18 more rows" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "(nothing)"),
        ('{"name": "execute_sql", "arguments": {"query": "SELECT 7"}}', "execute_sql\nSELECT 7"),
        ('{"name": 1', '{"name": 1'),
        ("before\n```sql\nSELECT 1\n```\nafter", "before\nSELECT 1\nafter"),
        ("[bold]no markup[/bold] :smile:", "[bold]no markup[/bold] :smile:"),
    ],
)
def test_what_somebody_wrote_is_shown_as_written(text: str, expected: str) -> None:
    """SQL, tool calls, junk and rich's own markup."""
    assert expected == "\n".join(line.rstrip() for line in text_of(content(text)).splitlines())


def test_nothing_a_model_wrote_steers_the_terminal() -> None:
    """Escape sequences, carriage returns, bells and direction overrides are shown as signs, wherever they stand."""
    evil = "\x1b]0;owned\x07\x1b[2J\r\u202e"
    for hostile in (episode(evil, reply=evil), episode(reply=f"```sql\n{evil}\n```", seen=f"[('{evil}',)]")):
        shown = text_of(whole(EpisodeRecord(hostile, {"assistant": evil}), number=1))
        assert set() == set(shown) & set("\x1b\x07\r\u202e")


def test_a_pipe_gets_everything_at_once(log: Path) -> None:
    """All episodes, or the one that is asked for, without a key."""
    screen = StringIO()
    replay(log, Console(file=screen, width=80, color_system=None))
    one = StringIO()
    replay(log / "episodes.jsonl", Console(file=one, width=80, color_system=None), episode=2)

    assert ["task t1", "task t2", "task t3"] == [
        name for name in ("task t1", "task t2", "task t3") if name in screen.getvalue()
    ]
    assert ["task t2"] == [name for name in ("task t1", "task t2", "task t3") if name in one.getvalue()]


@pytest.mark.parametrize("interactive", [False, True])
def test_an_episode_that_is_not_there_is_named(log: Path, *, interactive: bool) -> None:
    """Beyond the end, and in an empty log."""
    console = Console(file=StringIO())
    with pytest.raises(LogError, match="no episode 4"):
        replay(log, console, episode=4, interactive=interactive)
    (log / "episodes.jsonl").write_text("")
    with pytest.raises(LogError, match="no episode in this log"):
        replay(log, console, interactive=interactive)


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        (["right", "right"], Place(0, 2)),
        (["right", "left", "left"], Place(0, 0)),
        (["end"], Place(0, 5)),
        (["end", "right"], Place(0, 5)),
        (["end", "home"], Place(0, 0)),
        (["n"], Place(1, 0)),
        (["right", "n", "n", "n"], Place(2, 0)),
        (["n", "right", "p", "p"], Place(0, 0)),
        (["g", "4", "enter"], Place(0, 3)),
        (["g", "9", "9", "enter"], Place(0, 5)),
        (["g", "0", "enter"], Place(0, 0)),
        (["g", "1", "2", "backspace", "backspace", "3", "enter"], Place(0, 2)),
        (["right", "g", "x"], Place(0, 1)),
        (["g", "2"], Place(0, 0, typed="2")),
        (["a"], Place(0, 0, everything=True)),
        (["a", "right"], Place(0, 1)),
        (["?", "up"], Place(0, 0)),
        (["q"], Place(0, 0, over=True)),
    ],
)
def test_keys_lead_where_they_say(keys: list[str], place: Place) -> None:
    """Forward, back, ends, jumps, episodes, quitting; never beyond an end."""
    shelf = Shelf(EpisodeRecord(episode(name)) for name in ("t1", "t2", "t3"))
    at = Place()
    for key in keys:
        at = move(at, key, shelf)

    assert place == at


def test_browsing_draws_each_place(log: Path) -> None:
    """The screen shows the step, the end, the jump being typed and the keys; closing the terminal quits."""
    screen = StringIO()
    keys = iter(["right", "g", "1", "escape", "end", "a", "n", "q"])
    console = Console(file=screen, width=60, force_terminal=True, color_system=None)
    browse(Shelf(EpisodeRecord(episode(name)) for name in ("t1", "t2")), console, read=lambda: next(keys))
    shown = screen.getvalue()

    assert [] == [
        fact for fact in ("1/5", "2/5", "jump to step: 1_", "✔ solved", "task t2", HELP[:20]) if fact not in shown
    ]

    def gone() -> str:
        raise EOFError

    browse(Shelf(iter([EpisodeRecord(episode())])), console, read=gone)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 4), (12, 8), (40, 2)])
def test_a_terminal_that_is_too_narrow_is_browsed_all_the_same(width: int, height: int) -> None:
    """Every place, tokens and the end too: nothing fails, and the first letters of the words are there."""
    screen = StringIO()
    keys = iter(["right", "t", "right", "end", "a", "g", "2", "enter", "n", "q"])
    console = Console(file=screen, width=width, height=height, force_terminal=True, color_system=None)
    browse(Shelf(EpisodeRecord(episode(name)) for name in ("t1", "t2")), console, read=lambda: next(keys))

    assert None is next(keys, None)
    assert "e" in screen.getvalue()


def test_a_long_log_is_read_as_far_as_it_is_needed() -> None:
    """Showing the first episode reads one."""
    read: list[int] = []

    def records() -> Iterator[EpisodeRecord]:
        for number in range(1000):
            read.append(number)
            yield EpisodeRecord(episode())

    shelf = Shelf(records())
    assert shelf.get(0) is not None
    assert [0] == read
    assert shelf.get(-1) is None


@pytest.mark.parametrize(
    ("raw", "name"),
    [(b"\x1b[C", "right"), (b"\x1bOD", "left"), (b"\x1b[H", "home"), (b"\x1b[4~", "end"), (b"\r", "enter"), (b"n", "n"),
     (b"\x7f", "backspace"), (b"\x1b", "escape"), (b"\x1b[99~", "escape"), (b"\x04", "q"), ("é".encode(), "é")],
)  # fmt: skip
def test_keys_have_names(raw: bytes, name: str) -> None:
    """What terminals send for a key."""
    assert name == name_of(raw)


def test_ctrl_c_and_a_closed_terminal_are_no_keys() -> None:
    """The one interrupts, the other ends the input."""
    with pytest.raises(KeyboardInterrupt):
        name_of(b"\x03")
    with pytest.raises(EOFError):
        name_of(b"")


def test_a_picture_shows_the_episode(log: Path) -> None:
    """SVG with the episode's words; a place that cannot be written and an episode that is not there are named."""
    draw_svg(log, log / "new" / "two.svg", episode=2)
    drawn = (log / "new" / "two.svg").read_text()

    assert drawn.startswith("<svg")
    assert "t2" in drawn
    with pytest.raises(LogError, match="cannot be written"):
        draw_svg(log, log / "new" / "two.svg" / "x.svg")
    with pytest.raises(LogError, match="no episode 9"):
        draw_svg(log, log / "nine.svg", episode=9)
