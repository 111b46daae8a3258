"""The settings of a run: frozen dataclasses, read from TOML and `key=value` flags, written back with every default."""

from __future__ import annotations

import copy
import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.checks import check_share
from cmat_env.errors import ConfigError
from cmat_env.tuning import toml_settings
from cmat_env.tuning.alarms import AlarmSettings
from cmat_env.tuning.settings import GROUPED, AdaptiveSettings, PairsSettings, SFTSettings, TunerSettings
from cmat_env.tuning.team_settings import TaskSettings, TeamSettings, TrialSettings, at_least

__all__ = [
    "ModelSettings",
    "RunSettings",
    "TaskSettings",
    "TeamSettings",
    "TrialSettings",
    "WarmStartSettings",
    "from_mapping",
    "load",
    "override",
    "to_toml",
]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The language model.

    Attributes:
        path: folder of a model to start from, or "hub:OWNER/NAME" of the Hugging Face Hub; empty = make a TinyAgent of
            the size below and warm it up.
        dtype: of its weights; "auto" = as they were saved. What is trained of a LoRA or of virtual tokens is float32.
        device: where it runs, such as "cuda:1"; "auto" = on a GPU if there is one.
        gradient_checkpointing: updates keep no more than each layer's input, and compute the rest again on the way
            back: less memory for a third more time, and the same gradients.
        vocabulary, width, layers, heads, feed_forward, context: of the TinyAgent.
        adapter: what each role owns: "full" weights, a "lora", or virtual tokens ("ptuning").
        rank: of the LoRA.
        virtual_tokens: of P-tuning.
        max_new_tokens: longest reply.
        temperature: of sampling while training.
    """

    path: str = ""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "cpu"
    gradient_checkpointing: bool = False
    vocabulary: int = 768
    width: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 256
    context: int = 512
    adapter: Literal["full", "lora", "ptuning"] = "full"
    rank: int = 16
    virtual_tokens: int = 8
    max_new_tokens: int = 48
    temperature: float = 1.0

    def __post_init__(self) -> None:
        at_least(self, 1, "vocabulary", "width", "layers", "heads", "feed_forward", "context", "rank")
        at_least(self, 1, "virtual_tokens", "max_new_tokens")
        if not self.temperature > 0:
            raise ConfigError(f"temperature={self.temperature} must be above 0")


@dataclass(frozen=True, slots=True)
class WarmStartSettings:
    """Demonstrations for the supervised warm start.

    Attributes:
        given: does a model that is given (`model.path`) imitate them, too? It does by a LoRA of `model.rank`, which is
            then added to its weights; without, it is tuned as it is.
        file: of dialogues to imitate instead of demonstrations, in any form that `cmat_env.chat_rows` reads; "" = none.
        episodes: how many are demonstrated.
        settings: further settings of the environment while demonstrations are played, such as how often the
            demonstrator errs.
        revise_bad: how often the demonstrated checker refuses a bad proposal.
        revise_good: how often a good one; as often as a bad one = it knows nothing, and tosses a coin.
        checker_share: share of the episodes whose checker is imitated too.
        lessons: share of the streams that teach to reflect and to heed what is recalled; see `cmat_env.lessons`. There
            is no checker in them; the demonstrator reflects on its failures, tries again, and in two of three recalls
            what the stream has taught so far.
        stream: demonstrations in a row; each has a memory of its own, that begins empty.
        trials: attempts at a task of such a stream.
        recall: most memories that it is told in each.
        checkpoint_every: steps of imitation between checkpoints; 0 = none.
        sft: how they are imitated.
    """

    given: bool = False
    file: str = ""
    episodes: int = 6000
    settings: Mapping[str, Any] = field(default_factory=dict)
    revise_bad: float = 0.6
    revise_good: float = 0.05
    checker_share: float = 0.25
    lessons: float = 0.0
    stream: int = 40
    trials: int = 2
    recall: int = 1
    checkpoint_every: int = 500
    sft: SFTSettings = field(default_factory=SFTSettings)

    def __post_init__(self) -> None:
        at_least(self, 1, "episodes", "stream", "trials")
        at_least(self, 0, "checkpoint_every", "recall")
        for name in ("revise_bad", "revise_good", "checker_share", "lessons"):
            check_share(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that determines a run.

    Attributes:
        seed: of everything.
        iterations: updates.
        episodes: of an iteration.
        samples: episodes of the same task (a group); divides episodes.
        width: most episodes that are played side by side, each with its own keys and values in memory; 0 = all of an
            iteration, and 128 of an evaluation.
        evaluate_every: iterations between evaluations on few tasks; 0 = only before and after.
        evaluate_episodes: of these evaluations.
        final_episodes: of the evaluations before and after.
        checkpoint_every: iterations between checkpoints.
        keep_checkpoints: how many of the latest are kept.
        keep_best: is the one of the best evaluation kept too? That is the highest greedy success of the whole team in
            the evaluations every `evaluate_every` iterations, the first of several; without evaluations there is none.
        record_every: iterations between recordings of training episodes with the credit of their tokens; 0 = never.
        threads: of the tensor library; 0 = its own default.
        tensorboard: write the metrics for TensorBoard too (extra "tensorboard").
        memory: long-term memory, `memory.sqlite` in the run's folder; off where `memory.recall` is 0, the default.
    """

    seed: int = 0
    iterations: int = 30
    episodes: int = 128
    samples: int = 1
    width: int = 0
    evaluate_every: int = 10
    evaluate_episodes: int = 200
    final_episodes: int = 400
    checkpoint_every: int = 10
    keep_checkpoints: int = 2
    keep_best: bool = True
    record_every: int = 10
    threads: int = 1
    tensorboard: bool = False
    task: TaskSettings = field(default_factory=TaskSettings)
    team: TeamSettings = field(default_factory=TeamSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    warm_start: WarmStartSettings = field(default_factory=WarmStartSettings)
    tuner: TunerSettings = field(default_factory=TunerSettings)
    trials: TrialSettings = field(default_factory=TrialSettings)
    memory: MemorySettings = field(default_factory=lambda: MemorySettings(recall=0))
    adaptive: AdaptiveSettings = field(default_factory=AdaptiveSettings)
    pairs: PairsSettings = field(default_factory=PairsSettings)
    alarms: AlarmSettings = field(default_factory=AlarmSettings)

    def __post_init__(self) -> None:
        at_least(self, 0, "iterations", "width", "evaluate_every", "record_every", "threads")
        at_least(
            self,
            1,
            "episodes",
            "samples",
            "evaluate_episodes",
            "final_episodes",
            "checkpoint_every",
            "keep_checkpoints",
        )
        if self.episodes % self.samples:
            raise ConfigError(f"samples={self.samples} does not divide episodes={self.episodes}")
        algorithm = self.tuner.algorithm
        if self.pairs.path and algorithm != "dpo":
            raise ConfigError(f"pairs.path is for dpo, but tuner.algorithm={algorithm!r}")
        if self.adaptive.role_gain and self.adaptive.role_source == "paired" and not self.evaluate_every:
            raise ConfigError("adaptive.role_source='paired' is measured by evaluations: set evaluate_every, such as 5")
        if algorithm in GROUPED and self.samples < 2 and not self.pairs.path:
            raise ConfigError(f"{algorithm} compares episodes of one task: set samples to 2 or more, such as 8")


def from_mapping(data: Mapping[str, Any], *, source: str) -> RunSettings:
    """Settings from nested mappings.

    Raises:
        ConfigError: a key is unknown (the nearest known one is named), or a value is of the wrong kind.
    """
    made = toml_settings.build(RunSettings, data, source)
    assert isinstance(made, RunSettings)
    return made


def load(path: Path, overrides: Sequence[str] = ()) -> RunSettings:
    """Settings from a TOML file, with `key=value` overrides such as "tuner.learning_rate=1e-4"."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return from_mapping(override(data, overrides), source=str(path))


def override(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of nested mappings with `key=value` settings laid over; values are TOML, or text where they are not."""
    merged: dict[str, Any] = copy.deepcopy(dict(data))
    for item in overrides:
        key, mark, text = item.partition("=")
        if not mark or not key.strip():
            raise ConfigError(f"--set {item!r}: wanted key=value, such as tuner.learning_rate=1e-4")
        *parents, last = key.strip().split(".")
        place = merged
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {item!r}: {parent!r} is a value, not a section")
        place[last] = toml_settings.parse_value(text.strip())
    return merged


def to_toml(settings: RunSettings) -> str:
    """Every setting, the defaults too, as TOML that `load` reads back to equal settings."""
    return toml_settings.dump(dataclasses.asdict(settings))
