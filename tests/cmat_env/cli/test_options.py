"""Teams and settings as words of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cmat_env.cli.options import Rules, rules_of, settings_of, team_of
from cmat_env.errors import ConfigError


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


def test_a_trained_model_plays_by_the_rules_of_its_run(tmp_path: Path) -> None:
    """Prompts, revisions and dry run come from the config.toml beside the model; flags go first."""
    (tmp_path / "config.toml").write_text('seed = 1\n[team]\nprompts = "names"\nmax_revisions = 2\nmemory = 0\n')
    team = {"user": "echo", "assistant": f"hf:{tmp_path}/final", "checker": f"hf:{tmp_path}/final@checker"}
    learned = Rules("names", max_revisions=2, dry_run=False)

    assert learned == rules_of(team)
    assert learned == rules_of({"checker": team["checker"]})
    assert Rules("paper") == rules_of({"assistant": "gold", "checker": "hf:elsewhere/model"})
    assert Rules("names", max_revisions=0, dry_run=False) == learned.but(max_revisions=0, dry_run=None)


@pytest.mark.parametrize("content", ["team = 3", "[team", "\udcff"])
def test_a_broken_configuration_is_named(tmp_path: Path, content: str) -> None:
    """The file, and that it is no run's."""
    (tmp_path / "config.toml").write_text(content, errors="surrogateescape")
    with pytest.raises(ConfigError, match=r"config\.toml is not the configuration of a run"):
        rules_of({"assistant": f"hf:{tmp_path}"})
