"""TRL's GRPOTrainer on the two-role workload, by its rollout function; runs in an environment that has TRL.

The rollout function plays the same environment, and answers each turn by `transformers.generate` on the whole history,
as TRL's own examples do. Each role's dialogue of an episode is one completion, what others said is masked: the very
rows that ours trains on. TRL trains one set of weights on them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from benchmarks import workers, workload
from benchmarks.peers.clock import StepClock
from benchmarks.step import ROLES, Letters
from benchmarks.workload import Lengths
from cmat_env.collab import CollabEnv
from cmat_env.policies.chat import ChatEncoder
from cmat_env.rollout import Episode, Rollout
from cmat_env.types import Dialogue, Generation


class Naive:
    """Answers dialogues by `generate`, all at once, padded on the left."""

    def __init__(self, tokenizer: Any, longest: int) -> None:
        self._chat, self._tokenizer, self._longest = ChatEncoder(tokenizer), tokenizer, longest
        self.model: Any = None

    @torch.no_grad()
    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """See `Policy.generate`."""
        self._chat.encode(dialogues)
        end, pad = self._tokenizer.eos_token_id, self._tokenizer.pad_token_id
        width = max(len(each.token_ids) for each in dialogues)
        ids = torch.tensor([[pad] * (width - len(each.token_ids)) + each.token_ids for each in dialogues])
        seen = torch.tensor([[0] * (width - len(d.token_ids)) + [1] * len(d.token_ids) for d in dialogues])
        said = self.model.generate(
            input_ids=ids, attention_mask=seen, max_new_tokens=self._longest, do_sample=True, top_k=0,
            eos_token_id=end, pad_token_id=pad,
        )[:, width:].tolist()  # fmt: skip
        replies = [tuple(row[: row.index(end) + 1] if end in row else row) for row in said]
        texts = self._chat.decode(replies)
        return [Generation(text, reply, (0.0,) * len(reply)) for text, reply in zip(texts, replies, strict=True)]


def prepare(spec: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """A trainer, ready to go."""
    torch.set_num_threads(spec["threads"])
    lengths, episodes, group = Lengths(**spec["lengths"]), spec["episodes"], spec["samples"]
    model, tokenizer = workload.make(spec["size"])
    folder = tempfile.mkdtemp(prefix="trl-grpo-")
    model.save_pretrained(folder)  # the trainer makes the frozen reference from a path
    tokenizer.save_pretrained(folder)
    steps = spec["warm_up"] + spec["rounds"]
    policy = Naive(tokenizer, lengths.reply)
    team = Rollout(
        lambda: CollabEnv(Letters(tokenizer, lengths), roles=ROLES), dict.fromkeys(ROLES, policy), width=episodes
    )
    sampled: list[int] = []

    def rollout(asked: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        """`asked` names a task and a role, `group` times each, and the tasks' roles in turn."""
        policy.model = trainer.accelerator.unwrap_model(trainer.model)
        tasks = dict.fromkeys(int(name.split()[0]) for name in asked)
        done = team.run([Episode(task, sample=sample) for task in tasks for sample in range(group)]).finished
        answer: dict[str, Any] = {"prompt_ids": [], "completion_ids": [], "logprobs": None, "env_mask": [], "paid": []}
        for task in range(len(tasks)):
            for role in ROLES:
                for trajectory in done[task * group : (task + 1) * group]:
                    dialogue = trajectory.dialogues[role][0]
                    start, end = dialogue.turns[0][0], dialogue.turns[-1][1]
                    answer["prompt_ids"].append(dialogue.token_ids[:start])
                    answer["completion_ids"].append(dialogue.token_ids[start:end])
                    answer["env_mask"].append([int(own) for own in dialogue.action_mask[start:end]])
                    answer["paid"].append(trajectory.returns()[role])
        sampled.append(sum(map(sum, answer["env_mask"])))
        return answer

    def reward(completions: list[str], paid: list[float], **_: Any) -> list[float]:
        return paid

    clock = StepClock(spec["warm_up"])
    prompts = [f"{task} {role}" for task in range(steps * episodes // group) for role in ROLES]
    trainer = GRPOTrainer(
        model=folder, reward_funcs=reward, train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=tokenizer, rollout_func=rollout, callbacks=[clock],
        args=GRPOConfig(
            output_dir=folder, per_device_train_batch_size=episodes * len(ROLES) // spec["parts"],
            gradient_accumulation_steps=spec["parts"], steps_per_generation=spec["parts"], num_generations=group,
            num_iterations=1, max_completion_length=512, max_steps=steps, learning_rate=1e-4,
            beta=0.02, bf16=False, fp16=False, gradient_checkpointing=False, use_cpu=True, report_to="none",
            save_strategy="no", logging_steps=1_000_000, disable_tqdm=True, shuffle_dataset=False,
        ),
    )  # fmt: skip

    def run() -> dict[str, Any]:
        trainer.train()
        return {**clock.figures(), "tokens": sampled[spec["warm_up"] :]}

    return run


if __name__ == "__main__":
    workers.serve(prepare)
