"""Curation: what is taken is verified, held-out tasks are not, flags are exact, and other trainers load the files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cmat_env.cli import main
from cmat_env.curate import Rules, curate, examples_of, pairs_of
from cmat_env.curate_files import CARD, PAIRS, README, SFT, TURNS, write
from cmat_env.errors import ConfigError
from cmat_env.evaluate import evaluate
from cmat_env.log_lines import EpisodeRecord
from cmat_env.registry import make
from cmat_env.tuning.pairs import read
from tests.conftest import needed

ROLES = ("assistant", "checker")


def recorded(episodes: int = 40, *, tasks: str = "generated:train", checker: str = "oracle") -> list[EpisodeRecord]:
    """Episodes of the imperfect demonstrator under a checker, as a log has them."""
    records: list[EpisodeRecord] = []
    policies = {"assistant": "demonstrator", "checker": checker}
    evaluate(
        lambda: make("cmat/DB-v0", roles=ROLES, tasks=tasks),
        policies,
        episodes=episodes,
        on_end=lambda _, each: records.append(EpisodeRecord(each, policies, {"cmat-env": "0"}, {"tasks": tasks})),
    )
    return records


def test_an_example_is_a_solved_episode_without_its_mistakes() -> None:
    """What the checker refused is context; what replaced it is learned; verdicts that were right are learned."""
    records = recorded()
    found = curate(records, Rules(ROLES))
    refused = {
        (record.trajectory.seed, step.generation.text)
        for record in records
        for step in record.trajectory.steps
        if step.role == "assistant" and record.trajectory.steps[step.index + 1 :][:1]
        and (verdict := record.trajectory.steps[step.index + 1].verdict) is not None and not verdict.approve
    }  # fmt: skip
    learned = [
        (example.facts["seed"], message["content"])
        for example in found.examples
        for message, learn in zip(example.messages, example.loss, strict=True)
        if learn and example.role == "assistant"
    ]

    assert refused
    assert not refused & set(learned)
    assert found.left_out["not solved"] == sum(not record.trajectory.success for record in records)
    assert all(
        m["role"] == "assistant" for e in found.examples for m, learn in zip(e.messages, e.loss, strict=True) if learn
    )
    assert all(example.loss[-1] for example in found.examples)
    assert {"assistant", "checker"} == {example.role for example in found.examples}


def test_roles_alternate_as_chat_templates_want_it() -> None:
    """System first, then user and assistant in turn: Llama's and Mistral's templates raise for anything else."""
    for example in curate(recorded(), Rules(ROLES)).examples:
        roles = [message["role"] for message in example.messages if message["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)


def test_wrong_verdicts_are_not_learned() -> None:
    """A coin's verdict is an example only where the task agrees with it."""
    records = recorded(checker="coin:0.5")
    count = sum(
        (step.judgement is None or step.judgement.good == step.verdict.approve)
        for record in records if record.trajectory.success
        for step in record.trajectory.steps if step.verdict is not None
    )  # fmt: skip
    learned = sum(
        sum(e.loss) for record in records if record.trajectory.success for e in examples_of(record, ["checker"])
    )

    assert 0 < learned == count


def test_what_the_checker_refused_and_nobody_changed_is_left_out() -> None:
    """Gold insists, so that a refused action is executed: such an episode is no accepted one."""
    records: list[EpisodeRecord] = []
    evaluate(
        lambda: make("cmat/DB-v0", roles=ROLES),
        {"assistant": "gold", "checker": "coin:1"},
        episodes=3,
        on_end=lambda _, each: records.append(EpisodeRecord(each)),
    )

    assert {"an action was executed that the checker had refused": 3} == curate(records).left_out
    assert 3 == len(curate(records, Rules(accepted=False)).examples)


@pytest.mark.parametrize("split", ["dev", "heldout", "unseen_words"])
def test_held_out_tasks_never_get_in(split: str) -> None:
    """By the source that the log names, by the id where it names none; and nobody can allow it by mistake."""
    records = recorded(3, tasks=f"generated:{split}")
    unnamed = [dataclasses.replace(record, settings={}) for record in records]

    for each in (records, unnamed):
        found = curate(each)
        assert not found.examples
        assert not found.pairs
        assert 3 == found.left_out.total()
    with pytest.raises(ConfigError, match="kept out of training"):
        Rules(tasks=(f"generated:{split}",))


def test_a_file_is_for_training_only_if_it_is_named() -> None:
    """AgentBench's files are evaluations unless somebody says otherwise."""
    records = [dataclasses.replace(record, settings={"tasks": "dev.jsonl"}) for record in recorded(3)]

    assert {"tasks dev.jsonl are not for training": 3} == curate(records).left_out
    assert curate(records, Rules(tasks=("dev.jsonl",))).examples


