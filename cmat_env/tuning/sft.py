"""Supervised warm start: imitate demonstrations, with loss on the role's own tokens only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from cmat_env.errors import ConfigError
from cmat_env.tuning.rows import Row, pack
from cmat_env.tuning.settings import SFTSettings
from cmat_env.types import Dialogue, TunablePolicy


def fit(
    policy: TunablePolicy,
    dialogues: Sequence[Dialogue],
    settings: SFTSettings,
    *,
    seed: int,
    on_step: Callable[[int, float], None] | None = None,
) -> float:
    """Train the shared base of a policy on tokenised dialogues of any roles.

    Args:
        policy: with shared weights (`AdapterSettings(kind="shared")`).
        dialogues: with token ids; see `HFPolicy.tokenize`.
        settings: how.
        seed: of the order of dialogues.
        on_step: called with the step and its loss.

    Returns:
        the mean loss of the last tenth of the steps, in nats a token.
    """
    rows = [
        Row(index, np.array(d.token_ids, dtype=np.int64), np.array(d.action_mask), 0)
        for index, d in enumerate(dialogues)
        if any(d.action_mask)
    ]
    if not rows:
        raise ConfigError("none of the demonstrations has a reply to learn from")
    role = policy.weights.roles[0]
    parameters = policy.weights.policy_parameters(role)
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay, fused=True
    )
    rng = np.random.default_rng(seed)
    queue: list[int] = []
    recent: list[float] = []
    device = policy.weights.device
    for step in range(settings.steps):
        while len(queue) < settings.batch:
            queue.extend(rng.permutation(len(rows)).tolist())
        part, queue = queue[: settings.batch], queue[settings.batch :]
        tokens, _ = pack([rows[i] for i in part], width=settings.line_width, device=device)
        loss = -policy.evaluate(tokens, role).logprobs.mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, settings)
        optimizer.step()
        recent.append(float(loss.detach()))
        if on_step:
            on_step(step, recent[-1])
    policy.weights_changed()
    tail = recent[-max(1, settings.steps // 10) :]
    return sum(tail) / len(tail)


def schedule(step: int, settings: SFTSettings) -> float:
    """The share of the peak learning rate at a step: linear warm-up, then a cosine to one tenth."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))
