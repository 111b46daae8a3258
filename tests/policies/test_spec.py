"""Policy specifications: every word of the command line, and every way to get one wrong."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from cmat_env.errors import CmatError, ConfigError, UnknownNameError
from cmat_env.policies import scripted
from cmat_env.policies.human import HumanPolicy
from cmat_env.policies.spec import names, parse_spec


@pytest.mark.parametrize(
    ("spec", "role", "kind"),
    [
        ("gold", "assistant", scripted.GoldPolicy),
        ("demonstrator", "assistant", scripted.DemonstratorPolicy),
        ("oracle", "checker", scripted.OracleChecker),
        ("random", "assistant", scripted.RandomPolicy),
        ("echo", "user", scripted.EchoPolicy),
        ("human", "assistant", HumanPolicy),
        ("approve", "checker", scripted.ApprovePolicy),
        ("coin:0.3", "checker", scripted.CoinPolicy),
        (" gold ", "assistant", scripted.GoldPolicy),
        ("cmat_env.policies.scripted:RandomPolicy", "assistant", scripted.RandomPolicy),
    ],
)
def test_each_specification_gives_its_policy(spec: str, role: str, kind: type) -> None:
    """The word decides the class."""
    assert isinstance(parse_spec(spec, role=role), kind)


def test_a_coin_takes_its_probability() -> None:
    """What stands behind the colon is the chance of a revision."""
    policy = parse_spec("coin:0.25", role="checker")

    assert isinstance(policy, scripted.CoinPolicy)
    assert 0.25 == policy.p_revise


@pytest.mark.parametrize(
    ("spec", "role", "error", "words"),
    [
        ("golt", "assistant", UnknownNameError, "did you mean 'gold'"),
        ("", "assistant", UnknownNameError, "known: "),
        ("gold:x", "assistant", ConfigError, "takes no argument"),
        ("coin", "checker", ConfigError, "such as coin:0.3"),
        ("coin:much", "checker", ConfigError, "such as coin:0.3"),
        ("coin:2", "checker", ConfigError, "from 0 to 1"),
        ("approve", "assistant", ConfigError, "is a checker"),
        ("hf", "assistant", ConfigError, "model folder"),
        ("hf:", "assistant", ConfigError, "model folder"),
        ("coins:0.3", "checker", UnknownNameError, "did you mean 'coin'"),
        ("no_such_module:Policy", "assistant", UnknownNameError, "no_such_module"),
        ("cmat_env.policies.scripted:GoldPolicies", "assistant", UnknownNameError, "did you mean 'GoldPolicy'"),
        ("cmat_env.policies.scripted:", "assistant", UnknownNameError, "no ''"),
        ("cmat_env.policies.scripted:APPROVE", "assistant", ConfigError, "str without generate"),
        (".:x", "assistant", UnknownNameError, "neither"),
        ("sb4:runs/x", "assistant", UnknownNameError, "did you mean 'sb3'"),
    ],
)
def test_a_wrong_specification_says_what_was_wanted(spec: str, role: str, error: type[CmatError], words: str) -> None:
    """One line that names the nearest or the right form."""
    with pytest.raises(error) as caught:
        parse_spec(spec, role=role)

    assert words in str(caught.value)


def test_a_plug_in_that_is_called_like_one_of_ours_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is the one that plays, so it is the one that is shown; others come behind, once each."""
    found = [
        EntryPoint(name, "json:dumps", "cmat_env.policies") for name in ("gold", "sb3", "clever", "clever", "module")
    ]
    monkeypatch.setitem(names.__globals__, "entry_points", lambda group: found)

    assert isinstance(parse_spec("gold", role="assistant"), scripted.GoldPolicy)
    assert len(names()) == len(set(names()))
    assert ("sb3:PATH", "module:attribute", "clever", "module") == names()[-4:]


def test_an_instance_or_a_factory_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ready policy is taken as it is; a function is called; what is missing inside the module is reported."""
    (tmp_path / "my_policies.py").write_text(
        "from cmat_env.policies.scripted import EchoPolicy\nready = EchoPolicy()\ndef make():\n    return ready\n"
    )
    (tmp_path / "my_broken.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    ready = parse_spec("my_policies:ready", role="user")

    assert ready is parse_spec("my_policies:make", role="user")
    with pytest.raises(ConfigError, match="importing my_broken failed: No module named 'a_package_that_is_not_there'"):
        parse_spec("my_broken:x", role="user")
    sys.modules.pop("my_policies")


def test_a_plug_in_that_does_not_load_is_reported_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where policies are listed it is a warning; who asks for it reads why it fails."""
    points = [
        EntryPoint("broken", "nomod:X", "cmat_env.policies"),
        EntryPoint("mine", "cmat_env.policies.scripted:EchoPolicy", "cmat_env.policies"),
    ]
    monkeypatch.setitem(names.__globals__, "entry_points", lambda group: points)
    with pytest.warns(UserWarning, match=r"plug-in broken = 'nomod:X' of cmat_env.policies failed: .*nomod"):
        listed = names()

    assert ("mine", False) == (listed[-1], "broken" in listed)
    assert isinstance(parse_spec("mine", role="user"), scripted.EchoPolicy)
    with pytest.raises(ConfigError, match=r"policy 'broken': the plug-in 'nomod:X' .* does not load \(No module"):
        parse_spec("broken", role="user")
