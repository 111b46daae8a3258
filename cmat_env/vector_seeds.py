"""Which seed an episode of a vectorised environment has: by the seed of the run and its own index, by nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmat_env.errors import ConfigError

SEEDS_APART = 1_000_000
"""Runs of neighbouring seeds share no episode, unless they have more than this."""


class Seeds:
    """The seeds of one run, or of a run a slot.

    Args:
        num_envs: slots; slot i plays the episodes i, i + num_envs, i + 2 num_envs, ...
    """

    def __init__(self, num_envs: int) -> None:
        self._num_envs = num_envs
        self._run: int | None = None
        self._bases: list[int] | None = None

    def take(self, seed: int | Sequence[int | None] | None) -> None:
        """Begin another run.

        Args:
            seed: of the run; a list has the seed of each slot's own run; None = go on, or draw one if none was given.

        Raises:
            ConfigError: a list of another length, or with None in it.
        """
        if seed is None:
            if self._run is None and self._bases is None:
                self._run = int(np.random.SeedSequence().generate_state(1)[0])
        elif isinstance(seed, int | np.integer):
            self._run, self._bases = int(seed), None
        elif len(seed) != self._num_envs or any(each is None for each in seed):
            raise ConfigError(f"seed={seed!r}: wanted an int, or {self._num_envs} of them")
        else:
            self._bases = [int(each) for each in seed if each is not None]

    def of(self, slot: int, index: int) -> int:
        """The seed of an episode, by the slot that plays it and its index in the run."""
        if self._bases is None:
            assert self._run is not None
            return self._run * SEEDS_APART + index
        turn = index // self._num_envs
        if turn == 0:
            return self._bases[slot]
        return int(np.random.SeedSequence([self._bases[slot], turn]).generate_state(1)[0])
