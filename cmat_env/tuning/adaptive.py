"""Coefficients that follow what is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class AdaptiveKL:
    """The weight of the KL penalty, steered so that the divergence from the frozen base stays near a target.

    Source: Ziegler et al. 2019, arXiv:1909.08593, section 2.2 (proportional control, error clipped to 20 %).

    Attributes:
        beta: the weight now.
        target: KL a token, in nats.
        gain: share of the clipped relative error that beta moves by, an iteration; 0 keeps beta.
    """

    beta: float
    target: float
    gain: float = 0.5

    def update(self, kl: float) -> None:
        """Move beta after an iteration whose mean KL a token was `kl` nats."""
        error = min(0.2, max(-0.2, kl / self.target - 1))
        self.beta *= 1 + self.gain * error
