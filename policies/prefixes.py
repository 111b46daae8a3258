"""Rows that begin alike, such as the samples of one task, are the same tokens in the same context until they part.

What depends on a token and its context alone then needs to be computed once.

Shapes: B rows, T tokens, U distinct tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Distinct:
    """The tokens that have to be computed.

    Attributes:
        source: (U,) where each stands among the B * T.
        place: (B * T,) which of the U each token is; any for tokens that nobody needs.
        shape: (B, T).
    """

    source: torch.Tensor
    place: torch.Tensor
    shape: torch.Size

    def gather(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) -> (1, U, ...)."""
        return tokens.flatten(0, 1).index_select(0, self.source).unsqueeze(0)

    def spread(self, tokens: torch.Tensor) -> torch.Tensor:
        """The inverse, (1, U, ...) -> (B, T, ...)."""
        rows: torch.Tensor = tokens.squeeze(0).index_select(0, self.place).unflatten(0, self.shape)
        return rows


def distinct(
    ids: torch.Tensor, positions: torch.Tensor, begins: torch.Tensor, needed: torch.Tensor | None = None
) -> Distinct:
    """Find the beginnings that rows have in common, wherever these rows stand.

    Args:
        ids: (B, T).
        positions: (B, T).
        begins: (B, T) True = nothing but the earlier tokens of this row stands before it.
        needed: (B, T) True = it has to be computed; None = all of them.
    """
    rows, width = ids.shape
    ids = ids.masked_fill(~begins, -1)
    order = torch.tensor(sorted(range(rows), key=ids.tolist().__getitem__), device=ids.device)
    ids, positions = ids[order], positions[order]
    same = (ids[1:] == ids[:-1]) & (positions[1:] == positions[:-1]) & (ids[1:] >= 0)
    alike = functional.pad(same.cumprod(1).bool(), (0, 0, 1, 0))  # to the row above, up to here
    first = torch.arange(rows, device=ids.device).unsqueeze(-1).masked_fill(alike, 0).cummax(0).values
    stands_for = torch.empty_like(first)
    stands_for[order] = order[first] * width + torch.arange(width, device=ids.device)
    source = (stands_for if needed is None else stands_for[needed]).unique()
    place = torch.searchsorted(source, stands_for.flatten()).clamp(max=len(source) - 1)
    return Distinct(source, place, stands_for.shape)
