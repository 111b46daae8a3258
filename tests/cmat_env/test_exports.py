"""Episodes in other people's tools, and other people's dialogues here: nothing is lost or changed on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmat_env.chat_rows import ChatRow, Said, facts_of, read_rows, rows_of
from cmat_env.cli import main
from cmat_env.errors import ConfigError, TaskFileError
from cmat_env.exports import to_minari
from cmat_env.log import read_episodes
from cmat_env.types import Dialogue, Trajectory
from tests.conftest import needed

ODD = "\x00 é 中 🙂 \u2028 <|end|>\r\n'"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve episodes of a team, some solved, some not."""
    folder = tmp_path_factory.mktemp("run")
    team = ["--user", "echo", "--assistant", "demonstrator", "--checker", "approve"]
    assert 0 == main(["eval", "cmat/DB-v0", *team, "--episodes", "12", "--record", str(folder), "--set", "level=2"])
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, which is Minari's, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def episodes(run: Path) -> list[Trajectory]:
    """Its episodes."""
    return [record.trajectory for record in read_episodes(run)]


def test_rows_say_what_was_said_and_what_is_learned(episodes: list[Trajectory]) -> None:
    """A row a dialogue: the role's own words are the assistant's and learned, all else is context."""
    rows = list(rows_of(episodes, ("assistant", "checker")))
    first, dialogue = rows[0], episodes[0].dialogues["assistant"][0]

    assert 24 == len(rows)
    assert [message.content for message in dialogue.messages] == [each.content for each in first.messages]
    assert [each.loss for each in first.messages] == [each.role == "assistant" for each in first.messages]
    assert "system" == first.messages[0].role
    assert episodes[0].returns()["assistant"] == first.facts["reward"]
    assert {True, False} == {row.facts["success"] for row in rows}
    assert [m.content for m in dialogue.messages] == [m.content for m in first.dialogue().messages]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_rows_survive_a_file(run: Path, episodes: list[Trajectory], form: str, tmp_path: Path) -> None:
    """JSONL and Parquet are read back as the rows that were written."""
    if form == "parquet":
        needed("datasets", extra="export")
    file = tmp_path / "deep" / f"rows.{form}"

    assert 0 == main(["export", str(run), "--to", form, "--out", str(file), "--role", "assistant,checker"])
    assert list(rows_of(episodes, ("assistant", "checker"))) == read_rows(file)


def test_hugging_face_datasets_loads_the_parquet(run: Path, episodes: list[Trajectory], tmp_path: Path) -> None:
    """With `datasets` itself: messages with their flags, facts as columns of their own types."""
    datasets = needed("datasets", extra="export")
    file = tmp_path / "rows.parquet"
    assert 0 == main(["export", str(run), "--to", "parquet", "--out", str(file), "--solved"])
    loaded = datasets.load_dataset("parquet", data_files=str(file), cache_dir=str(tmp_path / "cache"))["train"]
    solved = [episode for episode in episodes if episode.success]
    row = next(rows_of(solved))

    assert len(solved) == len(loaded)
    assert row.to_json() == loaded[0]
    assert ("bool", "int64", "float64") == tuple(loaded.features[name].dtype for name in ("success", "seed", "reward"))


def test_prompts_with_rewards(run: Path, episodes: list[Trajectory], tmp_path: Path) -> None:
    """Prompt and completion meet at the role's first word; the reward is the ledger's."""
    file = tmp_path / "prompts.jsonl"
    assert 0 == main(["export", str(run), "--to", "prompts", "--out", str(file)])
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    line, episode = lines[3], episodes[3]
    chat = [{"role": each.role, "content": each.content} for each in next(iter(rows_of([episode]))).messages]

    assert chat == line["prompt"] + line["completion"]
    assert "assistant" == line["completion"][0]["role"]
    assert "assistant" not in {message["role"] for message in line["prompt"]}
    assert (3, "cmat/DB-v0", episode.returns()["assistant"]) == (line["example_id"], line["task"], line["reward"])
    assert {"success": float(episode.success), "score": episode.score} == line["metrics"]
    assert episode.task_id == line["info"]["task_id"]


