"""P-tuning: virtual tokens before everything that a role reads, made by a small trained network over a frozen model.

A virtual token is an id beyond the vocabulary: VOCABULARY + i stands for the i-th of them. So they are packed, masked,
given positions and kept in the cache like any other token; only the embedding knows about them.

Source: Liu et al. 2021 (P-tuning), arXiv:2103.10385; the network and the format on disk are PEFT's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from cmat_env.types import TokenBatch

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
KEY = "prompt_embeddings"
Embed = Callable[[torch.Tensor], torch.Tensor]


class PromptEncoder(nn.Module):
    """The virtual tokens of one role: PEFT's prompt encoder (three linear layers), beginning where they disturb least.

    What the network says at first is taken off and small noise is put in its place. Before a trained TinyAgent it costs
    nothing, embeddings of words cost a quarter of its success and more; see docs/algorithms/ptuning.md.
    """

    def __init__(self, encoder: nn.Module, start: torch.Tensor) -> None:
        super().__init__()
        self._encoder = encoder
        self.register_buffer("_indices", torch.arange(len(start), device=start.device))
        self.register_buffer("_shift", start - encoder(self._indices).detach())

    def forward(self) -> torch.Tensor:
        """(P, width) embeddings."""
        tokens: torch.Tensor = self._encoder(self._indices) + self._shift
        return tokens


def make_encoder(model: PreTrainedModel, tokens: int) -> PromptEncoder:
    """An encoder of so many virtual tokens for a model; random numbers are torch's."""
    from peft import PromptEncoder as Network  # noqa: PLC0415 - four seconds to import
    from peft import PromptEncoderConfig  # noqa: PLC0415

    table: torch.Tensor = _table(model).weight
    width = table.shape[1]
    config = PromptEncoderConfig(
        num_virtual_tokens=tokens, token_dim=width, encoder_hidden_size=width, num_transformer_submodules=1
    )
    network = Network(config).to(table.device)  # type: ignore[no-untyped-call]
    spread = getattr(model.config.get_text_config(), "initializer_range", 0.02)
    return PromptEncoder(network, (spread * torch.randn(tokens, width)).to(table.device))


def embedding(model: PreTrainedModel, prompt: torch.Tensor) -> Embed:
    """The embedding (B, T) ids -> (B, T, width) of a model that knows (P, width) virtual tokens too."""
    table = _table(model)
    size = table.num_embeddings

    def embed(ids: torch.Tensor) -> torch.Tensor:
        words: torch.Tensor = table(ids.clamp(max=size - 1))
        return torch.where((ids >= size).unsqueeze(-1), prompt[(ids - size).clamp(min=0)].to(words.dtype), words)

    return embed


def ids_of(model: PreTrainedModel, count: int) -> list[int]:
    """The ids of so many virtual tokens."""
    size = _table(model).num_embeddings
    return list(range(size, size + count))


def lengthened(batch: TokenBatch, ids: list[int]) -> TokenBatch:
    """The same rows, each with these virtual tokens before it; its own tokens stand at later positions."""
    count, device = len(ids), batch.token_ids.device
    before = nn.functional.pad(batch.segments[:, :-1], (1, 0), value=-1)
    begins = (batch.segments >= 0) & (batch.segments != before)
    place = torch.arange(begins.shape[1], device=device) + count * begins.cumsum(1)
    shape = (len(begins), begins.shape[1] + count * int(begins.sum(1).max()))
    token_ids = torch.zeros(shape, dtype=torch.long, device=device).scatter(1, place, batch.token_ids)
    positions = torch.arange(shape[1], device=device).repeat(len(begins), 1).scatter(1, place, batch.positions + count)
    segments = torch.full(shape, -1, device=device).scatter(1, place, batch.segments)
    actions = torch.zeros(shape, dtype=torch.bool, device=device).scatter(1, place, batch.action_mask)
    line, column = begins.nonzero(as_tuple=True)
    steps = torch.arange(count, device=device)
    spans = (line.unsqueeze(-1), place[line, column].unsqueeze(-1) - count + steps)
    token_ids[spans], positions[spans] = torch.tensor(ids, device=device), steps
    segments[spans] = batch.segments[line, column].unsqueeze(-1)
    return TokenBatch(token_ids, positions, segments, actions, batch.packed)


def save(folder: Path, prompt: torch.Tensor, *, base: PreTrainedModel) -> None:
    """Write (P, width) virtual tokens as PEFT does, so that `PeftModel.from_pretrained` reads them."""
    from peft import PromptEncoderConfig  # noqa: PLC0415 - four seconds to import

    config = base.config.get_text_config()
    folder.mkdir(parents=True, exist_ok=True)
    PromptEncoderConfig(
        task_type="CAUSAL_LM",
        inference_mode=True,
        num_virtual_tokens=len(prompt),
        token_dim=prompt.shape[1],
        encoder_hidden_size=prompt.shape[1],
        num_transformer_submodules=1,
        num_attention_heads=config.num_attention_heads,
        num_layers=config.num_hidden_layers,
    ).save_pretrained(str(folder))
    save_file({KEY: prompt.cpu().contiguous()}, folder / TENSORS, metadata={"format": "pt"})


def load(folder: Path) -> torch.Tensor | None:
    """(P, width) the virtual tokens of an adapter folder; None if its adapter is of another kind."""
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return load_file(folder / TENSORS)[KEY] if config.get("peft_type") == "P_TUNING" else None


def _table(model: PreTrainedModel) -> Any:
    """The embedding of a model's own words: torch's, or one that scales what it gives."""
    return model.get_input_embeddings()
