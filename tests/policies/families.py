"""Real chat models in miniature: configurations, templates and tokens of well-known families.

The templates have the shapes of the families' own and were written for these tests. Each family has its marks: Qwen
2.5 puts a system prompt of its own where none is, Qwen 3 drops the thinking of earlier turns, Llama 3 begins with a
token and trims, Mistral 0.2 refuses a system prompt, Mistral 0.3 moves it to the latest message, Gemma 2 refuses it,
Gemma 3 puts it into the first message; Gemma's end of turn is not its end of sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from cmat_env.policies.tiny import train_tokenizer

CONTEXT = 160
_SIZE: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
}
CONFIGS: dict[str, Callable[[int], PreTrainedConfig]] = {
    "llama": lambda size: LlamaConfig(vocab_size=size, **_SIZE),
    "qwen2": lambda size: Qwen2Config(vocab_size=size, **_SIZE),
    "qwen3": lambda size: Qwen3Config(vocab_size=size, **_SIZE),
    "gemma2": lambda size: Gemma2Config(vocab_size=size, query_pre_attn_scalar=4, sliding_window=9, **_SIZE),
    "gemma3_text": lambda size: Gemma3TextConfig(  # one layer of each kind
        vocab_size=size,
        query_pre_attn_scalar=4,
        sliding_window=9,
        layer_types=["sliding_attention", "full_attention"],
        **_SIZE,
    ),
    "mistral": lambda size: MistralConfig(vocab_size=size, sliding_window=9, **_SIZE),
    "gpt2": lambda size: GPT2Config(
        vocab_size=size, n_embd=16, n_layer=2, n_head=4, n_positions=CONTEXT, initializer_range=0.3
    ),
}

_CHATML_PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
QWEN25 = (
    "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
) + _CHATML_PROMPT
QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}"
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% set parts = m.content.split('</think>') %}{% set said = parts[-1].lstrip('\n') %}"
    "{% if loop.index0 > ns.last %}"
    "{% set thought = parts[0].split('<think>')[-1].strip('\n') if parts|length > 1 else '' %}"
    "{{ '<|im_start|>assistant\n<think>\n' + thought + '\n</think>\n\n' + said + '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>assistant\n' + said + '<|im_end|>\n' }}{% endif %}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
) + _CHATML_PROMPT
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_ALTERNATE = (
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
)
MISTRAL02 = (
    "{{ bos_token }}{% for m in messages %}" + _ALTERNATE + "{% if m.role == 'user' %}"
    "{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL03 = (
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set loop_messages = messages[1:] %}"
    "{% else %}{% set loop_messages = messages %}{% endif %}"
    "{{ bos_token }}{% for m in loop_messages %}" + _ALTERNATE + "{% if m.role == 'user' %}"
    "{% if loop.last and system is defined %}{{ '[INST] ' + system + '\n\n' + m.content + '[/INST]' }}"
    "{% else %}{{ '[INST] ' + m.content + '[/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
_GEMMA_TURNS = (
    "{% for m in loop_messages %}" + _ALTERNATE + "{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<start_of_turn>' + role + '\n' + (first if loop.first else '') + m.content | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA2 = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% set loop_messages = messages %}{% set first = '' %}"
) + _GEMMA_TURNS
GEMMA3 = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
    "{% set loop_messages = messages[1:] %}{% else %}{% set first = '' %}{% set loop_messages = messages %}{% endif %}"
) + _GEMMA_TURNS


@dataclass(frozen=True, slots=True)
class Family:
    """A template, the model it goes with, the tokens it writes, and what two turns of a guessing game look like.

    Attributes:
        model: see conftest's `model_of`.
        template: its chat template.
        special: tokens of the family; the first begins a text and the second ends one.
        style: what `ChatTemplate` should find.
        text: of a dialogue with a system prompt, two replies and the prompt for a third.
    """

    model: str
    template: str
    special: tuple[str, ...]
    style: str
    text: str


_CHATML_TEXT = (
    "<|im_start|>system\nGuess.<|im_end|>\n<|im_start|>user\n1 to 16<|im_end|>\n<|im_start|>assistant\n{0}<|im_end|>\n"
    "<|im_start|>user\nhigher<|im_end|>\n<|im_start|>assistant\n{1}<|im_end|>\n"
    "<|im_start|>user\nlower<|im_end|>\n<|im_start|>assistant\n"
)
_HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n".format
_GEMMA_TEXT = (
    "<bos><start_of_turn>user\nGuess.\n\n1 to 16<end_of_turn>\n<start_of_turn>model\n{0}<end_of_turn>\n"
    "<start_of_turn>user\nhigher<end_of_turn>\n<start_of_turn>model\n{1}<end_of_turn>\n"
    "<start_of_turn>user\nlower<end_of_turn>\n<start_of_turn>model\n"
)
_CHATML = ("<|endoftext|>", "<|im_end|>", "<|im_start|>")
_GEMMA = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")

FAMILIES = {
    "qwen2.5": Family("qwen2", QWEN25, _CHATML, "prefix", _CHATML_TEXT),
    "qwen3": Family("qwen3", QWEN3, _CHATML, "anchored", _CHATML_TEXT),
    "llama3": Family(
        "llama",
        LLAMA3,
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "prefix",
        f"<|begin_of_text|>{_HEADER('system')}Guess.<|eot_id|>{_HEADER('user')}1 to 16<|eot_id|>{_HEADER('assistant')}"
        f"{{0}}<|eot_id|>{_HEADER('user')}higher<|eot_id|>{_HEADER('assistant')}{{1}}<|eot_id|>"
        f"{_HEADER('user')}lower<|eot_id|>{_HEADER('assistant')}",
    ),
    "mistral0.2": Family(
        "mistral",
        MISTRAL02,
        ("<s>", "</s>"),
        "prefix",
        "<s>[INST] Guess.\n\n1 to 16 [/INST]{0}</s>[INST] higher [/INST]{1}</s>[INST] lower [/INST]",
    ),
    "mistral0.3": Family(
        "mistral",
        MISTRAL03,
        ("<s>", "</s>", "[INST]", "[/INST]"),
        "anchored",
        "<s>[INST] Guess.\n\n1 to 16[/INST]{0}</s>[INST] higher[/INST]{1}</s>[INST] lower[/INST]",
    ),
    "gemma2": Family("gemma2", GEMMA2, _GEMMA, "prefix", _GEMMA_TEXT),
    "gemma3": Family("gemma3_text", GEMMA3, _GEMMA, "prefix", _GEMMA_TEXT),
}


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """A small tokenizer with the family's special tokens and template."""
    family = FAMILIES[name]
    texts = ["guess a number from 1 to 16", "higher", "lower", "<think>\nhm\n</think>\n\n8"] * 4
    tokenizer = train_tokenizer(texts, vocabulary=300)
    begin, end, *others = family.special
    tokenizer.add_special_tokens({"bos_token": begin, "eos_token": end, "additional_special_tokens": list(others)})
    tokenizer.chat_template = family.template
    return tokenizer
