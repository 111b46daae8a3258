"""`Closing`: what is held is let go at the end of a `with`."""

from __future__ import annotations

import pytest

from cmat_env.closing import Closing


class Held(Closing):
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        """Count."""
        self.closed += 1


def test_it_is_closed_however_the_block_ends() -> None:
    """Once, also after an error, which goes on."""
    held = Held()
    with held as inside:
        assert inside is held
        assert 0 == held.closed
    assert 1 == held.closed
    with pytest.raises(ValueError, match="inside"), held:
        raise ValueError("inside")
    assert 2 == held.closed
