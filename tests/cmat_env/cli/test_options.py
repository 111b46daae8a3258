"""Teams and settings as words of the command line."""

from __future__ import annotations

from typing import Any

import pytest

from cmat_env.cli.options import settings_of, team_of


@pytest.mark.parametrize(
    ("roles", "given", "team"),
    [
        (None, {"assistant": "gold"}, {"assistant": "gold"}),
        ("assistant", {"assistant": "gold"}, {"assistant": "gold"}),
        ("assistant, checker", {"assistant": "gold"}, {"assistant": "gold", "checker": "approve"}),
        ("checker,user,assistant", {"assistant": "x:y"}, {"user": "echo", "assistant": "x:y", "checker": "approve"}),
        (None, {"assistant": "gold", "checker": "oracle"}, {"assistant": "gold", "checker": "oracle"}),
    ],
)
def test_a_team_is_the_roles_that_are_named(
    roles: str | None, given: dict[str, str | None], team: dict[str, str]
) -> None:
    """By --roles, or else by the policies; the user repeats the task and the checker approves by default."""
    assert team == team_of(roles, given)


@pytest.mark.parametrize(
    ("assignment", "value"),
    [("a=1", 1), ("a=1.5", 1.5), ("a=true", True), ("a=True", True), ("a=None", None), ("a=null", None),
     ("a=x=y", "x=y"), ("a=", ""), ("a = strict", " strict"), ('a="1"', "1"), ("a=[1, 2]", [1, 2]), ("a=01", "01")],
)  # fmt: skip
def test_a_setting_is_json_or_else_a_word(assignment: str, value: Any) -> None:
    """Numbers, truth values and lists are read; anything else is taken as written."""
    assert {"a": value} == settings_of([assignment])
