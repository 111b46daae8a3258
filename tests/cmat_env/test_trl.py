"""TRL's trainers take our files as they are, and learn from the tokens that ours learn from."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from cmat_env.chat_rows import read_rows
from cmat_env.cli import main
from cmat_env.log import read_episodes
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.tiny import TinyConfig, make_model, train_tokenizer
from tests.conftest import needed

datasets = needed("datasets", extra="export")
trl = needed("trl", extra="dev")

MARKED = (  # TinyAgent's own template, with TRL's marks around what the assistant said
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '<|assistant|>' }}"
    "{% generation %}{{ m['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six exported episodes, with two replies each: a statement and an answer."""
    place = tmp_path_factory.mktemp("run")
    team = ["--roles", "assistant", "--assistant", "gold", "--prompts", "none"]
    assert 0 == main(["eval", "cmat/DB-v0", *team, "--episodes", "6", "--record", str(place)])
    assert 0 == main(["export", str(place), "--to", "jsonl", "--out", str(place / "rows.jsonl")])
    return place


@pytest.fixture(scope="module")
def policy(folder: Path) -> HFPolicy:
    """A tiny model and a tokenizer of the file's words."""
    rows = read_rows(folder / "rows.jsonl")
    tokenizer = train_tokenizer([said.content for row in rows for said in row.messages], vocabulary=400)
    size = TinyConfig(len(tokenizer), width=16, layers=1, heads=2, feed_forward=24, context=512)
    return HFPolicy(make_model(tokenizer, size, seed=0), tokenizer)


def settings(kind: Any, place: Path, **more: Any) -> Any:
    """Two steps on the processor, and nothing written."""
    return kind(
        output_dir=str(place), max_steps=2, per_device_train_batch_size=2, report_to=[], use_cpu=True, bf16=False,
        save_strategy="no", max_length=None, activation_checkpointing=False, disable_tqdm=True, **more,
    )  # fmt: skip


def loaded(file: Path, cache: Path) -> Any:
    """JSON lines as a dataset."""
    return datasets.load_dataset("json", data_files=str(file), cache_dir=str(cache))["train"]


def test_sft_learns_the_same_tokens(folder: Path, policy: HFPolicy, tmp_path: Path) -> None:
    """Token by token: what SFTTrainer puts into its loss is where our action_mask is True, in the same ids."""
    ours = [row.unlearned(policy.tokenize(row.dialogue())) for row in read_rows(folder / "rows.jsonl")]
    tokenizer = policy.chat.tokenizer
    usual, tokenizer.chat_template = tokenizer.chat_template, MARKED
    try:
        trainer = trl.SFTTrainer(
            copy.deepcopy(policy.weights.base).requires_grad_(True),
            args=settings(trl.SFTConfig, tmp_path, assistant_only_loss=True),
            train_dataset=loaded(folder / "rows.jsonl", tmp_path / "cache"),
            processing_class=tokenizer,
        )
        theirs = list(trainer.train_dataset)
        result = trainer.train()
    finally:
        tokenizer.chat_template = usual

    assert 2 == len(ours[0].turns)
    assert [dialogue.token_ids for dialogue in ours] == [row["input_ids"] for row in theirs]
    assert [dialogue.action_mask for dialogue in ours] == [[label != -100 for label in row["labels"]] for row in theirs]
    assert result.training_loss > 0


def test_dpo_takes_pairs_as_our_dpo_does(folder: Path, policy: HFPolicy, tmp_path: Path) -> None:
    """The lines of a pairs file: the gold action against another one, after the same prompt."""
    lines = []
    for record in read_episodes(folder):
        said = [message.content for message in record.trajectory.dialogues["assistant"][0].messages]
        prompt, chosen = [{"role": "user", "content": said[-4]}], {"role": "assistant", "content": said[-3]}
        rejected = {"role": "assistant", "content": 'Action: Answer\nFinal Answer: ["no"]'}
        lines.append({"role": "assistant", "prompt": prompt, "chosen": [chosen], "rejected": [rejected]})
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    from cmat_env.tuning import pairs  # noqa: PLC0415

    assert 6 == len(pairs.encode(pairs.read(file, ("assistant",)), policy))
    trainer = trl.DPOTrainer(
        copy.deepcopy(policy.weights.base).requires_grad_(True),
        ref_model=copy.deepcopy(policy.weights.base),
        args=settings(trl.DPOConfig, tmp_path),
        train_dataset=loaded(file, tmp_path / "cache"),
        processing_class=policy.chat.tokenizer,
    )

    assert trainer.train().training_loss > 0
