"""Settings of a run: written whole, read back equal, and a mistake is named with what was wanted."""

from __future__ import annotations

import dataclasses
import datetime
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cmat_env.errors import ConfigError
from cmat_env.tuning.config import (
    ModelSettings,
    RunSettings,
    TaskSettings,
    TeamSettings,
    WarmStartSettings,
    from_mapping,
    load,
    override,
    to_toml,
)
from cmat_env.tuning.evaluations import Evaluations
from cmat_env.tuning.folder import RunFolder
from cmat_env.tuning.settings import PairsSettings, SFTSettings, TunerSettings
from cmat_env.tuning.team import made_with

UNUSUAL = RunSettings(
    seed=7,
    samples=8,
    task=TaskSettings(env="my/Env-v1", settings={"level": 2, "names": ["a", "b"], "known_bad": False}),
    team=TeamSettings(roles=("assistant", "checker"), learners=("checker",), verdict=0.5),
    model=ModelSettings(path='C:\\model "é" 🦊\t\x7f', adapter="lora"),
    warm_start=WarmStartSettings(settings={"demonstrator_error": 0.25}, sft=SFTSettings(learning_rate=1e-5)),
    tuner=TunerSettings(
        algorithm="grpo", max_grad_norm=float("inf"), kl_beta=1e-07, roles={"checker": {"learning_rate": 5e-4}}
    ),
)


@pytest.mark.parametrize("settings", [RunSettings(), UNUSUAL], ids=["defaults", "unusual"])
def test_settings_come_back_from_toml(tmp_path: Path, settings: RunSettings) -> None:
    """Through a file: strings with any character, infinite and tiny numbers, lists and free sections."""
    path = tmp_path / "config.toml"
    path.write_text(to_toml(settings), encoding="utf-8")

    assert settings == load(path)


def test_toml_holds_the_defaults_too() -> None:
    """Every field of every part, so that a run can be repeated after a default has changed."""
    data = tomllib.loads(to_toml(RunSettings()))

    assert {field.name for field in dataclasses.fields(RunSettings)} == data.keys()
    assert {field.name for field in dataclasses.fields(TunerSettings)} == data["tuner"].keys()
    assert {field.name for field in dataclasses.fields(SFTSettings)} == data["warm_start"]["sft"].keys()


def test_an_empty_file_is_all_defaults() -> None:
    """Nothing has to be said."""
    assert RunSettings() == from_mapping({}, source="x")


def test_overrides_reach_into_sections(tmp_path: Path) -> None:
    """Values are TOML where they can be, and text where not; the file's other values stay."""
    path = tmp_path / "config.toml"
    path.write_text("seed = 1\n[tuner]\nclip = 0.3\n")
    settings = load(
        path,
        ["seed=5", "tuner.learning_rate=1e-4", "tuner.algorithm=filtered_bc", 'team.roles=["assistant", "checker"]'],
    )

    assert (5, 0.3, 1e-4) == (settings.seed, settings.tuner.clip, settings.tuner.learning_rate)
    assert "filtered_bc" == settings.tuner.algorithm
    assert ("assistant", "checker") == settings.team.roles


