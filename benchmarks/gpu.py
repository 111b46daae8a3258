"""Tokens a second on a GPU at 100 M to 1 B parameters: our decoder, `generate`, and transformers' continuous batching.

    python -m benchmarks.gpu [--size 100M 500M 1B] [--episodes 256] [--device cuda] [--dtype bfloat16]

Weights are random, in bfloat16. Ours and "whole history" play dialogues of several turns; the others answer one prompt
once, which is what continuous batching is made for. The share of the card's rate is of the least work that is needed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks import generation, workload
from benchmarks.report import matmul_rate, table
from benchmarks.workload import Lengths

SIZES = {  # width, layers, heads, feed-forward, vocabulary
    "tiny": (32, 2, 2, 64, 300),
    "100M": (768, 12, 12, 2048, 32_000),
    "500M": (1280, 22, 20, 3456, 32_000),
    "1B": (2048, 20, 32, 5632, 32_000),
}
MULTI, ONCE = Lengths(prompt=256, reply=96, observation=64, turns=4), Lengths(prompt=512, reply=128, turns=1)


def make(size: str, *, device: str, dtype: str) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A model with random weights where it is to run, and a tokenizer whose ids it knows."""
    width, layers, heads, feed_forward, vocabulary = SIZES[size]
    _, tokenizer = workload.make("tiny")
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=feed_forward, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=4096,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    return model.to(getattr(torch, dtype)).eval(), tokenizer


def continuous(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, lengths: Lengths, episodes: int
) -> Callable[[], int]:
    """`generate_batch`: requests join and leave the batch, keys and values lie in pages."""
    settings = GenerationConfig(
        max_new_tokens=lengths.reply, do_sample=True, top_k=0, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    batching: Any = model

    def job() -> int:
        rng = np.random.default_rng(0)
        prompts = [workload.ids(rng, tokenizer, lengths.prompt) for _ in range(episodes)]
        done = batching.generate_batch(prompts, generation_config=settings, progress_bar=False, **_paging(model))
        return sum(len(each.generated_tokens) for each in done.values())

    return job


def _paging(model: LlamaForCausalLM) -> dict[str, Any]:
    """On a GPU its own defaults; on a CPU, where it would take all memory, a small cache."""
    if model.device.type != "cpu":
        return {}
    from transformers.generation.configuration_utils import (  # noqa: PLC0415 - where versions have it
        ContinuousBatchingConfig,
    )

    return {
        "continuous_batching_config": ContinuousBatchingConfig(block_size=32, num_blocks=64, max_batch_tokens=256),
        "warmup": False,
    }


def timed(job: Callable[[], int], *, rounds: int, device: str) -> float:
    """Tokens a second: the median of some rounds after one that warms up."""
    rates = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        tokens = job()
        if device != "cpu":
            torch.cuda.synchronize()
        rates.append(tokens / (time.perf_counter() - started))
    return statistics.median(rates[1:])


def compare(size: str, *, device: str, dtype: str, episodes: int, rounds: int, lengths: tuple[Lengths, Lengths]) -> str:
    """One table: everybody on one model."""
    model, tokenizer = make(size, device=device, dtype=dtype)
    multi, once = lengths
    jobs = {
        "ours, several turns": (multi, generation.ours(model, tokenizer, multi, episodes)),
        "`generate`, whole history": (multi, generation.naive(model, tokenizer, multi, episodes, at_once=episodes)),
        "ours, one reply": (once, generation.ours(model, tokenizer, once, episodes)),
        "`generate`, one reply, batched": (once, generation.naive(model, tokenizer, once, episodes, at_once=episodes)),
        "continuous batching, one reply": (once, continuous(model, tokenizer, once, episodes)),
    }
    peak = matmul_rate(dtype, threads=torch.get_num_threads(), size=512 if device == "cpu" else 8192, device=device)
    rows = []
    for name, (shape, job) in jobs.items():
        if device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        try:
            rate = timed(job, rounds=rounds, device=device)
        except Exception as error:  # a contestant that does not run here is told, and the others go on
            rows.append((name, f"failed: {type(error).__name__}: {str(error).splitlines()[0][:80]}", "-", "-"))
            continue
        work = workload.work_of(model, shape, episodes=1) / (shape.turns * shape.reply)
        memory = "-" if device == "cpu" else f"{torch.cuda.max_memory_allocated() / 2**20:,.0f}"
        rows.append((name, f"{rate:,.0f}", f"{rate * work / peak:.1%}", memory))
        print(f"  gpu: {size}: {name}: {rate:,.0f} tokens/s", flush=True)
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    where = torch.cuda.get_device_name() if device != "cpu" else "CPU"
    head = (f"{count:,.0f} M parameters, {dtype}, {where}, {episodes} rows", "tokens a second", "share of matmul rate")
    return f"{table((*head, 'peak MiB'), rows)}\n\nMeasured matrix product: {peak / 1e12:,.2f} TFLOP/s."


def report(*, quick: bool = False) -> str:
    """In miniature on a CPU: that it works, no more."""
    assert quick
    lengths = Lengths(8, 4, 4, 2), Lengths(8, 4, 0, 1)
    return compare("tiny", device="cpu", dtype="float32", episodes=4, rounds=1, lengths=lengths)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=list(SIZES), default=["100M", "500M", "1B"])
    parser.add_argument("--episodes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    for size in options.size:
        print(compare(size, device=options.device, dtype=options.dtype, episodes=options.episodes,
                      rounds=options.rounds, lengths=(MULTI, ONCE)), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
