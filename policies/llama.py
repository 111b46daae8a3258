"""A Llama-type forward pass on plain tensors: joined projections, fused norms, adapters merged, the cache in place.

Faster than the modules it is read from at TinyAgent's size, where their overhead dominates. Serves Llama, Mistral and
Qwen2 configurations without sliding windows; `cmat_env.policies.modules` serves every other model.

Shapes: B rows, T tokens, H heads, K key-value heads, D head size, L slots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from cmat_env.policies.decode import KVBlock
from cmat_env.policies.prefixes import distinct
from cmat_env.types import TokenBatch

FAMILIES = ("llama", "mistral", "qwen2")
Weights = tuple[torch.Tensor, torch.Tensor | None]
Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_norm: torch.Tensor
    qkv: Weights
    output: Weights
    mlp_norm: torch.Tensor
    gate_up: Weights
    down: Weights


def attention_dtype(like: torch.Tensor | PreTrainedModel) -> torch.dtype:
    """Of queries, keys and values: on a CPU at least float32, since one query over 16-bit keys takes twice as long."""
    return torch.promote_types(like.dtype, torch.float32) if like.device.type == "cpu" else like.dtype


def supports(model: PreTrainedModel) -> bool:
    """Is this a model whose forward pass this module reproduces?"""
    config = model.config
    return (
        config.model_type in FAMILIES
        and getattr(config, "hidden_act", "") == "silu"
        and not getattr(config, "sliding_window", None)
        and not getattr(config, "attention_dropout", 0.0)
    )


class LlamaForward:
    """A model's weights, read once, and its forward pass up to the last norm.

    Args:
        model: a Llama-type causal language model.
        weights_of: a linear module -> its effective weight and bias, with the adapter of a role merged in. Gradients
            flow to whatever it returns.
        embed: (B, T) ids -> (B, T, width), where the model's own embedding does not know all ids.
        recompute: on the way back read and run each layer again, instead of keeping all that it computed.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        weights_of: Callable[[nn.Module], Weights],
        embed: Callable[[torch.Tensor], torch.Tensor] | None = None,
        *,
        recompute: bool = False,
    ) -> None:
        trunk, config = model.model, model.config
        self._heads, self._groups = config.num_attention_heads, config.num_key_value_heads
        self._size = getattr(config, "head_dim", None) or config.hidden_size // self._heads
        self._layers: list[Callable[[], _Layer]] = [partial(_read, layer, weights_of) for layer in trunk.layers]
        if not recompute:
            self._layers = [_kept(read()) for read in self._layers]
        self._recompute = recompute
        self._embed = embed or (lambda ids: functional.embedding(ids, trunk.embed_tokens.weight))
        self._norm, self._epsilon = trunk.norm.weight, config.rms_norm_eps
        self._rotary = trunk.rotary_emb

    def cached(self, ids: torch.Tensor, positions: torch.Tensor, block: KVBlock) -> torch.Tensor:
        """(B, T, width) hidden states of new tokens, which see what the cache holds and are added to it."""
        slots = int(positions.max()) + 1
        mask = (torch.arange(slots, device=ids.device) <= positions.unsqueeze(-1)).unsqueeze(1)
        rows = torch.arange(len(ids), device=ids.device).unsqueeze(-1)

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            keys, values = block.keys[layer], block.values[layer]
            keys[rows, :, positions] = k.to(keys.dtype)
            values[rows, :, positions] = v.to(values.dtype)
            return self._attention(q.transpose(1, 2), keys[:, :, :slots], values[:, :, :slots], mask)

        begins = (positions[:, :1] == 0).expand(ids.shape)
        if ids.shape[1] == 1 or not begins.any():
            return self._run(ids, positions, attend)
        tokens = distinct(ids, positions, begins)
        return tokens.spread(
            self._run(
                tokens.gather(ids),
                tokens.gather(positions),
                lambda layer, *qkv: tokens.gather(attend(layer, *map(tokens.spread, qkv))),
            )
        )

    def whole(self, batch: TokenBatch, mask: torch.Tensor | None, wanted: torch.Tensor) -> torch.Tensor:
        """(N, width) hidden states of the tokens of whole lines that are wanted.

        Args:
            batch: B lines of T tokens.
            mask: (B, 1, T, T) True = the query sees the key; None = every earlier token of the line.
            wanted: (B, T) True = the token is one of the N; the last layer is not run to its end for others.
        """
        real = batch.segments >= 0
        first = real & (batch.segments == batch.segments[:, :1])
        tokens = distinct(batch.token_ids, batch.positions, first, real)
        ends = wanted.flatten().nonzero().squeeze(-1)

        def attend(layer: int, *qkv: torch.Tensor) -> torch.Tensor:
            q, k, v = (tokens.spread(each).transpose(1, 2) for each in qkv)
            mixed = self._attention(q, k, v, mask)
            if layer < len(self._layers) - 1:
                return tokens.gather(mixed)
            return mixed.flatten(0, 1).index_select(0, ends).unsqueeze(0)

        places = tokens.place[ends]
        return self._run(tokens.gather(batch.token_ids), tokens.gather(batch.positions), attend, places)[0]

    def _attention(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """(B, H, T, D), (B, K, L, D), (B, K, L, D) -> (B, T, H * D)."""
        wide = attention_dtype(q)
        mixed = functional.scaled_dot_product_attention(
            q.to(wide), k.to(wide), v.to(wide), attn_mask=mask, is_causal=mask is None,
            enable_gqa=self._groups != self._heads,
        )  # fmt: skip
        return mixed.to(q.dtype).transpose(1, 2).flatten(2)

    def _run(
        self, ids: torch.Tensor, positions: torch.Tensor, attend: Attend, ends: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, T, width) hidden states, or (B, N, width) of those tokens alone that stand at the (N,) `ends`.

        `attend` is given the number of a layer and its queries, keys and values, (B, T, H or K, D).
        """
        x = self._embed(ids)
        cos, sin = (table[..., : self._size // 2].unsqueeze(2) for table in self._rotary(x, positions))
        last = len(self._layers) - 1
        for number, read in enumerate(self._layers):
            run = partial(self._layer, read, partial(attend, number), (cos, sin), ends if number == last else None)
            x = checkpoint(run, x, use_reentrant=False, preserve_rng_state=False) if self._recompute else run(x)
        return functional.rms_norm(x, x.shape[-1:], self._norm, self._epsilon)

    def _layer(
        self,
        read: Callable[[], _Layer],
        attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
        turns: tuple[torch.Tensor, torch.Tensor],
        ends: torch.Tensor | None,
        x: torch.Tensor,
    ) -> torch.Tensor:
        """What a layer makes of (B, T, width) states; of those at the `ends` alone, where only they are wanted."""
        layer, shape, epsilon = read(), x.shape[-1:], self._epsilon
        heads, groups, size = self._heads, self._groups, self._size
        normed = functional.rms_norm(x, shape, layer.attention_norm, epsilon)
        qkv = functional.linear(normed, *layer.qkv).unflatten(-1, (heads + 2 * groups, size))
        qk, values = qkv.split((heads + groups, groups), dim=2)
        queries, keys = _rotate(qk, *turns).split((heads, groups), dim=2)
        mixed = attend(queries, keys, values)
        if ends is not None:
            x = x.index_select(1, ends)
        x = x + functional.linear(mixed, *layer.output)
        normed = functional.rms_norm(x, shape, layer.mlp_norm, epsilon)
        gate, up = functional.linear(normed, *layer.gate_up).chunk(2, dim=-1)
        return x + functional.linear(functional.silu(gate) * up, *layer.down)


def _kept(layer: _Layer) -> Callable[[], _Layer]:
    """A layer that has been read."""
    return lambda: layer


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    turned = torch.addcmul(first * cos, second, sin, value=-1), torch.addcmul(second * cos, first, sin)
    return torch.cat(turned, dim=-1)


def _read(layer: Any, weights_of: Callable[[nn.Module], Weights]) -> _Layer:
    """A decoder layer's weights; the layers of the families share their names, not a class."""
    attention, mlp = layer.self_attn, layer.mlp
    return _Layer(
        attention_norm=layer.input_layernorm.weight,
        qkv=_join(weights_of(attention.q_proj), weights_of(attention.k_proj), weights_of(attention.v_proj)),
        output=weights_of(attention.o_proj),
        mlp_norm=layer.post_attention_layernorm.weight,
        gate_up=_join(weights_of(mlp.gate_proj), weights_of(mlp.up_proj)),
        down=weights_of(mlp.down_proj),
    )


def _join(*parts: Weights) -> Weights:
    """Several linear maps of the same input as one."""
    weight = torch.cat([weight for weight, _ in parts])
    if all(bias is None for _, bias in parts):
        return weight, None
    biases = [weight.new_zeros(weight.shape[0]) if bias is None else bias for weight, bias in parts]
    return weight, torch.cat(biases)
