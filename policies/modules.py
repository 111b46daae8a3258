"""The general forward pass for decoding: any Hugging Face causal model, its cache replaced by ours.

The model is called as it is; only the cache object that it is handed writes into the lines of a `KVBlock` instead of
concatenating, and a four-dimensional mask says which slots each query sees. Works for models whose attention layers
call `past_key_values.update` and that accept such a mask (Llama, Qwen, Mistral, Gemma, GPT-2, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

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
) -> Callable[[torch.Tensor, torch.Tensor, KVBlock], torch.Tensor]:
    """The forward pass (ids, positions, block) -> hidden states of a model.

    Args:
        activate: returns the model, with the right adapter switched on.
    """

    def forward(ids: torch.Tensor, positions: torch.Tensor, block: KVBlock) -> torch.Tensor:
        trunk = activate().base_model
        slots = int(positions.max()) + 1
        visible = torch.arange(slots, device=ids.device) <= positions.unsqueeze(-1)
        hidden: torch.Tensor = trunk(
            input_ids=ids,
            position_ids=positions,
            attention_mask=additive(visible.unsqueeze(1), trunk.dtype),
            past_key_values=_BlockCache(block, positions, slots),
            use_cache=True,
        ).last_hidden_state
        return hidden

    return forward


def additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A boolean mask, True = seen, as the additive one that every attention implementation takes."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, torch.finfo(dtype).min)
