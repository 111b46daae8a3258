"""Supervised warm start: imitate demonstrations, with loss on the role's own tokens only."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cmat_env.errors import ConfigError
from cmat_env.tuning.rows import Row, pack
from cmat_env.tuning.settings import SFTSettings
from cmat_env.types import Dialogue, TunablePolicy


class Imitation:
    """Trains the shared base of a policy on tokenised dialogues of any roles, a step at a time.

    Args:
        policy: with shared weights (`AdapterSettings(kind="shared")`).
        dialogues: with token ids; see `HFPolicy.tokenize`.
        settings: how.
        seed: of the order of dialogues.

    Attributes:
        losses: of each step done, in nats a token.

    Raises:
        ConfigError: none of the dialogues has a reply.
    """

    def __init__(
        self, policy: TunablePolicy, dialogues: Sequence[Dialogue], settings: SFTSettings, *, seed: int
    ) -> None:
        self._rows = [
            Row(index, np.array(d.token_ids, dtype=np.int64), np.array(d.action_mask), 0)
            for index, d in enumerate(dialogues)
            if any(d.action_mask)
        ]
        if not self._rows:
            raise ConfigError("none of the demonstrations has a reply to learn from")
        self._policy = policy
        self._settings = settings
        self._role = policy.weights.roles[0]
        self._parameters = policy.weights.policy_parameters(self._role)
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._rng = np.random.default_rng(seed)
        self._queue: list[int] = []
        self.losses: list[float] = []

    def step(self) -> float:
        """One optimiser step; returns its loss."""
        settings, rows = self._settings, self._rows
        while len(self._queue) < settings.batch:
            self._queue.extend(self._rng.permutation(len(rows)).tolist())
        part, self._queue = self._queue[: settings.batch], self._queue[settings.batch :]
        device = self._policy.weights.device
        tokens, _ = pack([rows[i] for i in part], width=settings.line_width, device=device)
        loss = -self._policy.evaluate(tokens, self._role).logprobs.mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, settings.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * schedule(len(self.losses), settings)
        self._optimizer.step()
        self._policy.weights_changed()
        self.losses.append(float(loss.detach()))
        return self.losses[-1]

    def finish(self, on_step: Callable[[int, float], None] | None = None) -> float:
        """Do the steps that are left.

        Args:
            on_step: called with the number of each and its loss, the step being done.

        Returns:
            the mean loss of the last tenth of all steps, in nats a token.
        """
        for step in range(len(self.losses), self._settings.steps):
            loss = self.step()
            if on_step:
                on_step(step, loss)
        tail = self.losses[-max(1, self._settings.steps // 10) :]
        return sum(tail) / len(tail)

    def state_dict(self) -> dict[str, Any]:
        """A copy of weights, optimiser and position among the dialogues, and what all of it is for."""
        return {
            "purpose": self._purpose(),
            "losses": list(self.losses),
            "queue": list(self._queue),
            "rng": self._rng.bit_generator.state,
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "parameters": [parameter.detach().clone() for parameter in self._parameters],
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`.

        Raises:
            ValueError: settings, dialogues or the model's size are others.
        """
        if state["purpose"] != self._purpose():
            raise ValueError("settings, demonstrations or the size of the model are other than they were")
        for parameter, value in zip(self._parameters, state["parameters"], strict=True):
            parameter.copy_(value)
        self._policy.weights_changed()
        self._optimizer.load_state_dict(state["optimizer"])
        self._rng.bit_generator.state = state["rng"]
        self._queue, self.losses = list(state["queue"]), list(state["losses"])

    def _purpose(self) -> str:
        """SHA-256 of what is to be learned, how, and by how large a model."""
        digest = hashlib.sha256(repr((self._settings, [tuple(p.shape) for p in self._parameters])).encode())
        for row in self._rows:
            digest.update(row.token_ids.tobytes() + row.action_mask.tobytes())
        return digest.hexdigest()


def schedule(step: int, settings: SFTSettings) -> float:
    """The share of the peak learning rate at a step: linear warm-up, then a cosine to one tenth."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))