def test_minari_keeps_every_step(
    run: Path, episodes: list[Trajectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Minari itself: observations, actions, rewards and ends of the checker come back; spaces hold the texts."""
    minari = needed("minari", extra="export")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert 0 == main(["export", str(run), "--to", "minari", "--out", "cmat/db_team-v0", "--role", "checker"])
    data = minari.load_dataset("cmat/db_team-v0")
    metadata = list(data.storage.get_episode_metadata(range(len(episodes))))

    assert len(episodes) == data.total_episodes
    for number, (found, episode) in enumerate(zip(data.iterate_episodes(), episodes, strict=True)):
        steps = [step for step in episode.steps if step.role == "checker"]
        assert [step.observation["message"] for step in steps] == list(found.observations[:-1])
        assert [step.generation.text for step in steps] == list(found.actions)
        assert pytest.approx(episode.returns()["checker"]) == sum(found.rewards)
        assert [*[False] * (len(steps) - 1), episode.terminated] == list(found.terminations)
        assert [*[False] * (len(steps) - 1), episode.truncated] == list(found.truncations)
        assert all(text in data.observation_space for text in found.observations)
        assert all(text in data.action_space for text in found.actions)
        assert episode.seed == metadata[number]["seed"]
        options = metadata[number]["options"]
        options = json.loads(options) if isinstance(options, str) else options
        assert facts_of(episode, "checker") == {name: options[name] for name in facts_of(episode, "checker")}
    with pytest.raises(ConfigError, match="db_team-v0"):
        to_minari(episodes, "cmat/db_team-v0")


def test_a_turns_payment_is_its_reward(
    episodes: list[Trajectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the sum: each turn has what the ledger says."""
    needed("minari", extra="export")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    data = to_minari(episodes, "their/own-v0", role="checker")
    episode = max(episodes, key=lambda each: len(each.steps))
    found = data[episodes.index(episode)]
    paid: dict[int, float] = {}
    for payment in episode.payments:
        if payment.role == "checker":
            paid[payment.turn] = paid.get(payment.turn, 0.0) + payment.amount

    assert len(found.actions) > 1
    assert [paid.get(turn, 0.0) for turn in range(len(found.actions))] == pytest.approx(list(found.rewards))


def turn(role: str, content: str) -> dict[str, str]:
    """A message as OpenAI writes it."""
    return {"role": role, "content": content}


AGENT_INSTRUCT = {
    "id": "os_0",
    "conversations": [
        {"from": "human", "loss": None, "value": "You are an assistant that acts like a person."},
        {"from": "gpt", "loss": False, "value": "Ok, I will."},
        {"from": "human", "loss": None, "value": "How many files?"},
        {"from": "gpt", "loss": True, "value": "Think: look.\n\nAct: bash\n\n```bash\nls | wc -l\n```"},
    ],
}
SHARE_GPT = {"conversations": [
    {"from": "system", "value": "s"}, {"from": "human", "value": ODD}, {"from": "gpt", "value": ODD},
]}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (AGENT_INSTRUCT, [("user", False), ("assistant", False), ("user", False), ("assistant", True)]),
        (SHARE_GPT, [("system", False), ("user", False), ("assistant", True)]),
        (
            {"messages": [turn("user", "a"), turn("assistant", "b")], "loss": [False, True]},
            [("user", False), ("assistant", True)],
        ),
        ({"prompt": "a", "completion": "b"}, [("user", False), ("assistant", True)]),
        (
            {"prompt": [turn("user", "a"), turn("assistant", "b"), turn("tool", "c")],
             "completion": [turn("assistant", "d")]},
            [("user", False), ("assistant", False), ("user", False), ("assistant", True)],
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_other_peoples_forms_are_read(
    value: dict[str, Any], said: list[tuple[str, bool]], form: str, tmp_path: Path
) -> None:
    """AgentInstruct's loss flags, ShareGPT's names, flags beside, prompts with completions; lines or a list."""
    file = tmp_path / f"rows.{form}"
    file.write_text(json.dumps(value) + "\n" if form == "jsonl" else json.dumps([value], indent=1))
    (row,) = read_rows(file)

    assert said == [(each.role, each.loss) for each in row.messages]
    if value is SHARE_GPT:
        assert ODD == row.messages[1].content


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no dialogue"),
        ("[1]", "row 1: a int"),
        ("{", "neither JSON lines"),
        ('{"a": 1}', "row 1: wanted 'messages'"),
        ('{"messages": "x"}', "wanted a list"),
        ('{"messages": [{"role": "user"}]}', "message 1: wanted an object with texts 'role' and 'content'"),
        ('{"messages": [{"role": "nobody", "content": "x"}]}', "role='nobody' is nobody"),
        ('{"messages": [{"role": "user", "content": "x"}], "loss": []}', "one flag a message"),
        ('{"messages": [{"role": "assistant", "content": "x", "loss": "yes"}]}', "must be true, false or null"),
        ('{"messages": [{"role": "user", "content": "x", "loss": true}]}', "holds no dialogue"),
        ('{"prompt": 1, "completion": "x"}', "must be texts or lists"),
    ],
)
def test_what_is_no_dialogue_is_named(text: str, words: str, tmp_path: Path) -> None:
    """File, row, field."""
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    with pytest.raises(TaskFileError, match=words):
        read_rows(file)
    with pytest.raises(TaskFileError, match="cannot be read"):
        read_rows(tmp_path / "nothing.jsonl")


def test_what_is_said_without_loss_is_context() -> None:
    """Its tokens stay where they are, and the mask leaves them out."""
    row = ChatRow((Said("user", "q"), Said("assistant", "ok"), Said("user", "r"), Said("assistant", "yes", loss=True)))
    encoded = Dialogue("assistant")
    encoded.token_ids, encoded.action_mask = [1, 2, 3, 4, 5, 6], [False, True, True, False, True, True]
    encoded.turns = [(1, 3), (4, 6)]

    assert [False, False, False, False, True, True] == row.unlearned(encoded).action_mask


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "jsnl", "--out", "x"], "did you mean 'jsonl'"),
        (["--to", "jsonl", "--out", "x", "--role", "nobody"], "has a word of nobody"),
        (["--to", "minari", "--out", "their/own-v0", "--role", "user,checker"], "one by one"),
        (["--to", "minari", "--out", "no id"], "no id"),
    ],
)
def test_a_wrong_export_says_what_to_do(
    run: Path, arguments: list[str], words: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and one line."""
    assert elsewhere == Path.cwd()
    if "minari" in arguments:
        needed("minari", extra="export")

    assert 2 == main(["export", str(run), *arguments])
    assert words in capsys.readouterr().err
