"""Environments by name: ours, a plug-in's, near misses, and the registries of Gymnasium and PettingZoo."""

from __future__ import annotations

import importlib.metadata
import json
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import pettingzoo
import pytest

import cmat_env
from cmat_env import registry
from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError, MissingExtraError, UnknownNameError
from cmat_env.extras import missing_package
from cmat_env.views import ParallelCollab

GUESS = "test/Guess-v0"


@pytest.fixture
def guess(guess_task: Any) -> Iterator[str]:
    """The tiny task under a name of its own."""
    cmat_env.register(GUESS, guess_task, highest=8)
    yield GUESS
    for table in (registry._registry, gymnasium.registry, pettingzoo.aec_registry, pettingzoo.parallel_registry):
        table.pop(GUESS, None)


def test_a_registered_task_is_made_by_name(guess: str) -> None:
    """Team, bare task and Parallel view, with the registration's settings unless the caller has others."""
    team = cmat_env.make(guess, roles=("assistant",), max_revisions=2)

    assert (("assistant",), 2, guess) == (team.roles, team.team.max_revisions, team.env_id)
    assert 8 == team.task.highest  # type: ignore[attr-defined]
    assert 4 == cmat_env.make_task(guess, highest=4).highest
    assert 4 == cmat_env.make(guess, highest=4).task.highest  # type: ignore[attr-defined]
    assert isinstance(cmat_env.parallel_env(guess, roles=("assistant",)), ParallelCollab)
    assert guess in cmat_env.list_envs()
    assert "cmat/DB-v0" in cmat_env.list_envs()


def test_gymnasium_makes_the_bare_task(guess: str, guess_task: Any) -> None:
    """`gymnasium.make` knows the same names and settings."""
    task: Any = gymnasium.make(guess, max_rounds=3)

    assert isinstance(task.unwrapped, guess_task)
    assert (8, 3) == (task.unwrapped.highest, task.unwrapped.max_rounds)
    assert isinstance(gymnasium.make(task.spec).unwrapped, guess_task)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("id", [GUESS, "cmat/DB-v0"])
def test_gymnasium_makes_copies(guess: str, id: str, mode: str) -> None:
    """`gymnasium.make_vec` takes our ids; text needs shared_memory=False there (docs/vector.md)."""
    settings = {"shared_memory": False} if mode == "async" else {}
    envs = gymnasium.make_vec(id, num_envs=2, vectorization_mode=mode, vector_kwargs=settings)
    observations, infos = envs.reset(seed=0)
    envs.close()

    assert 2 == len(observations) == len(infos["task_id"])
    assert [cmat_env.make_task(id).reset(seed=seed)[0] for seed in (0, 1)] == list(observations)


def test_a_wrapped_task_will_do_for_a_team(guess: str) -> None:
    """What `gymnasium.make` returns can be judged and forked where its wrappers allow it."""
    env = CollabEnv(gymnasium.make(guess), roles=("assistant", "checker"))
    env.reset(seed=0, options={"task": 5})
    env.step("5")
    env.step("approve")

    assert ["verdict", "task", "team"] == [entry.reason for entry in env.ledger.entries]


@pytest.mark.skipif(not hasattr(pettingzoo, "register"), reason="this PettingZoo has no registries")
def test_pettingzoo_makes_both_kinds_of_team(guess: str) -> None:
    """`pettingzoo.make` knows the same names and settings."""
    team = pettingzoo.make("aec", guess, roles=("assistant", "checker"), highest=4)

    assert isinstance(team, CollabEnv)
    assert 4 == team.task.highest  # type: ignore[attr-defined]
    assert isinstance(pettingzoo.make("parallel", guess), ParallelCollab)


