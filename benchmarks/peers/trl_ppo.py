"""PPOTrainer of TRL 1.12, the last that had it; runs in an environment that has TRL.

It knows neither turns nor roles, so it is given rows of the same number and length as ours, and samples as many tokens
of each, all at the end: what others say in between is part of the prompt, nobody is waited for, and no environment is
played. Its reward model has almost no size.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import LlamaForSequenceClassification
from trl.experimental.ppo import PPOConfig, PPOTrainer

from benchmarks import workers, workload
from benchmarks.peers.clock import StepClock


def prepare(spec: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """A trainer, ready to go."""
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    model, tokenizer = workload.make(spec["size"])
    rng, steps = np.random.default_rng(0), spec["warm_up"] + spec["rounds"]
    rows, length, before = 2 * spec["episodes"], round(spec["sampled"]), round(spec["row"] - spec["sampled"])
    prompts = [workload.ids(rng, tokenizer, before) for _ in range(steps * rows)]
    small = copy.deepcopy(model.config)
    small.update({"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1})
    small.update({"intermediate_size": 16, "head_dim": 16, "num_labels": 1})
    valued = copy.deepcopy(model.config)
    valued.num_labels = 1
    clock = StepClock(spec["warm_up"])
    trainer = PPOTrainer(
        args=PPOConfig(
            output_dir=tempfile.mkdtemp(prefix="trl-ppo-"), per_device_train_batch_size=rows // spec["parts"],
            gradient_accumulation_steps=spec["parts"], num_mini_batches=1, num_ppo_epochs=spec["epochs"],
            response_length=length, local_rollout_forward_batch_size=rows,
            total_episodes=steps * rows, num_sample_generations=0, temperature=1.0,
            learning_rate=1e-4, kl_coef=0.02, bf16=False, fp16=False, gradient_checkpointing=False, use_cpu=True,
            report_to="none", save_strategy="no", disable_tqdm=True,
        ),
        processing_class=tokenizer, model=model, ref_model=copy.deepcopy(model),
        reward_model=LlamaForSequenceClassification(small), value_model=LlamaForSequenceClassification(valued),
        train_dataset=Dataset.from_dict({"input_ids": prompts}), callbacks=[clock],
    )  # fmt: skip

    def run() -> dict[str, Any]:
        trainer.train()
        return {**clock.figures(), "tokens": [rows * length] * spec["rounds"]}

    return run


if __name__ == "__main__":
    workers.serve(prepare)
