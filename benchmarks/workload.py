"""The models, prompts and lengths that every contestant of a comparison gets.

Weights are random, so nearly every reply has its full length, for all alike; what counts is tokens that were sampled.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from cmat_env.policies.tiny import TinyConfig, make_model, train_tokenizer

SIZES = {
    "tiny": TinyConfig(vocabulary=300, width=32, layers=2, heads=2, feed_forward=64),
    "1M": TinyConfig(vocabulary=768, width=128, layers=4, heads=4, feed_forward=384),
    "10M": TinyConfig(vocabulary=768, width=384, layers=6, heads=6, feed_forward=1024),
}


@dataclass(frozen=True, slots=True)
class Lengths:
    """The shape of an episode, in tokens.

    Attributes:
        prompt: what stands before the first reply.
        reply: the longest reply.
        observation: what comes back after a reply.
        turns: replies of an episode.
    """

    prompt: int = 64
    reply: int = 24
    observation: int = 16
    turns: int = 4


def make(size: str, *, dtype: str = "float32") -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A model with random weights, and its tokenizer; the same ones at every call."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 7))) for _ in range(2000)]
    config = SIZES[size]
    tokenizer = train_tokenizer((" ".join(rng.choices(words, k=12)) for _ in range(500)), vocabulary=config.vocabulary)
    model = make_model(tokenizer, config, seed=0).to(getattr(torch, dtype))
    return model, tokenizer


def text(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast, tokens: int) -> str:
    """Words of about this many tokens."""
    return str(tokenizer.decode(ids(rng, tokenizer, tokens)))


def ids(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast, tokens: int) -> list[int]:
    """Random ordinary tokens: letters and pieces of words."""
    return [int(each) for each in rng.integers(261, len(tokenizer), size=tokens)]


def operations(model: LlamaForCausalLM, *, fed: int, sampled: int, seen: int) -> float:
    """Floating-point operations of a forward pass over new tokens, every one fed once.

    Args:
        model: of the Llama kind.
        fed: tokens that go through the layers.
        sampled: tokens that the head is asked for.
        seen: keys that all queries look at, summed.
    """
    config: Any = model.config
    width = config.num_attention_heads * int(config.head_dim)
    layers = sum(p.numel() for name, p in model.named_parameters() if "layers" in name and p.dim() == 2)
    attention: float = 4 * config.num_hidden_layers * width * seen
    return float(2.0 * layers * fed + 2.0 * config.hidden_size * config.vocab_size * sampled + attention)


def work_of(model: LlamaForCausalLM, lengths: Lengths, *, episodes: int) -> float:
    """Operations of playing these episodes once, replies at full length."""
    sampled = lengths.turns * lengths.reply
    fed = lengths.prompt + sampled + (lengths.turns - 1) * lengths.observation
    return episodes * operations(model, fed=fed, sampled=sampled, seen=fed * (fed + 1) // 2)
