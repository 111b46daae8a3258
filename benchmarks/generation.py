"""Tokens a second over many dialogues of several turns: our decoder beside loops around `transformers.generate`.

Same model, ids and lengths for all. "Naive" gives every turn's whole history to `generate` again, padded on the left,
all episodes at once; "one at a time" does the same for one episode after another. Every row is a process of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks import workers, workload
from benchmarks.report import matmul_rate, table
from benchmarks.workload import Lengths
from cmat_env.policies.adapters import AdapterSettings
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.sampling import Sampling
from cmat_env.types import Dialogue

ALONE = 4
"""Episodes of the row that plays one at a time: its rate does not depend on how many come after each other."""


def ours(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, lengths: Lengths, episodes: int
) -> Callable[[], int]:
    """HFPolicy, as rollouts use it."""
    sampling = Sampling(max_new_tokens=lengths.reply)
    policy = HFPolicy(model, tokenizer, adapter=AdapterSettings("shared"), sampling=sampling)

    def job() -> int:
        rng, sampled = np.random.default_rng(0), 0
        dialogues = [Dialogue("assistant", seed=seed) for seed in range(episodes)]
        for turn in range(lengths.turns):
            for dialogue in dialogues:
                dialogue.encode(workload.ids(rng, tokenizer, lengths.observation if turn else lengths.prompt))
            for dialogue, reply in zip(dialogues, policy.generate(dialogues, seed=0), strict=True):
                dialogue.reply(reply)
                sampled += len(reply.token_ids or ())
        policy.release(dialogues)
        return sampled

    return job


def naive(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, lengths: Lengths, episodes: int, *, at_once: int
) -> Callable[[], int]:
    """`transformers.generate` on the whole history of every turn."""
    end, device = tokenizer.eos_token_id, model.device
    options = {"do_sample": True, "top_k": 0, "eos_token_id": end, "pad_token_id": tokenizer.pad_token_id}

    @torch.inference_mode()
    def play(histories: list[list[int]], rng: np.random.Generator) -> int:
        sampled = 0
        for turn in range(lengths.turns):
            for history in histories:
                history.extend(workload.ids(rng, tokenizer, lengths.observation if turn else lengths.prompt))
            width = max(map(len, histories))
            padded = [[tokenizer.pad_token_id] * (width - len(history)) + history for history in histories]
            seen = [[0] * (width - len(history)) + [1] * len(history) for history in histories]
            said: Any = model.generate(  # type: ignore[misc] # its own signature does not fit its class
                input_ids=torch.tensor(padded, device=device), attention_mask=torch.tensor(seen, device=device),
                max_new_tokens=lengths.reply, **options,
            )  # fmt: skip
            for history, row in zip(histories, said[:, width:].tolist(), strict=True):
                reply = row[: row.index(end) + 1] if end in row else row
                history.extend(reply)
                sampled += len(reply)
        return sampled

    def job() -> int:
        rng = np.random.default_rng(0)
        return sum(play([[] for _ in range(at_once)], rng) for _ in range(episodes // at_once))

    return job


def prepare(spec: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """A worker's measurement: one warm-up, then medians of rounds."""
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    model, tokenizer = workload.make(spec["size"], dtype=spec["dtype"])
    lengths, episodes = Lengths(**spec["lengths"]), spec["episodes"]
    if spec["who"] == "ours":
        job = ours(model, tokenizer, lengths, episodes)
    else:
        job = naive(model, tokenizer, lengths, episodes, at_once=1 if spec["who"] == "alone" else episodes)
    job()

    def run() -> dict[str, Any]:
        rates, cpu_rates = [], []
        for _ in range(spec["rounds"]):
            clock, cpu = time.perf_counter(), time.process_time()
            tokens = job()
            rates.append(tokens / (time.perf_counter() - clock))
            cpu_rates.append(tokens / (time.process_time() - cpu))
        work = workload.work_of(model, lengths, episodes=episodes) / (episodes * lengths.turns * lengths.reply)
        count = sum(parameter.numel() for parameter in model.parameters())
        medians = {"rate": statistics.median(rates), "cpu_rate": statistics.median(cpu_rates)}
        return {**medians, "work": work, "parameters": count}

    return run