def test_an_override_leaves_the_data_as_they_were() -> None:
    """A copy, also of what lies deeper and of what JSON does not know."""
    data = {"tuner": {"clip": 0.3}, "task": {"settings": {"day": datetime.date(2024, 1, 2)}}}
    merged = override(data, ["tuner.clip=0.4", "model.path=", "new.section=true"])

    assert 0.3 == data["tuner"]["clip"]  # type: ignore[index]
    assert {"clip": 0.4} == merged["tuner"]
    assert {"path": ""} == merged["model"]
    assert {"section": True} == merged["new"]
    assert datetime.date(2024, 1, 2) == merged["task"]["settings"]["day"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("seed", "wanted key=value"),
        ("=3", "wanted key=value"),
        ("seed.deeper=3", "'seed' is a value, not a section"),
        ("tuner.learning_rte=1", "unknown setting 'tuner.learning_rte'; did you mean 'learning_rate'"),
        ("sed=1", "unknown setting 'sed'; did you mean 'seed'"),
        ("tuner=3", "tuner must be a section"),
    ],
)
def test_a_wrong_override_is_named(item: str, message: str) -> None:
    """What came, and the nearest setting there is."""
    with pytest.raises(ConfigError, match=message):
        from_mapping(override({"seed": 1}, [item]), source="--set")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"seed": "one"}, "x: seed='one'; wanted int, got str"),
        ({"seed": True}, "x: seed=True; wanted int, got bool"),
        ({"seed": 1.0}, "x: seed=1.0; wanted int, got float"),
        ({"tuner": {"clip": True}}, "x: tuner.clip=True; wanted float, got bool"),
        ({"tuner": {"clip": "0.2"}}, "x: tuner.clip='0.2'; wanted float, got str"),
        ({"team": {"dry_run": 1}}, "x: team.dry_run=1; wanted bool, got int"),
        ({"team": {"roles": "assistant"}}, "x: team.roles='assistant'; wanted a list"),
        ({"team": {"roles": [1]}}, "x: team.roles=1; wanted str, got int"),
        ({"task": {"settings": 3}}, "x: task.settings=3; wanted a section"),
        ({"tuner": {"algorithm": "pppo"}}, "x: tuner.algorithm='pppo'; wanted one of 'ppo', 'grpo', 'rloo'"),
        ({"model": {"adapter": "loar"}}, "x: model.adapter='loar'; wanted one of 'full', 'lora'"),
        ({"warm_start": {"sft": {"stepps": 1}}}, "x: unknown setting 'warm_start.sft.stepps'; did you mean 'steps'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(data: dict[str, Any], message: str) -> None:
    """The file, the setting, what came and what was wanted."""
    with pytest.raises(ConfigError) as caught:
        from_mapping(data, source="x")

    assert message in str(caught.value)


def test_a_whole_number_is_a_float() -> None:
    """`verdict = 1` is what people write."""
    settings = from_mapping({"team": {"verdict": 1}}, source="x")

    assert isinstance(settings.team.verdict, float)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Missing, no TOML, and no text."""
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml"):
        load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("seed = \n")
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        load(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"seed = 1 # \xff")
    with pytest.raises(ConfigError, match=r"bytes\.toml is not TOML"):
        load(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: RunSettings(episodes=0), "episodes"),
        (lambda: RunSettings(iterations=-1), "iterations"),
        (lambda: RunSettings(evaluate_every=-1), "evaluate_every"),
        (lambda: RunSettings(threads=-1), "threads"),
        (lambda: RunSettings(episodes=10, samples=3), "samples=3 does not divide episodes=10"),
        (lambda: RunSettings(tuner=TunerSettings(algorithm="grpo")), "grpo compares .* set samples to 2 or more"),
        (lambda: RunSettings(tuner=TunerSettings(algorithm="rloo")), "rloo compares .* set samples to 2 or more"),
        (lambda: RunSettings(tuner=TunerSettings(algorithm="dpo")), "dpo compares .* set samples to 2 or more"),
        (lambda: RunSettings(pairs=PairsSettings(path="p.jsonl")), "pairs.path is for dpo"),
        (lambda: PairsSettings(each=0), "each=0"),
        (lambda: TeamSettings(learners=("asistant",)), "did you mean 'assistant'"),
        (lambda: TeamSettings(memory=5), "budget=5"),
        (lambda: TeamSettings(prompts="papers"), "did you mean 'paper'"),
        (lambda: TeamSettings(max_revisions=-1), "max_revisions"),
        (lambda: ModelSettings(temperature=0.0), "temperature"),
        (lambda: ModelSettings(max_new_tokens=0), "max_new_tokens"),
        (lambda: ModelSettings(width=0), "width"),
        (lambda: ModelSettings(rank=0), "rank"),
        (lambda: WarmStartSettings(episodes=0), "episodes"),
        (lambda: WarmStartSettings(revise_bad=1.5), "revise_bad"),
        (lambda: WarmStartSettings(checker_share=-0.1), "checker_share"),
    ],
)
def test_impossible_settings_are_refused_before_the_run(make: Any, word: str) -> None:
    """Not two minutes into it: every part checks itself when it is made."""
    with pytest.raises(ConfigError, match=word):
        make()


def test_a_role_has_settings_of_its_own() -> None:
    """What is said for a role holds for it alone; everything else is shared."""
    settings = TunerSettings(clip=0.1, roles={"checker": {"learning_rate": 5e-4, "entropy_bonus": 0.01}})

    assert (5e-4, 0.01, 0.1) == tuple(
        getattr(settings.of("checker"), name) for name in ("learning_rate", "entropy_bonus", "clip")
    )
    assert (1e-4, 0.0, 0.1) == tuple(
        getattr(settings.of("assistant"), name) for name in ("learning_rate", "entropy_bonus", "clip")
    )


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ({"learning_rat": 1.0}, "tuner.roles.checker: unknown setting 'learning_rat'; did you mean 'learning_rate'"),
        ({"algorithm": "grpo"}, "tuner.roles.checker: unknown setting 'algorithm'"),
        ({"epochs": 0}, "epochs=0 must be above 0"),
        (3, "tuner.roles.checker=3; wanted a section"),
    ],
)
def test_a_mistake_in_a_roles_settings_is_named(own: Any, wanted: str) -> None:
    """When the settings are made, not in the tenth iteration."""
    with pytest.raises(ConfigError, match=wanted):
        TunerSettings(roles={"checker": own})


@pytest.mark.parametrize(("sources", "first"), [(("generated:train", "generated:dev"), 0), (("", ""), 1_000_000_007)])
def test_evaluations_never_play_what_training_played(
    sources: tuple[str, str], first: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A task without the setting `tasks` is not given it, and its evaluations begin at seeds that training has not."""
    train, evaluate = sources
    settings = from_mapping({"task": {"train": train, "evaluate": evaluate}}, source="test")
    asked: dict[str, Any] = {}
    monkeypatch.setattr("cmat_env.tuning.evaluations.evaluate", lambda *_, **given: asked.update(given))

    class Policy:
        def with_sampling(self, _: Any) -> Policy:
            return self

    evaluations = Evaluations(settings, RunFolder(tmp_path), lambda *_: None)
    evaluations.measure(Policy(), roles=("assistant",), episodes=2, greedy=True)  # type: ignore[arg-type]

    assert bool(train) == ("tasks" in made_with(settings, train))
    assert [first, first + 1] == [episode.seed for episode in asked["episodes"]]
