"""Episode logs: what is written is read back, whatever a crash did to the end of the file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmat_env.errors import LogError
from cmat_env.log import EpisodeWriter, log_path, read_episodes
from cmat_env.log_lines import EpisodeRecord
from cmat_env.types import Dialogue, Generation, Judgement, Message, Payment, Step, Trajectory, Verdict


def team_episode(seed: int = 7, *, text: str = "SELECT 1") -> Trajectory:
    """Assistant with token ids (a revised proposal, a shortened memory, an unanswered end), checker without."""
    first = Dialogue("assistant", seed=seed, messages=[Message("system", "be brief"), Message("user", "how many?")])
    first.encode([1, 2, 3])
    said = [Generation("SELEKT", (4, 5), (-0.1, -math.inf)), Generation(text, (6,), (-0.25,), "length")]
    first.reply(said[0])
    first.say(Message("checker", "Verdict: revise. typo"))
    first.encode([7])
    first.reply(said[1])
    second = Dialogue("assistant", seed=seed, messages=[Message("user", "how many?"), Message("assistant", text)])
    second.say(Message("environment", "[(1,)]"))
    second.encode([8])
    said.append(Generation("1", (9,), (0.0,)))
    second.reply(said[2])
    second.say(Message("environment", "heard"))
    second.encode([10])
    second.say(Message("environment", "not encoded"))
    checker = Dialogue("checker", seed=seed, messages=[Message("assistant", "Proposal:\nSELEKT")])
    verdict = Generation("Verdict: revise. typo")
    checker.reply(verdict)
    paid = (
        Payment("checker", 1.0, "verdict", 0),
        Payment("assistant", 1.0, "task", 2),
        Payment("checker", 0.7, "team", 0),
    )
    asked, told = {"message": "how many?", "speaker": "user"}, {"message": "Proposal:\nSELEKT", "speaker": "assistant"}
    revise = {"message": "Verdict: revise. typo", "speaker": "checker"}
    rows = {"message": "[(1,)]", "speaker": "environment"}
    steps = (
        Step(0, "assistant_0", "assistant", 0, asked, said[0]),
        Step(
            1, "checker_0", "checker", 0, told, verdict, payments=paid[:1], judgement=Judgement(False, "syntax"),
            verdict=Verdict(False, "typo", 0.8), info={"parsed": True, "n": 3, "list": [1, None]},
        ),
        Step(2, "assistant_0", "assistant", 1, revise, said[1]),
        Step(3, "assistant_0", "assistant", 2, rows, said[2], dialogue=1, payments=paid[1:]),
    )  # fmt: skip
    dialogues = {"assistant": (first, second), "checker": (checker,)}
    return Trajectory(
        "cmat/DB-v0", f"task-{seed}", "select", seed, steps, dialogues, paid, True, 1.0, "correct", True, False, 0.5
    )


def seen(dialogue: Dialogue) -> tuple[object, ...]:
    """Everything a dialogue holds."""
    kept = (dialogue.messages, dialogue.token_ids, dialogue.action_mask, dialogue.logprobs, dialogue.turns)
    return (dialogue.role, dialogue.seed, *kept, list(dialogue.pending))


def facts(episode: Trajectory) -> tuple[object, ...]:
    """Everything a trajectory holds, with its dialogues as values."""
    names = ("env_id", "task_id", "task_type", "seed", "steps", "payments", "success", "score", "outcome")
    values = tuple(getattr(episode, name) for name in (*names, "terminated", "truncated", "seconds"))
    return (*values, {role: [seen(dialogue) for dialogue in of_role] for role, of_role in episode.dialogues.items()})


def write(path: Path, *episodes: Trajectory) -> None:
    """Log these episodes."""
    with EpisodeWriter(path, policies={"assistant": "gold"}, settings={"level": 1}) as log:
        for episode in episodes:
            log.write(episode)


def test_an_episode_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Steps, payments, and dialogues with their token ids, masks, turns and pending messages."""
    episode = team_episode()
    write(tmp_path / "log.jsonl", episode)
    [record] = read_episodes(tmp_path / "log.jsonl")

    assert facts(episode) == facts(record.trajectory)
    assert ({"assistant": "gold"}, {"level": 1}) == (record.policies, record.settings)
    assert "cmat-env" in record.versions