CONTESTANTS = (
    ("ours, one thread", "ours", 1, 1),
    ("naive `generate`, one thread", "naive", 1, 1),
    ("one episode at a time, one thread", "alone", 1, 1),
    ("ours, two threads", "ours", 2, 1),
    ("ours, two processes of one thread", "ours", 1, 2),
    ("naive `generate`, two threads", "naive", 2, 1),
    ("naive `generate`, two processes of one thread", "naive", 1, 2),
    ("one episode at a time, two threads", "alone", 2, 1),
)


def quick_report(lengths: Lengths, *, episodes: int) -> str:
    """In miniature, in this process and on one thread."""
    base = {"size": "tiny", "dtype": "float32", "rounds": 1, "episodes": episodes, "threads": 1}
    base["lengths"] = {name: getattr(lengths, name) for name in Lengths.__slots__}
    rows = [
        (title, f"{prepare({**base, 'who': who})()['rate']:,.0f}")
        for title, who, threads, processes in CONTESTANTS
        if threads == processes == 1
    ]
    return table(("in miniature", "tokens a second"), rows)


def compare(size: str, dtype: str, *, episodes: int, rounds: int, lengths: Lengths) -> str:
    """One table: everybody on one model."""
    base = {"size": size, "dtype": dtype, "rounds": rounds}
    base["lengths"] = {name: getattr(lengths, name) for name in Lengths.__slots__}
    peaks = {threads: matmul_rate(dtype, threads=threads) for threads in (1, 2)}
    found: dict[str, tuple[int, list[dict[str, Any]]]] = {}
    for title, who, threads, processes in CONTESTANTS:
        share = ALONE if who == "alone" else episodes // processes
        spec = {**base, "who": who, "threads": threads, "episodes": share}
        found[title] = threads * processes, workers.run("benchmarks.generation", [spec] * processes, threads=threads)
        rate = sum(each["rate"] for each in found[title][1])
        print(f"  generation, {size} {dtype}: {title}: {rate:,.0f} tokens/s", flush=True)
    rows = []
    for title, (cores, figures) in found.items():
        rate, cpu_rate = sum(f["rate"] for f in figures), statistics.mean(f["cpu_rate"] for f in figures)
        naive_rates = [
            sum(f["rate"] for f in each) for name, (used, each) in found.items() if "naive" in name and used == cores
        ]
        share = rate * figures[0]["work"] / peaks[cores]
        memory = sum(f["peak_mib"] for f in figures)
        alone = max(
            f["rate"] for name, (used, each) in found.items() if "at a time" in name and used == cores for f in each
        )
        ratios = f"{rate / max(naive_rates):.2f}", f"{rate / alone:.1f}"
        rows.append((title, f"{rate:,.0f} ({cpu_rate:,.0f})", *ratios, f"{share:.0%}", f"{memory:,.0f}"))
    count = next(iter(found.values()))[1][0]["parameters"]
    head = (
        f"{count / 1e6:.1f} M parameters, {dtype}, {episodes} episodes", "tokens a second (a CPU-second)",
        "times the best naive on as many cores", "times one at a time", "share of matmul rate", "peak MiB",
    )  # fmt: skip
    rates = ", ".join(f"{peaks[threads] / 1e9:,.0f} GFLOP/s on {threads}" for threads in peaks)
    return f"{table(head, rows)}\n\nMeasured matrix product: {rates} threads."


def report(*, quick: bool = False) -> str:
    """Both tables."""
    if quick:
        return quick_report(Lengths(8, 4, 4, 2), episodes=4)
    lengths = Lengths()
    shape = (
        f"Prompt {lengths.prompt} tokens, {lengths.turns} turns of at most {lengths.reply} sampled tokens, "
        f"{lengths.observation} tokens observed after each. Bars on one thread: 1.5 at 1 M, 2 at 10 M in bfloat16, "
        "and 8 times one episode at a time."
    )
    small = compare("1M", "float32", episodes=128, rounds=3, lengths=lengths)
    large = compare("10M", "bfloat16", episodes=64, rounds=2, lengths=lengths)
    return f"{shape}\n\n{small}\n\n{large}"


if __name__ == "__main__":
    workers.serve(prepare)
