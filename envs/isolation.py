"""Other people's code that draws from the global random state: it gets a state of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_MASK = (1 << 32) - 1


class OwnRandom:
    """The state of `random` and `numpy.random` for one instance of a game.

    Not safe where several threads of a process draw from the global state at the same time.

    Args:
        seed: where it begins.
    """

    def __init__(self, seed: int) -> None:
        self._states: tuple[Any, Any] = (
            random.Random(seed).getstate(),
            np.random.RandomState(seed & _MASK).get_state(),
        )

    @contextmanager
    def used(self) -> Iterator[None]:
        """Run the body with this state as the global one, and keep where it gets to."""
        kept = random.getstate(), np.random.get_state()
        random.setstate(self._states[0])
        np.random.set_state(self._states[1])
        try:
            yield
        finally:
            self._states = random.getstate(), np.random.get_state()
            random.setstate(kept[0])
            np.random.set_state(kept[1])
