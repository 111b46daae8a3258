"""TinyAgent: a language model made from scratch, small enough to learn on two CPU cores.

A Llama-type configuration, a byte-level BPE tokenizer trained on generated text, and a chat template of five special
tokens. Everything is saved in the Hugging Face format, so that `AutoModelForCausalLM.from_pretrained` loads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cmat_env.errors import ConfigError

PAD, SYSTEM, USER, ASSISTANT, END = "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_LEAST = 261
_SPACE = "Ġ"
"""How byte-level BPE writes a space."""


@dataclass(frozen=True, slots=True)
class TinyConfig:
    """The size of a TinyAgent; the defaults give about 0.6 million parameters.

    Attributes:
        vocabulary: number of tokens, at least 261 (all bytes and five special tokens).
        width: of the residual stream.
        layers: number of transformer blocks.
        heads: number of attention heads; divides width.
        feed_forward: width of the gated MLP.
        context: longest dialogue, in tokens.
        init_std: standard deviation of the initial weights.
    """

    vocabulary: int = 768
    width: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 256
    context: int = 512
    init_std: float = 0.04

    def __post_init__(self) -> None:
        if self.vocabulary < _LEAST:
            raise ConfigError(
                f"vocabulary={self.vocabulary} is too small: 256 bytes and 5 special tokens need {_LEAST}"
            )
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ConfigError(f"width={self.width} must be an even multiple of heads={self.heads}")


def train_tokenizer(texts: Iterable[str], *, vocabulary: int, phrases: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the TinyAgent chat template.

    Digits and punctuation stand alone, so that numbers are copied digit by digit; every byte is in the alphabet, so
    that any text can be encoded.

    Args:
        texts: what to learn merges from.
        vocabulary: number of tokens in all, phrases included.
        phrases: fixed wording of a protocol that becomes one token each, such as an action's header.

    Raises:
        ConfigError: the vocabulary has no room for them.
    """
    if vocabulary < _LEAST + len(phrases):
        raise ConfigError(
            f"vocabulary={vocabulary} is too small: 256 bytes, 5 special tokens and {len(phrases)} phrases need "
            f"{_LEAST + len(phrases)}"
        )
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(r" ?[^\s\p{L}\p{N}]"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(phrases),
        special_tokens=[PAD, SYSTEM, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator((_without(text, phrases) for text in texts), trainer)
    bpe.add_tokens([AddedToken(phrase, normalized=False, special=False) for phrase in phrases])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _without(text: str, phrases: Sequence[str]) -> str:
    """The text less the phrases, which need no merges of their own."""
    for phrase in phrases:
        text = text.replace(phrase, "\n")
    return text


def make_model(tokenizer: PreTrainedTokenizerFast, config: TinyConfig, *, seed: int) -> LlamaForCausalLM:
    """A Llama at random, but ready to copy; the global random state of torch is left as it was.

    Most of what an agent writes it copies: names from the task, values from observations. Learning that from random
    weights takes most of a warm start, so three things are there from the beginning. Attention looks for its like
    (queries times keys are half the identity) and passes on what it reads (values times outputs are, too; after
    Trockman and Kolter 2023, arXiv:2305.09828), and a word with a space before it has the embedding of the word
    without, moved by one vector that is the same for all words.
    """
    llama = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=config.feed_forward,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.context,
        initializer_range=config.init_std,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(llama)
        with torch.no_grad():
            _ready_to_copy(model)
            _pair_words(model, tokenizer)
    model.eval()
    return model


def _ready_to_copy(model: LlamaForCausalLM) -> None:
    """Let queries and keys of every attention layer multiply to half the identity, and so values and outputs."""
    for layer in model.model.layers:
        attention = layer.self_attn
        queries, keys, values, outputs = (
            part.weight for part in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        )
        nn.init.orthogonal_(values, gain=math.sqrt(0.5))
        outputs.copy_(values.T)
        nn.init.orthogonal_(keys, gain=math.sqrt(0.5))
        queries.copy_(keys)


def _pair_words(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give " word" the embedding of "word", moved by a vector that is the same for all words."""
    embeddings = model.model.embed_tokens.weight
    space = torch.randn(embeddings.shape[1]) * model.config.initializer_range
    ids = tokenizer.get_vocab()
    for word, index in sorted(ids.items(), key=lambda item: item[1]):
        if word.startswith(_SPACE) and word[1:] in ids:
            embeddings[index] = embeddings[ids[word[1:]]] + space
