"""Models of a few thousand parameters, made from scratch once, and a tokenizer for them."""

from __future__ import annotations

import copy
import runpy
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from cmat_env.policies.chat import ChatEncoder
from cmat_env.policies.tiny import train_tokenizer
from cmat_env.types import Dialogue, Generation, Message

families: Any = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("families.py"))))

ModelOf = Callable[..., PreTrainedModel]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small are slower on many threads, most of all where other work shares the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A TinyAgent tokenizer of 300 tokens at most."""
    texts = ["guess a number from 1 to 16", "higher", "lower", "Verdict: approve"] * 4
    return train_tokenizer(texts, vocabulary=300, phrases=("Verdict: approve",))


@pytest.fixture(scope="session")
def model_of(tokenizer: PreTrainedTokenizerFast) -> ModelOf:
    """`model_of("qwen3", dtype=torch.float64)`: a copy of the one model of that family."""

    @cache
    def made(family: str) -> PreTrainedModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model: PreTrainedModel = AutoModelForCausalLM.from_config(families.CONFIGS[family](len(tokenizer)))
            for name, parameter in model.named_parameters():
                if "bias" in name or "norm" in name:
                    torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.2)
        model.eval()
        return model

    return lambda family, dtype=torch.float32: copy.deepcopy(made(family)).to(dtype)


@pytest.fixture(scope="session")
def said() -> Callable[..., Dialogue]:
    """`said(chat, ("8", "12"), end=False)`: turns of an assistant with a system prompt.

    Each reply is sampled as its own tokens, with or without the end-of-turn token.
    """

    def made(chat: ChatEncoder, replies: Sequence[str], *, end: bool = True) -> Dialogue:
        dialogue = Dialogue("assistant", messages=[Message("system", "Guess."), Message("user", "1 to 16")])
        for reply, answer in zip(replies, ("higher", "lower"), strict=True):
            chat.encode([dialogue])
            ids = chat.tokenizer(reply, add_special_tokens=False)["input_ids"]
            dialogue.reply(Generation(reply, (*ids, chat.end_id) if end else tuple(ids)))
            dialogue.say(Message("environment", answer))
        chat.encode([dialogue])
        return dialogue

    return made
