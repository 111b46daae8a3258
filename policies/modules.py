"""The general forward pass for decoding: any Hugging Face causal model, its cache replaced by ours.

The model is called as it is; only the cache object that it is handed writes into the lines of a `KVBlock` instead of
concatenating, and a four-dimensional mask says which slots each query sees. Works for models whose attention layers
call `past_key_values.update` and that accept such a mask (Llama, Qwen, Mistral, Gemma, GPT-2, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from cmat_env.errors import ConfigError
from cmat_env.policies.decode import KVBlock


class _BlockCache(Cache):
    """A cache of one forward pass: row b, token t goes to slot positions[b, t]."""

    def __init__(self, block: KVBlock, positions: torch.Tensor, slots: int) -> None:
        super().__init__(layers=[])
        self._block, self._positions, self._slots = block, positions, slots
        self._rows = torch.arange(positions.shape[0], device=positions.device).unsqueeze(-1)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self._block.keys[layer_idx], self._block.values[layer_idx]
        keys[self._rows, :, self._positions] = key_states.transpose(1, 2)
        values[self._rows, :, self._positions] = value_states.transpose(1, 2)
        return keys[:, :, : self._slots], values[:, :, : self._slots]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        del layer_idx
        return 0

    def get_mask_sizes(self, query_length: int | torch.Tensor, layer_idx: int = 0) -> tuple[int, int]:
        del query_length, layer_idx
        return self._slots, 0


def make_forward(
    activate: Callable[[], PreTrainedModel],
    embed: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Callable[[torch.Tensor, torch.Tensor, KVBlock], torch.Tensor]:
    """The forward pass (ids, positions, block) -> hidden states of a model.

    Args:
        activate: returns the model, with the right adapter switched on.
        embed: (B, T) ids -> (B, T, width), where the model's own embedding does not know all ids.
    """

    def forward(ids: torch.Tensor, positions: torch.Tensor, block: KVBlock) -> torch.Tensor:
        model = activate()
        slots = int(positions.max()) + 1
        distance = positions.unsqueeze(-1) - torch.arange(slots, device=ids.device)
        hidden: torch.Tensor = model.base_model(
            **inputs(ids, embed),
            position_ids=positions,
            attention_mask=attention_mask(model, distance >= 0, distance),
            past_key_values=_BlockCache(block, positions, slots),
            use_cache=True,
        ).last_hidden_state
        return hidden

    return forward


def inputs(ids: torch.Tensor, embed: Callable[[torch.Tensor], torch.Tensor] | None) -> dict[str, torch.Tensor]:
    """What a model is called with: the ids, or embeddings where its own does not know all of them."""
    return {"input_ids": ids} if embed is None else {"inputs_embeds": embed(ids)}


def attention_mask(
    model: PreTrainedModel, visible: torch.Tensor, distance: torch.Tensor
) -> torch.Tensor | dict[str, torch.Tensor]:
    """The additive mask that a model takes, one for each kind of layer where it has sliding windows.

    Args:
        model: any causal language model.
        visible: (B, T, S) True = the query may see the key where nothing but causality counts.
        distance: (B, T, S) or (T, S), how many tokens the key lies before the query.

    Raises:
        ConfigError: the model has layers that are neither full nor sliding attention.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds <= {"full_attention", "sliding_attention"}:
        raise ConfigError(
            f"{type(model).__name__} has layers of {', '.join(sorted(kinds))}; attention alone is supported"
        )
    window = getattr(config, "sliding_window", None)
    full = _additive(visible, model.dtype)
    if not window or kinds == {"full_attention"}:
        return full
    local = _additive(visible & (distance < window), model.dtype)
    return {"full_attention": full, "sliding_attention": local} if kinds else local


@contextmanager
def recomputing(model: PreTrainedModel, *, wanted: bool) -> Iterator[None]:
    """Within it, layers keep no more than their input for the way back, and compute the rest again then.

    transformers' own switch works in training mode only, which turns on dropout, too.

    Raises:
        ConfigError: the model has no layers of transformers' kind that can.
    """
    layers = [layer for layer in model.modules() if wanted and isinstance(layer, GradientCheckpointingLayer)]
    if wanted and not layers:
        raise ConfigError(f"{type(model).__name__} cannot recompute its layers; set gradient_checkpointing=false")
    for layer in layers:
        again = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
        layer.__dict__["forward"] = again  # in the place of the class's own
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Hidden states (..., width) -> logits (..., V): a linear head, and a soft cap where the model has one."""
    head = model.get_output_embeddings()
    result: torch.Tensor = functional.linear(hidden, head.weight, getattr(head, "bias", None))
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return torch.tanh(result / cap) * cap if cap else result


@torch.no_grad()
def check_head(model: PreTrainedModel) -> None:
    """Refuse models that scale their logits in a way of their own, which `logits` does not know.

    Raises:
        ConfigError: it is one of them.
    """
    ids = torch.zeros((1, 2), dtype=torch.long, device=model.device)
    ours = logits(model, model.base_model(input_ids=ids, use_cache=False).last_hidden_state)
    if not torch.allclose(ours, model(input_ids=ids, use_cache=False).logits, rtol=0.01, atol=0.01, equal_nan=True):
        raise ConfigError(
            f"{type(model).__name__} makes its logits from more than a head and a soft cap; this is not supported"
        )


def _additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(B, 1, T, S): 0 where seen, else the least number; every attention implementation takes it."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill(~visible, torch.finfo(dtype).min).unsqueeze(1)
