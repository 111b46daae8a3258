"""TRL's GRPOTrainer on the two-role workload, by its rollout function; runs in an environment that has TRL.

TRL trains one sequence an episode: both roles' words in one line, tokens of others masked, one reward, one model. Its
rollout function does its own generating; as in TRL's examples, it encodes the whole history every turn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from benchmarks import workers, workload
from benchmarks.peers.clock import StepClock
from benchmarks.workload import Lengths

TAG = [1, 2]
"""Stands before a role's words and says whose they are."""


def prepare(spec: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """A trainer, ready to go."""
    torch.set_num_threads(spec["threads"])
    lengths, episodes, group = Lengths(**spec["lengths"]), spec["episodes"], spec["samples"]
    model, tokenizer = workload.make(spec["size"])
    folder = tempfile.mkdtemp(prefix="trl-grpo-")
    model.save_pretrained(folder)  # the trainer makes the frozen reference from a path
    tokenizer.save_pretrained(folder)
    steps = spec["warm_up"] + spec["rounds"]
    rng = np.random.default_rng(0)
    prompts = [workload.text(rng, tokenizer, lengths.prompt) for _ in range(steps * episodes // group)]
    sampled: list[int] = []

    def rollout(texts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        asked = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
        said: list[list[int]] = [[] for _ in asked]
        mask: list[list[int]] = [[] for _ in asked]
        unwrapped = trainer.accelerator.unwrap_model(trainer.model)
        for turn in range(lengths.turns):
            for role in range(2):
                heard = workload.ids(rng, tokenizer, lengths.observation) if turn and not role else []
                for words, own in zip(said, mask, strict=True):
                    words += [*heard, *TAG]
                    own += [0] * (len(heard) + len(TAG))
                histories = [prompt + words for prompt, words in zip(asked, said, strict=True)]
                for words, own, reply in zip(said, mask, _generate(unwrapped, histories), strict=True):
                    words += reply
                    own += [1] * len(reply)
        sampled.append(sum(map(sum, mask)))
        return {"prompt_ids": asked, "completion_ids": said, "logprobs": None, "env_mask": mask}

    @torch.no_grad()
    def _generate(generator: Any, histories: list[list[int]]) -> list[list[int]]:
        width = max(map(len, histories))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(each)) + each for each in histories])
        seen = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in histories])
        out = generator.generate(
            input_ids=ids, attention_mask=seen, max_new_tokens=lengths.reply, do_sample=True, top_k=0,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )[:, width:].tolist()  # fmt: skip
        end = tokenizer.eos_token_id
        return [row[: row.index(end) + 1] if end in row else row for row in out]

    def reward(completions: list[str], **_: Any) -> list[float]:
        return [text.count("a") / max(1, len(text)) for text in completions]

    clock = StepClock(spec["warm_up"])
    longest = 2 * lengths.turns * (lengths.reply + len(TAG)) + lengths.turns * lengths.observation
    trainer = GRPOTrainer(
        model=folder, reward_funcs=reward, train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=tokenizer, rollout_func=rollout, callbacks=[clock],
        args=GRPOConfig(
            output_dir=folder, per_device_train_batch_size=episodes, num_generations=group, steps_per_generation=1,
            num_iterations=1, max_completion_length=longest, max_steps=steps, learning_rate=1e-4, beta=0.05,
            bf16=False, fp16=False, gradient_checkpointing=False, use_cpu=True, report_to="none", save_strategy="no",
            logging_steps=1_000_000, disable_tqdm=True, shuffle_dataset=False,
        ),
    )  # fmt: skip

    def run() -> dict[str, Any]:
        trainer.train()
        return {**clock.figures(), "tokens": sampled[spec["warm_up"] :]}

    return run


if __name__ == "__main__":
    workers.serve(prepare)
