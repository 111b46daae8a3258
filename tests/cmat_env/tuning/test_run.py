"""A run: what it leaves on disk, resuming it, and that learning happens."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForCausalLM

from cmat_env.errors import ConfigError, TaskFileError
from cmat_env.log import read_episodes
from cmat_env.policies.hf import HFPolicy
from cmat_env.policies.scripted import GoldPolicy
from cmat_env.rollout import Episode, Rollout
from cmat_env.tuning import checkpoint
from cmat_env.tuning.alarms import AlarmSettings
from cmat_env.tuning.config import (
    ModelSettings,
    RunSettings,
    TaskSettings,
    TeamSettings,
    WarmStartSettings,
    from_mapping,
)
from cmat_env.tuning.evaluations import Evaluations
from cmat_env.tuning.rows import role_batch
from cmat_env.tuning.run import Interrupted, Run
from cmat_env.tuning.settings import ALGORITHMS, AdaptiveSettings, PairsSettings, SFTSettings, TunerSettings
from cmat_env.tuning.team import make_env, prompts

EASY = {"families": ["count_all", "max", "min", "sum"], "max_rounds": 3, "max_observation": 48}
SMALL = RunSettings(
    iterations=4,
    episodes=4,
    evaluate_every=2,
    evaluate_episodes=4,
    final_episodes=4,
    checkpoint_every=1,
    task=TaskSettings(settings=EASY),
    model=ModelSettings(width=32, layers=1, heads=2, feed_forward=32, max_new_tokens=12, vocabulary=400),
    warm_start=WarmStartSettings(episodes=40, sft=SFTSettings(steps=10, batch=8)),
    tuner=TunerSettings(value_warmup=1, minibatch=2),
)
MOVING = ("rollout_seconds", "update_seconds", "wall_seconds")


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, without what a clock says."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in MOVING} for line in lines]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run that was not disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    Run(SMALL, folder).execute()
    return folder


def test_a_run_leaves_everything_on_disk(finished: Path) -> None:
    """Settings, models, checkpoints, episodes, metrics, curve and report are in the folder."""
    assert {
        "config.toml",
        "warm_start",
        "final",
        "best",
        "checkpoints",
        "episodes.jsonl",
        "metrics.jsonl",
        "curve.png",
        "report.json",
        "training.jsonl",
    } == {path.name for path in finished.iterdir()}
    assert SMALL == from_mapping(tomllib.loads((finished / "config.toml").read_text()), source="config.toml")
    assert [1, 2, 3, 4] == [line["iteration"] for line in metrics(finished)]
    assert {"before", "after"} == {record.notes["phase"] for record in read_episodes(finished)}


def test_models_of_a_run_load_with_transformers(finished: Path) -> None:
    """Both stages are plain Hugging Face folders, the tuned roles beside their base."""
    for folder in ("warm_start", "final", "final/assistant", "final/checker"):
        AutoModelForCausalLM.from_pretrained(finished / folder)


def test_a_run_that_was_stopped_and_resumed_ends_the_same(finished: Path, tmp_path: Path) -> None:
    """Stopping after an update and resuming changes neither weights nor metrics."""
    folder = tmp_path / "stopped"
    asked: list[str] = []

    def note(event: str, figures: Mapping[str, Any]) -> None:
        if event == "iteration" and figures["iteration"] == 2:
            asked.append(event)

    with pytest.raises(Interrupted):
        Run(SMALL, folder, report=note, stop=lambda: bool(asked)).execute()
    assert [1, 2] == [line["iteration"] for line in metrics(folder)]

    Run(SMALL, folder).execute(resume=True)

    assert metrics(finished) == metrics(folder)
    expected, actual = (checkpoint.load(path / "checkpoints" / "000004") for path in (finished, folder))
    for role, weights in expected.state["weights"].items():
        for name, tensor in weights.items():
            assert torch.equal(tensor, actual.state["weights"][role][name]), (role, name)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_runs(finished: Path, tmp_path: Path, algorithm: str) -> None:
    """By its name alone, on a team: every learner has finite figures, and what it learned is saved and plays."""
    settings = dataclasses.replace(
        SMALL,
        iterations=2,
        samples=2,
        evaluate_every=0,
        model=dataclasses.replace(SMALL.model, path=str(finished / "warm_start")),
        tuner=TunerSettings(algorithm=algorithm, epochs=1, value_warmup=0),  # type: ignore[arg-type]
    )
    Run(settings, tmp_path / "run").execute()
    figures = [
        value for line in metrics(tmp_path / "run") for role in line["roles"].values() for value in role.values()
    ]

    assert figures
    assert all(map(math.isfinite, figures))
    HFPolicy.load(tmp_path / "run" / "final", roles=("assistant",))


def test_a_pair_that_is_too_long_is_told_before_the_warm_start(tmp_path: Path) -> None:
    """Not after minutes of imitation and evaluations."""
    path, events = tmp_path / "pairs.jsonl", []
    reply = [{"role": "assistant", "content": "Action: Operation " * 500}]
    line = {"prompt": [{"role": "user", "content": "count them"}], "chosen": reply, "rejected": reply}
    path.write_text(json.dumps(line), encoding="utf-8")
    settings = dataclasses.replace(
        SMALL, tuner=TunerSettings(algorithm="dpo"), pairs=PairsSettings(path=str(path)), samples=2
    )
    with pytest.raises(TaskFileError, match=r"pairs.jsonl:1: \d+ tokens, but the model takes"):
        Run(settings, tmp_path / "run", report=lambda event, _: events.append(event)).execute()

    assert {"demonstrations", "model"} >= set(events)


def test_dpo_takes_pairs_from_a_file_and_virtual_tokens(finished: Path, tmp_path: Path) -> None:
    """One task an episode, so all pairs are the file's; stopped and resumed it ends the same, the board included."""
    path = tmp_path / "pairs.jsonl"
    texts = ("Action: Operation\n```sql\nSELECT 1\n```", "Action: Answer\nFinal Answer: 7")
    line = {
        "prompt": [{"role": "user", "content": "count them"}],
        **{
            name: [{"role": "assistant", "content": text}]
            for name, text in zip(("chosen", "rejected"), texts, strict=True)
        },
    }
    path.write_text(f"{json.dumps(line)}\n" * 3, encoding="utf-8")
    settings = dataclasses.replace(
        SMALL,
        iterations=3,
        evaluate_every=0,
        tensorboard=True,
        model=dataclasses.replace(SMALL.model, path=str(finished / "warm_start"), adapter="ptuning", virtual_tokens=2),
        tuner=TunerSettings(algorithm="dpo", minibatch=2, learning_rate=1e-2),
        pairs=PairsSettings(path=str(path), each=2),
        alarms=AlarmSettings(window=1, kl_per_sequence=1e-6),
    )
    asked: list[str] = []

    def note(event: str, figures: Mapping[str, Any]) -> None:
        if event == "iteration" and figures["iteration"] == 2:
            asked.append(event)

    Run(settings, tmp_path / "whole").execute()
    with pytest.raises(Interrupted):
        Run(settings, tmp_path / "stopped", report=note, stop=lambda: bool(asked)).execute()
    Run(settings, tmp_path / "stopped").execute(resume=True)
    rows = metrics(tmp_path / "whole")
    events = EventAccumulator(str(tmp_path / "stopped" / "tensorboard"))
    events.Reload()
    shown = [(e.step, e.value) for e in events.Scalars("assistant/margin")]

    assert rows == metrics(tmp_path / "stopped")
    assert [2.0, 2.0, 2.0] == [row["roles"]["assistant"]["pairs"] for row in rows]
    assert 0.0 == rows[0]["roles"]["checker"]["pairs"]
    assert [pytest.approx((row["iteration"], row["roles"]["assistant"]["margin"])) for row in rows] == shown
    assert "lower tuner.learning_rate" in rows[-1]["alarms"][0]["text"]
    assert rows[-1]["roles"]["assistant"]["loss"] < rows[0]["roles"]["assistant"]["loss"]