@pytest.mark.parametrize("text", ["", "\x00\x1b\u2028\n\r", "\ud800 lone", "😀" * 3, '"}\n{"kind":"footer"}'])
def test_any_text_survives(tmp_path: Path, text: str) -> None:
    """A reply is any string; none can break a line."""
    write(tmp_path / "log.jsonl", team_episode(text=text))
    [record] = read_episodes(tmp_path / "log.jsonl")

    assert text == record.trajectory.steps[2].generation.text


def test_many_episodes_in_one_file_come_in_order_and_one_at_a_time(tmp_path: Path) -> None:
    """Reading is lazy: a corrupt third episode does not keep the first two away."""
    path = tmp_path / "run" / "episodes.jsonl"
    write(path, team_episode(1))
    write(path, team_episode(2))
    path.write_bytes(path.read_bytes() + b"junk\n")
    episodes = read_episodes(tmp_path / "run")

    assert [1, 2] == [next(episodes).trajectory.seed, next(episodes).trajectory.seed]
    with pytest.raises(LogError, match=r"episodes\.jsonl:13: not a JSON line"):
        next(episodes)


def test_a_line_is_json_that_any_reader_takes(tmp_path: Path) -> None:
    """ASCII, one object a line, no NaN; kinds in order; durations in the footer alone."""
    write(tmp_path / "log.jsonl", team_episode())
    raw = (tmp_path / "log.jsonl").read_bytes()
    lines = [json.loads(line, parse_constant=pytest.fail) for line in raw.splitlines()]

    assert raw.isascii()
    assert ["header", "step", "step", "step", "step", "footer"] == [line["kind"] for line in lines]
    assert [False] * 5 + [True] == ["seconds" in line for line in lines]
    assert {"assistant": 1.0, "checker": 1.7} == lines[-1]["returns"]


def test_infos_become_json(tmp_path: Path) -> None:
    """Numpy scalars and arrays, tuples, sets, odd keys and unknown objects do not stop a log."""
    info: dict[Any, object] = {
        "a": np.int64(3),
        "b": np.arange(2),
        "c": (1, 2),
        "d": {2, 1},
        5: math.nan,
        "e": Path("x"),
        "f": np.bool_(True),
    }
    step = Step(0, "assistant_0", "assistant", 0, {"message": "", "speaker": "user"}, Generation("x"), info=info)
    talk = Dialogue("assistant")
    talk.reply(step.generation)
    write(
        tmp_path / "log.jsonl",
        Trajectory("e", "t", "k", 0, (step,), {"assistant": (talk,)}, (), False, 0.0, "wrong", True, False),
    )
    [record] = read_episodes(tmp_path / "log.jsonl")

    read = record.trajectory.steps[0].info
    assert {"a": 3, "b": [0, 1], "c": [1, 2], "d": [1, 2], "5": "nan", "e": repr(Path("x")), "f": True} == read


def test_every_torn_end_is_dropped_and_cut(tmp_path: Path) -> None:
    """Whatever byte a crash stopped at: reading keeps the whole episodes and says so, appending goes on after them."""
    path = tmp_path / "log.jsonl"
    write(path, team_episode(1))
    whole = path.read_bytes()
    write(path, team_episode(2))
    both = path.read_bytes()
    for end in range(len(whole) + 1, len(both), 97):
        path.write_bytes(both[:end])
        notes: list[str] = []
        assert [1] == [record.trajectory.seed for record in read_episodes(path, on_torn=notes.append)]
        assert [f"{path}: the episode that begins at line 7 has no end (a crash?) and is left out"] == notes
        with EpisodeWriter(path) as log:
            assert end - len(whole) == log.torn_bytes
            log.write(team_episode(3))
        assert [1, 3] == [record.trajectory.seed for record in read_episodes(path)]


