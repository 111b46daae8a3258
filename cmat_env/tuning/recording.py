"""Some training episodes kept in the run folder, with what the update made of every token: `cmat replay --tokens`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from cmat_env.credit import TokenCredit
from cmat_env.log import EpisodeWriter
from cmat_env.tuning.config import RunSettings
from cmat_env.tuning.folder import TRAINING, base_of
from cmat_env.tuning.rows import RoleBatch, Row, pack, scatter
from cmat_env.tuning.team import made_with
from cmat_env.tuning.tuner import Tuner
from cmat_env.types import Trajectory

EPISODES = 8
"""How many of an iteration are recorded."""


def record(folder: Path, tuner: Tuner, trajectories: Sequence[Trajectory], settings: RunSettings) -> None:
    """Append the first episodes of the update just made, if it is the turn of this iteration.

    Args:
        folder: of the run.
        tuner: after the update.
        trajectories: that it was made from.
        settings: of the run.
    """
    done = tuner.iteration
    if not settings.record_every or ((done - 1) % settings.record_every and done != settings.iterations):
        return
    with EpisodeWriter(
        folder / TRAINING,
        policies=settings.team.policies(f"hf:{base_of(settings, folder)}"),
        settings=made_with(settings, settings.task.train),
        notes={
            "iteration": done,
            "algorithm": settings.tuner.algorithm,
            "seed": settings.seed,
            "greedy": False,
        },
    ) as log:
        for episode, credit in enumerate(credit_of(tuner, trajectories, range(min(EPISODES, len(trajectories))))):
            log.write(trajectories[episode], credit=credit)


def credit_of(
    tuner: Tuner, trajectories: Sequence[Trajectory], which: Sequence[int]
) -> list[Mapping[int, TokenCredit]]:
    """For some episodes of the latest update: by step index, the credit of the reply's tokens."""
    found: list[dict[int, TokenCredit]] = [{} for _ in which]
    for role, (batch, credit, rows) in tuner.latest.items():
        ratios = _ratios(tuner, role, batch, set(which))
        kept = {row.episode for row in rows}
        for place, episode in enumerate(which):
            advantages = credit.advantages[episode]
            learned = torch.full_like(advantages, episode in kept, dtype=torch.bool)
            if tuner.settings[role].algorithm == "filtered_bc":
                learned &= advantages != 0
            for index, start, end in _replies(trajectories[episode], role):
                columns = (advantages, ratios[episode], learned)
                found[place][index] = TokenCredit(*(tuple(column[start:end].tolist()) for column in columns))
    return list(found)


def _replies(trajectory: Trajectory, role: str) -> Iterator[tuple[int, int, int]]:
    """(step index, start, end) of each reply in the episode's sequence of action tokens."""
    start = 0
    for step in trajectory.steps:
        if step.role == role and step.generation.token_ids:
            end = start + len(step.generation.token_ids)
            yield step.index, start, end
            start = end


@torch.no_grad()
def _ratios(tuner: Tuner, role: str, batch: RoleBatch, episodes: set[int]) -> torch.Tensor:
    """(E, A) probability of each token now, over that under which it was sampled; 1 where it was not asked for."""
    rows: list[Row] = [row for row in batch.rows if row.episode in episodes]
    now = batch.logprobs.clone()
    if rows:
        tokens, order = pack(rows, width=tuner.settings[role].line_width, device=tuner.policy.weights.device)
        scatter(tuner.policy.evaluate(tokens, role).logprobs.to(now), now, rows, order)
    return (now - batch.logprobs).exp()