def test_a_folder_that_holds_a_run_is_not_overwritten(finished: Path) -> None:
    """Starting anew where a run lies is the user's mistake; the error says what to do."""
    with pytest.raises(ConfigError, match="--resume"):
        Run(SMALL, finished).execute()


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    """Resuming an empty folder is the user's mistake."""
    with pytest.raises(ConfigError, match="no run to resume"):
        Run(SMALL, tmp_path).execute(resume=True)


def test_the_best_evaluation_is_kept(
    make_policy: Callable[..., HFPolicy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written at once, though none was due, and outlives later ones; equals and worse ones change nothing."""
    success = iter([0.25, 0.75, 0.75, 0.5])
    monkeypatch.setattr(Evaluations, "now", lambda self, policy: {"team, greedy": next(success)})
    settings = dataclasses.replace(SMALL, evaluate_every=1, checkpoint_every=100, keep_checkpoints=1)
    Run(settings, tmp_path / "run").train(make_policy())
    found = sorted((tmp_path / "run" / "checkpoints").iterdir())

    assert ["000002", "000004"] == [path.name for path in found]
    assert [0.75, 0.5] == [checkpoint.load(path).score for path in found]


def test_the_best_model_is_saved_beside_the_final_one(finished: Path) -> None:
    """The weights of the checkpoint that the report names, in a folder that loads."""
    best = json.loads((finished / "report.json").read_text())["best_iteration"]
    state = checkpoint.load(finished / "checkpoints" / f"{best:06d}").state

    assert best == 2
    model = AutoModelForCausalLM.from_pretrained(finished / "best" / "assistant")
    wanted = [tensor for name, tensor in state["weights"]["assistant"].items() if name.startswith("policy.")]
    assert all(torch.equal(one, two) for one, two in zip(wanted, model.parameters(), strict=True))


def test_a_user_that_learns_is_played_and_tuned_by_itself(tmp_path: Path) -> None:
    """It imitates the one that is set, states the task itself, is paid for the team's success, and it alone changes."""
    settings = dataclasses.replace(
        SMALL,
        iterations=2,
        evaluate_every=0,
        team=TeamSettings(roles=("user", "assistant"), learners=("user",), user="user:paraphrase"),
        model=dataclasses.replace(SMALL.model, adapter="lora", rank=2),
        tuner=TunerSettings(value_warmup=0, warmup=0, minibatch=2),
    )
    run = Run(settings, tmp_path / "run")
    base = run.warm_start(resume=False)
    policy = run.policy(base)
    before = policy.weights.state_dict()
    run.train(policy)
    after = policy.weights.state_dict()
    changed = {role for role in before for key in before[role] if not torch.equal(before[role][key], after[role][key])}
    [first, *_] = read_episodes(tmp_path / "run" / "training.jsonl")

    rollout = Rollout(
        lambda: make_env(settings, "generated:train"),
        {"user": policy, "assistant": GoldPolicy()},
        prompts=prompts(settings),
    )
    paid = role_batch(rollout.run([Episode(0), Episode(1)]).finished, "user")
    rollout.close()

    assert ("user", "assistant") == policy.weights.roles
    assert {"user"} == changed
    assert [1.0, 1.0] == paid.rewards[torch.arange(2), paid.mask.sum(-1) - 1].tolist() == paid.returns.tolist()
    assert first.policies["user"] == first.policies["assistant"] == f"hf:{tmp_path / 'run' / 'warm_start'}"
    assert first.trajectory.steps[0].generation.token_ids
    assert {"user"} == set(metrics(tmp_path / "run")[-1]["roles"])


def test_a_mixture_is_resumed_as_it_was(finished: Path, tmp_path: Path) -> None:
    """Tasks of all members by the same seeds, chosen among by learnability; metrics tell the members apart."""
    members = {
        "db": {"env": "cmat/DB-v0", "settings": EASY},
        "chain": {"env": "cmat/DB-Composite-v0", "settings": {"parts": [2], "max_rounds": 3, "max_observation": 48}},
    }
    settings = dataclasses.replace(
        SMALL,
        iterations=3,
        evaluate_every=0,
        task=TaskSettings(env="cmat/Mix-v0", settings={"members": members}),
        model=dataclasses.replace(SMALL.model, path=str(finished / "warm_start")),
        adaptive=AdaptiveSettings(candidates=3),
    )
    asked: list[str] = []
    Run(settings, tmp_path / "whole").execute()
    cut = Run(
        settings, tmp_path / "cut", report=lambda event, _: asked.append(event), stop=lambda: "iteration" in asked
    )
    with pytest.raises(Interrupted):
        cut.execute()
    Run(settings, tmp_path / "cut").execute(resume=True)
    lines = metrics(tmp_path / "whole")

    assert lines == metrics(tmp_path / "cut")
    assert {"db", "chain"} == {name for line in lines for name in line["success_by_member"]}
    report = json.loads((tmp_path / "cut" / "report.json").read_text())["evaluations"]["before: team, greedy"]
    assert {"db": 2, "chain": 2} == {name: score["episodes"] for name, score in report["by_member"].items()}
