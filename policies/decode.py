"""Batched decoding over many dialogues at once, with a key-value cache that is kept from turn to turn.

    decoder = make_decoder(model, adapter=...)        weights are read once; make a new one after an update
    decoder.extend(dialogue_keys, new_ids)            feed what is new, get the logits after each row's last token

Rows sit at different lengths without left padding: a row's keys and values lie in slots 0..length-1 of its own line,
and a query sees the slots up to its own position. What padding writes beyond a row's length is hidden until real tokens
overwrite it.

Shapes: B rows of a call, T tokens of the longest chunk, L slots in use, H heads, D head size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cmat_env.policies.sampling import Sampling, choose, log_distribution, uniforms

Forward = Callable[[torch.Tensor, torch.Tensor, "KVBlock"], torch.Tensor]
OnToken = Callable[[int, int], object]
"""Told the row and the id of each token as it is sampled."""

DROP_WHEN_FINISHED = 0.15
"""Finished rows leave the batch when they are this share of it; dropping copies the cache of the rows that stay."""


@dataclass(slots=True)
class KVBlock:
    """Keys and values of the rows of one call: a list over layers of (B, H, slots, D)."""

    keys: list[torch.Tensor]
    values: list[torch.Tensor]

    def select(self, rows: torch.Tensor) -> KVBlock:
        """The block of some rows, copied."""
        return KVBlock([k.index_select(0, rows) for k in self.keys], [v.index_select(0, rows) for v in self.values])


class KVStore:
    """Keys and values of every dialogue that may speak again, one line each.

    Args:
        layers, heads, head_size: of the model.
        dtype, device: of the cache.
    """

    def __init__(self, *, layers: int, heads: int, head_size: int, dtype: torch.dtype, device: torch.device) -> None:
        self.device = device
        empty = torch.empty((0, heads, 0, head_size), dtype=dtype, device=device)
        self._keys = [empty] * layers
        self._values = [empty] * layers
        self._free: list[int] = []

    def take(self) -> int:
        """A free line."""
        if not self._free:
            lines, slots = self._keys[0].shape[0], self._keys[0].shape[2]
            self._grow(max(32, 2 * lines), slots)
            self._free = list(range(self._keys[0].shape[0] - 1, lines - 1, -1))
        return self._free.pop()

    def give_back(self, line: int) -> None:
        """The line's dialogue is over."""
        self._free.append(line)

    def load(self, lines: torch.Tensor, slots: int) -> KVBlock:
        """Copy some lines out, with room for `slots` slots."""
        if slots > self._keys[0].shape[2]:
            self._grow(self._keys[0].shape[0], max(64, slots * 5 // 4))
        return KVBlock(
            [k[:, :, :slots].index_select(0, lines) for k in self._keys],
            [v[:, :, :slots].index_select(0, lines) for v in self._values],
        )

    def save(self, lines: torch.Tensor, block: KVBlock) -> None:
        """Copy rows back into their lines."""
        for stored, new in zip((*self._keys, *self._values), (*block.keys, *block.values), strict=True):
            stored[:, :, : new.shape[2]].index_copy_(0, lines, new)

    def _grow(self, lines: int, slots: int) -> None:
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                new = old.new_zeros((lines, old.shape[1], slots, old.shape[3]))
                new[: old.shape[0], :, : old.shape[2]] = old
                tensors[layer] = new


@dataclass(frozen=True, slots=True)
class Reply:
    """What was sampled for one row.

    Attributes:
        token_ids: with the end-of-turn token.
        logprobs: of each, in nats.
        values: of the state before each.
        ended: False = it was cut.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    values: tuple[float, ...]
    ended: bool


class Decoder:
    """Samples replies for many dialogues at once.

    Args:
        forward: (ids (B, T), positions (B, T), block) -> hidden states (B, T, width); writes the block.
        head: hidden states (B, width) -> logits (B, V).
        value: hidden states (B, width) -> what they promise (B,).
        store: where keys and values stay between turns.
    """

    def __init__(
        self,
        forward: Forward,
        head: Callable[[torch.Tensor], torch.Tensor],
        value: Callable[[torch.Tensor], torch.Tensor],
        store: KVStore,
    ) -> None:
        self._forward = forward
        self._head = head
        self._value = value
        self.store = store

    @torch.inference_mode()
    def reply(
        self,
        chunks: Sequence[Sequence[int]],
        lines: Sequence[int],
        cached: Sequence[int],
        keys: Sequence[int],
        *,
        sampling: Sampling,
        end_ids: Collection[int],
        context: int,
        on_token: OnToken | None = None,
    ) -> list[Reply]:
        """Feed each row's new tokens and sample its reply.

        Args:
            chunks: token ids of each row that are not cached yet; at least one each.
            lines: the row's line in the store.
            cached: how many of the row's tokens are in the store.
            keys: the row's random stream.
            sampling: the distribution.
            end_ids: tokens that end a reply.
            context: longest dialogue of the model; a reply that reaches it is cut.
            on_token: told each token as it is sampled.

        Returns:
            One Reply a row. All but the last token of each reply is in the store afterwards.
        """
        device = self.store.device
        lengths = torch.tensor([done + len(chunk) for done, chunk in zip(cached, chunks, strict=True)])
        limit = (context - lengths).clamp(min=0, max=sampling.max_new_tokens).tolist()
        rows = torch.tensor(lines, device=device)
        block = self.store.load(rows, int(lengths.max()) + max(limit))
        hidden = self._prefill(chunks, cached, block)
        streams = np.array(keys, dtype=np.uint64)
        owner = np.arange(len(chunks))
        ids: list[list[int]] = [[] for _ in chunks]
        logprobs: list[list[float]] = [[] for _ in chunks]
        values: list[list[float]] = [[] for _ in chunks]
        ended = [False] * len(chunks)
        alive = np.array(limit) > 0
        position = lengths.to(device)
        for step in range(sampling.max_new_tokens):
            distribution = log_distribution(self._head(hidden), sampling)
            token = choose(distribution, uniforms(streams, step).to(device), greedy=sampling.greedy)
            chosen = distribution.gather(-1, token.unsqueeze(-1)).squeeze(-1).tolist()
            promised = self._value(hidden).tolist()
            for row, (token_id, logprob, value) in enumerate(zip(token.tolist(), chosen, promised, strict=True)):
                if not alive[row]:
                    continue
                who = owner[row]
                ids[who].append(token_id)
                if on_token is not None:
                    on_token(int(who), token_id)
                logprobs[who].append(logprob)
                values[who].append(value)
                ended[who] = token_id in end_ids
                alive[row] = not ended[who] and len(ids[who]) < limit[who]
            if not alive.any():
                break
            if alive.mean() <= 1 - DROP_WHEN_FINISHED:
                self.store.save(rows, block)
                keep = torch.from_numpy(np.flatnonzero(alive)).to(device)
                block, rows, token, position = block.select(keep), rows[keep], token[keep], position[keep]
                owner, streams, alive = owner[alive], streams[alive], alive[alive]
            hidden = self._forward(token.unsqueeze(-1), position.unsqueeze(-1), block)[:, -1]
            position = position + torch.from_numpy(alive).to(device)
        self.store.save(rows, block)
        columns = zip(ids, logprobs, values, ended, strict=True)
        return [Reply(tuple(i), tuple(p), tuple(v), e) for i, p, v, e in columns]

    def _prefill(self, chunks: Sequence[Sequence[int]], cached: Sequence[int], block: KVBlock) -> torch.Tensor:
        """(B, width) hidden state of each row's last new token."""
        device = block.keys[0].device
        width = max(map(len, chunks))
        ids = torch.zeros((len(chunks), width), dtype=torch.long)
        for row, chunk in enumerate(chunks):
            ids[row, : len(chunk)] = torch.tensor(chunk)
        positions = torch.tensor(cached).unsqueeze(-1) + torch.arange(width)
        last = torch.tensor([len(chunk) - 1 for chunk in chunks], device=device)
        slots = block.keys[0].shape[2]
        hidden = self._forward(ids.to(device), positions.clamp(max=slots - 1).to(device), block)
        return hidden[torch.arange(len(chunks), device=device), last]