def test_an_old_pettingzoo_is_tolerated(guess_task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without registries there, ours still works."""
    monkeypatch.delattr(pettingzoo, "register", raising=False)
    monkeypatch.setattr(registry, "_registry", {})
    cmat_env.register("test/Old-v0", guess_task)
    gymnasium.registry.pop("test/Old-v0")

    assert ["test/Old-v0"] == list(registry._registry)


@pytest.mark.parametrize("make", [cmat_env.make, cmat_env.make_task, cmat_env.parallel_env, cmat_env.spec])
def test_an_unknown_name_brings_the_nearest(make: Any) -> None:
    """A typing mistake costs one look at the message."""
    with pytest.raises(UnknownNameError, match=r"no environment is called 'cmat/BD-v0'; did you mean 'cmat/DB-v0'\?"):
        make("cmat/BD-v0")


def test_an_id_of_gymnasiums_own_says_how_a_team_is_made(guess_task: Any) -> None:
    """Registered there and not here."""
    gymnasium.register("other/Guess-v0", entry_point=guess_task)
    try:
        with pytest.raises(UnknownNameError, match=r"cmat_env\.CollabEnv\(gymnasium\.make\('other/Guess-v0'\)\)"):
            cmat_env.make("other/Guess-v0")
        assert CollabEnv(gymnasium.make("other/Guess-v0"))
    finally:
        gymnasium.registry.pop("other/Guess-v0")


@pytest.mark.parametrize("make", [cmat_env.make, cmat_env.make_task, cmat_env.spec])
def test_a_board_game_says_how_it_is_made(make: Any) -> None:
    """`cmat eval` takes its id; it has two players, and is no team."""
    with pytest.raises(UnknownNameError, match=r"use cmat_env\.game\.GameEnv\('connect_four'\)"):
        make("pettingzoo/connect_four")


def test_an_unknown_setting_brings_the_nearest(guess: str) -> None:
    """Of the task's settings and the team's, by whichever way it is made."""
    with pytest.raises(ConfigError, match=r"test/Guess-v0 has no setting 'higest'; did you mean 'highest'\?"):
        cmat_env.make(guess, higest=4)
    with pytest.raises(ConfigError, match=r"did you mean 'max_revisions'\?"):
        cmat_env.make(guess, max_revision=4)
    with pytest.raises(ConfigError, match=r"did you mean 'max_rounds'\?"):
        cmat_env.make_task(guess, max_round=4)
    with pytest.raises(ConfigError, match=r"did you mean 'max_rounds'\?"):
        gymnasium.make(guess, max_round=4)
    with pytest.raises(ConfigError, match=r"did you mean 'checker'\?"):
        cmat_env.make(guess, roles=("assistant", "cheker"))


@pytest.mark.parametrize("name", ["Guess", "test/Guess", "a b/C-v0", "", 3])
def test_an_id_needs_name_and_version(name: Any, guess_task: Any) -> None:
    """The error shows the form."""
    with pytest.raises(ConfigError, match=r"\[namespace/\]Name-v0"):
        cmat_env.register(name, guess_task)


@pytest.mark.parametrize("entry_point", ["module", "module:a:b", None, 3])
def test_an_entry_point_is_a_callable_or_its_place(entry_point: Any) -> None:
    """A wrong one is refused when it is registered, not when it is used."""
    with pytest.raises(ConfigError, match="module:attribute"):
        cmat_env.register("test/Wrong-v0", entry_point)


def test_an_entry_point_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is there and the attribute is not."""
    monkeypatch.setitem(registry._registry, "test/None-v0", registry.EnvSpec("test/None-v0", "json:nothing"))
    with pytest.raises(ConfigError, match="json has no callable 'nothing'"):
        cmat_env.make("test/None-v0")


@pytest.mark.parametrize("make", [cmat_env.make, cmat_env.make_task])
def test_a_module_that_is_not_there_says_so(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the import said, and what to do."""
    monkeypatch.setitem(registry._registry, "test/No-v0", registry.EnvSpec("test/No-v0", "nonmodule:Plain"))
    with pytest.raises(ConfigError, match=r"'nonmodule:Plain': importing nonmodule failed \(No module.*; correct the"):
        make("test/No-v0")


def test_a_missing_extra_is_named(guess_task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed, tells what it lacks, and making it says what to install."""
    spec = registry.EnvSpec("test/Extra-v0", guess_task, extra="moon")
    monkeypatch.setitem(registry._registry, "test/Extra-v0", spec)
    requirements = ["numpy>=1", 'no-such-package>=2; extra == "moon"', 'other; extra == "sun"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements)
    missing_package.cache_clear()

    assert "no-such-package" == cmat_env.spec("test/Extra-v0").missing
    for make in (cmat_env.make, cmat_env.make_task):
        with pytest.raises(MissingExtraError, match=r"needs no-such-package.*pip install 'cmat-env\[moon\]'"):
            make("test/Extra-v0")
    missing_package.cache_clear()


def test_plug_ins_register_themselves(guess_task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms of an entry point work, and a broken plug-in is reported without taking the others away."""

    class Entry:
        def __init__(self, name: str, value: str, loaded: Any = None) -> None:
            self.name, self.value, self.loaded = name, value, loaded

        def load(self) -> Any:
            if self.loaded is None:
                raise ImportError("no moon")
            return self.loaded

    entries = [
        Entry("broken", "moon:register_envs"),
        Entry("acme/Bad-v0", "nomod:X"),
        Entry("acme/Quiz-v0", "json:loads", json.loads),
        Entry("acme", "acme:register_envs", lambda: cmat_env.register("acme/Other-v0", guess_task)),
    ]
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: entries)  # type: ignore[attr-defined]
    monkeypatch.setattr(registry, "_registry", {})
    registry._load_plugins.cache_clear()
    with (
        pytest.warns(UserWarning, match=r"plug-in broken = 'moon:register_envs' .* ImportError\('no moon'\)"),
        pytest.warns(UserWarning, match=r"plug-in acme/Bad-v0 = 'nomod:X' .* ImportError"),
    ):
        assert ["acme/Other-v0", "acme/Quiz-v0"] == cmat_env.list_envs()
    assert isinstance(cmat_env.make_task("acme/Other-v0"), guess_task)
    registry._load_plugins.cache_clear()


def test_registering_again_replaces(guess: str, guess_task: Any) -> None:
    """A notebook cell may run twice, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cmat_env.register(guess, guess_task, highest=2)

    assert 2 == cmat_env.make_task(guess).highest


def test_public_names_are_there_and_sorted() -> None:
    """`__all__` is the promise: every name exists, none twice."""
    assert sorted(set(cmat_env.__all__)) == sorted(cmat_env.__all__)
    assert [] == [name for name in cmat_env.__all__ if not hasattr(cmat_env, name)]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cmat_env.nothing