def test_duplicates_are_taken_once() -> None:
    """The same episode twice teaches nothing new."""
    records = recorded()
    once, twice = curate(records, Rules(ROLES)), curate([*records, *records], Rules(ROLES))

    assert once.examples == twice.examples
    assert once.pairs == twice.pairs
    assert len(once.examples) + once.duplicates["examples"] * 2 == twice.duplicates["examples"]


def test_pairs_are_before_and_after_a_revision() -> None:
    """The refused proposal was judged bad, the later one good, both in answer to the same prompt."""
    record = next(record for record in recorded() if list(pairs_of(record.trajectory)))
    first, *_ = pairs_of(record.trajectory)
    steps = record.trajectory.steps
    refused = next(step for step in steps if step.generation.text == first["rejected"][0]["content"])

    assert "user" == first["prompt"][-1]["role"]
    assert refused.observation["message"] in first["prompt"][-1]["content"]
    assert first["chosen"] != first["rejected"]
    assert first["chosen"][0]["content"] in [step.generation.text for step in steps[refused.index + 1 :]]


def written(folder: Path, **settings: Any) -> dict[str, Any]:
    """Curate and write; the card."""
    rules = Rules(ROLES)
    write(curate(recorded(**settings), rules), folder, rules=rules, sources=["a log"])
    card: dict[str, Any] = json.loads((folder / CARD).read_text())
    return card


def lines(file: Path) -> list[dict[str, Any]]:
    """Of JSON."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_card_counts_what_is_in_the_files(tmp_path: Path) -> None:
    """By role, source and type; files by lines and hash; and a person can read it."""
    card = written(tmp_path / "data")
    sft, turns, pairs = (lines(tmp_path / "data" / name) for name in (SFT, TURNS, PAIRS))

    assert card["examples"] == len(sft) == sum(card["examples by role"].values())
    assert card["messages to learn"] == len(turns) == sum(sum(row["loss"]) for row in sft)
    assert card["pairs"] == len(pairs) == sum(card["pairs by task type"].values()) > 0
    assert {"demonstration": len(sft)} == card["examples by source"]
    assert card["seeds"]["cmat/DB-v0"][:2] == [0, 39]
    assert f"{len(sft)} dialogues" in (tmp_path / "data" / README).read_text()
    assert card == written(tmp_path / "data"), "written again it is the same"


def test_what_is_not_ours_is_not_overwritten(tmp_path: Path) -> None:
    """A folder with something else in it stays as it is."""
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(ConfigError, match="holds no curated data"):
        written(tmp_path, episodes=3)
    assert "all of it" == (tmp_path / "thesis.tex").read_text()


def test_our_own_dpo_reads_the_pairs(tmp_path: Path) -> None:
    """One format, written here and read there."""
    card = written(tmp_path / "data")

    assert card["pairs"] == len(read(tmp_path / "data" / PAIRS, ["assistant"]))


def test_datasets_and_trl_load_the_files(tmp_path: Path) -> None:
    """All three as data sets; TRL knows turns and pairs as conversational data of its trainers."""
    datasets = needed("datasets", extra="export")
    data_utils = needed("trl.data_utils", extra="dev")
    card = written(tmp_path / "data")

    def load(name: str) -> Any:
        file = str(tmp_path / "data" / name)
        return datasets.load_dataset("json", data_files=file, split="train", cache_dir=str(tmp_path / "cache"))

    assert card["examples"] == len(load(SFT))
    for name in (SFT, TURNS, PAIRS):
        assert all(data_utils.is_conversational(row) for row in load(name))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Record, curate, and a line on what was taken; nothing taken is a mistake with a reason."""
    log, data = tmp_path / "log", tmp_path / "data"
    assert 0 == main(f"eval cmat/DB-v0 --assistant gold --checker oracle --episodes 5 --record {log}".split())
    assert 0 == main(["curate", str(log), "--roles", "assistant,checker", "--out", str(data)])
    assert "10 examples, 20 messages to learn, 0 pairs" in capsys.readouterr().out
    heldout = tmp_path / "heldout"
    played = f"eval cmat/DB-v0 --assistant gold --episodes 2 --tasks generated:heldout --record {heldout}"
    assert 0 == main(played.split())
    assert 2 == main(["curate", str(heldout), "--out", str(data)])
    assert "2 tasks generated:heldout are not for training" in capsys.readouterr().err
