"""System prompts by style."""

from __future__ import annotations

import pytest

from cmat_env.agents.parsing import parse_verdict
from cmat_env.agents.prompts import PAPER, STYLES, prompts_of
from cmat_env.collab import ROLES
from cmat_env.errors import ConfigError


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_style_speaks_to_known_roles_only(style: str) -> None:
    """A prompt for a role that no team has would never be read."""
    assert set(prompts_of(style)) <= set(ROLES)


def test_the_paper_style_speaks_to_every_role() -> None:
    """And the assistant alone is shown the task's own instructions."""
    assert set(ROLES) == set(PAPER)
    assert ["assistant"] == [role for role, prompt in PAPER.items() if "{instructions}" in prompt]


def test_the_checker_is_told_verdicts_that_are_understood() -> None:
    """What the prompt quotes is what the parser reads."""
    quoted = PAPER["checker"].split("`")[1::2]

    assert [True, False] == [parse_verdict(text).approve for text in quoted]
    assert all(parse_verdict(text).parsed for text in quoted)


def test_an_unknown_style_gets_the_nearest() -> None:
    """As every unknown name does."""
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        prompts_of("papers")