def test_a_torn_first_episode_leaves_an_empty_log(tmp_path: Path) -> None:
    """A crash during the very first write costs that episode, and the file can be used again."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"kind":"hea')

    assert [] == list(read_episodes(path))
    write(path, team_episode(1))
    assert 1 == len(list(read_episodes(path)))


def test_a_file_that_is_no_log_is_never_touched(tmp_path: Path) -> None:
    """Appending to a stranger's file is refused before a byte is cut."""
    path = tmp_path / "README.md"
    path.write_text("# mine\nno newline at the end")
    with pytest.raises(LogError, match="no episode log"):
        EpisodeWriter(path)

    assert "# mine\nno newline at the end" == path.read_text()


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        (0, {"schema": 2}, "log.jsonl:1: schema 2, but this cmat-env reads schema 1; update cmat-env"),
        (0, {"schema": None}, "was it written by cmat-env?"),
        (0, {"seed": "7"}, "field 'seed' must be int, not str"),
        (0, {"kind": "step"}, "log.jsonl:1: kind 'step', where header was wanted"),
        (1, {"kind": "header", "schema": 1}, "log.jsonl:2: kind 'header', where step or footer was wanted"),
        (1, {"role": "nobody"}, "dialogue 0 of 'nobody', which the footer lacks"),
        (1, {"dialogue": 9}, "dialogue 9 of 'assistant'"),
        (1, {"text": 5}, "field 'text' must be str, not int"),
        (1, {"heard": [["x"]]}, "[speaker, content] pairs"),
        (1, {"logprobs": [-0.1]}, "2 token_ids but 1 logprobs"),
        (2, {"verdict": {"approve": 1}}, "field 'approve' must be bool, not int"),
        (
            2,
            {"payments": [{"role": "checker", "amount": "much", "reason": "", "turn": 0}]},
            "'amount' must be a number",
        ),
        (5, {"steps": 3}, "the footer counts 3 steps, but 4 are here"),
        (5, {"dialogues": {"assistant": [3]}}, "must hold objects"),
    ],
)
def test_a_corrupt_line_is_named(tmp_path: Path, line: int, change: dict[str, object], words: str) -> None:
    """File, line and field, and what was wanted."""
    path = tmp_path / "log.jsonl"
    write(path, team_episode())
    lines = [json.loads(raw) for raw in path.read_text().splitlines()]
    lines[line] |= change
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    with pytest.raises(LogError) as caught:
        list(read_episodes(path))

    assert words in str(caught.value)
    assert "log.jsonl:" in str(caught.value)


@pytest.mark.parametrize("raw", [b"[]\n", b"\xff\xfe\n", b"\n", b"[" * 100_000 + b"\n"])
def test_lines_that_are_no_objects_are_named(tmp_path: Path, raw: bytes) -> None:
    """Other JSON, other encodings, empty lines and absurd nesting end in one error with the line's number."""
    (tmp_path / "log.jsonl").write_bytes(raw)
    with pytest.raises(LogError, match=r"log\.jsonl:1: "):
        list(read_episodes(tmp_path / "log.jsonl"))


def test_a_missing_log_says_how_to_record_one(tmp_path: Path) -> None:
    """A file or a run folder without a log."""
    with pytest.raises(
        LogError, match=r"episodes.jsonl: no such episode log; record one with: cmat eval ENV --record DIR"
    ):
        log_path(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder's place taken by a file."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(LogError, match="cannot be written"):
        EpisodeWriter(tmp_path / "taken" / "log.jsonl")


def test_a_record_defaults_to_nothing_known() -> None:
    """Policies, versions and settings may be unknown."""
    record = EpisodeRecord(team_episode())

    assert ({}, {}, {}) == (record.policies, record.versions, record.settings)
