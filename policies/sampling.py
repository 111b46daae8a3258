"""How a token policy turns logits into a token: temperature, top-k, top-p, and one random number a token.

The random number depends on (run seed, dialogue seed, role, turn, token position) alone, so that what is sampled does
not depend on which other dialogues share the batch.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from cmat_env.errors import ConfigError

_MASK = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling distribution of a token policy.

    Attributes:
        temperature: divides the logits; 1 = the model's own distribution.
        top_k: keep the k most probable tokens; 0 = all.
        top_p: keep the smallest set of tokens whose probability reaches p, counted after top_k as elsewhere; 1 = all.
        greedy: take the most probable token instead of sampling.
        max_new_tokens: longest reply, in tokens.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    greedy: bool = False
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature={self.temperature} must be above 0; for the most probable token set greedy")
        if self.top_k < 0:
            raise ConfigError(f"top_k={self.top_k} must be 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p={self.top_p} must be in (0, 1]")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens={self.max_new_tokens} must be at least 1")


def log_distribution(logits: torch.Tensor, sampling: Sampling, chosen: torch.Tensor | None = None) -> torch.Tensor:
    """Log-probabilities of the sampling distribution.

    Args:
        logits: (B, V) of the model.
        sampling: temperature and cut-offs; greedy is ignored, so that a greedy token has its sampled probability.
        chosen: (B,) tokens that stay in the distribution whatever the cut-offs say. A token that was inside the cut
            when it was sampled may have left it since the weights moved; without this its ratio would be 0 or NaN.

    Returns:
        (B, V) natural logarithms; -inf where a token is cut off.
    """
    scaled = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    if sampling.temperature != 1.0:
        scaled = scaled / sampling.temperature
    keep = _kept(scaled, sampling)
    if keep is not None:
        if chosen is not None:
            keep = keep.scatter(-1, chosen.unsqueeze(-1), True)
        scaled = scaled.masked_fill(~keep, float("-inf"))
    return torch.log_softmax(scaled, dim=-1)


def _kept(scaled: torch.Tensor, sampling: Sampling) -> torch.Tensor | None:
    """(B, V) True = inside top-k and top-p; None where nothing is cut."""
    keep: torch.Tensor | None = None
    if 0 < sampling.top_k < scaled.shape[-1]:
        threshold = scaled.topk(sampling.top_k, dim=-1).values[..., -1:]
        keep = scaled >= threshold
        scaled = scaled.masked_fill(~keep, float("-inf"))
    if sampling.top_p < 1.0:
        ordered, order = scaled.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities
        nucleus = torch.zeros_like(scaled, dtype=torch.bool).scatter(-1, order, before < sampling.top_p)
        keep = nucleus if keep is None else keep & nucleus
    return keep


def choose(logprobs: torch.Tensor, uniform: torch.Tensor, *, greedy: bool) -> torch.Tensor:
    """(B,) one token a row, by inverse transform of (B,) uniforms in [0, 1), or the most probable one."""
    if greedy:
        return logprobs.argmax(dim=-1)
    cumulative = logprobs.double().exp().cumsum(dim=-1)
    target = uniform.unsqueeze(-1) * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    return chosen.clamp_(max=logprobs.shape[-1] - 1)


def stream(seed: int, dialogue_seed: int, role: str, turn: int) -> int:
    """The 64-bit key of one reply's random numbers."""
    key = 0
    for part in (seed, dialogue_seed, zlib.crc32(role.encode()), turn):
        key = _mix_one((key ^ (part & _MASK)) + 0x9E3779B97F4A7C15)
    return key


def uniforms(keys: npt.NDArray[np.uint64], position: int) -> torch.Tensor:
    """(B,) float64 in [0, 1): the random numbers of token `position` for replies with these keys.

    Source: the splitmix64 finaliser, Steele, Lea and Flood 2014, doi:10.1145/2714064.2660195.
    """
    step = np.uint64((position + 1) * 0x9E3779B97F4A7C15 & _MASK)
    mixed = keys + step
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return torch.from_numpy((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix_one(value: int) -> int:
    value &= _MASK
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)
