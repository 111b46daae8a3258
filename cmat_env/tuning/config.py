"""The settings of a run: frozen dataclasses, read from TOML and `key=value` flags, written back with every default."""

from __future__ import annotations

import copy
import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cmat_env.agents.memory import ShortTermMemory
from cmat_env.agents.memory_rules import MemorySettings
from cmat_env.agents.prompts import prompts_of
from cmat_env.errors import ConfigError, did_you_mean
from cmat_env.order import Feedback
from cmat_env.plan import Trials
from cmat_env.tuning import toml_settings
from cmat_env.tuning.alarms import AlarmSettings
from cmat_env.tuning.settings import GROUPED, AdaptiveSettings, PairsSettings, SFTSettings, TunerSettings


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What is played.

    Attributes:
        env: id of a registered environment.
        train, evaluate: where its tasks come from while training and in evaluations, given to the environment as
            `tasks`; "" = it has no such setting, and seeds tell evaluations from training.
        settings: further settings of the environment, as its constructor takes them.
    """

    env: str = "cmat/DB-v0"
    train: str = "generated:train"
    evaluate: str = "generated:dev"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TeamSettings:
    """Who plays, who learns, and who is paid what.

    Attributes:
        roles: who is on the team.
        learners: whose weights are tuned. A user that learns is played by the model.
        user: who states the task, as the command line names it: "echo" = verbatim, "user:split", ...; where the user
            learns, who demonstrates it in the warm start.
        questions: how many the assistant may ask the user in an episode.
        max_revisions: how often a turn the checker may ask for another proposal.
        dry_run: does the checker see what the proposal would give?
        share_dry_run: does the assistant see it too, when it is asked to revise?
        feedback: what the assistant is told of a refusal: the checker's own "words", or its "verdict" alone. A small
            model that learns to judge does not keep its words; who revises stumbles over new ones.
        verdict: what a right verdict is worth to the checker.
        bad: how many times a verdict on a bad proposal counts; see `cmat_env.ledger.RewardRule`.
        team: share of the team's result that the checker is paid.
        revision, reviser: what checker and assistant earn by a revision that made a bad proposal good.
        balance: verdicts on good and on bad proposals weigh the same in the first iteration, and less and less until
            each weighs what it is paid in this one; 0 = never the same. See `cmat_env.tuning.balance`.
        prompts: style of the system prompts; see `cmat_env.agents.prompts`.
        memory: short-term memory of each agent in tokens; 0 = no limit.
        digest: tokens of it that sum up what it leaves out; 0 = none.
    """

    roles: tuple[str, ...] = ("user", "assistant", "checker")
    learners: tuple[str, ...] = ("assistant", "checker")
    user: str = "echo"
    questions: int = 0
    max_revisions: int = 1
    dry_run: bool = True
    share_dry_run: bool = False
    feedback: Feedback = "words"
    verdict: float = 1.0
    bad: float = 1.0
    team: float = 0.7
    revision: float = 0.0
    reviser: float = 0.0
    balance: int = 24
    prompts: str = "names"
    memory: int = 0
    digest: int = 0

    def __post_init__(self) -> None:
        _at_least(self, 0, "max_revisions", "questions", "memory", "digest", "balance")
        ShortTermMemory(self.memory or None, digest=self.digest)
        prompts_of(self.prompts)
        for role in self.learners:
            if role not in self.roles:
                raise ConfigError(f"learner {role!r} is not on the team; {did_you_mean(role, self.roles)}")

    @property
    def scripted_user(self) -> str | None:
        """Who plays the user; None = the model does, since it learns."""
        return None if "user" in self.learners else self.user

    def policies(self, model: str) -> dict[str, str]:
        """By role, who plays it, as an episode log says it; `model` names the model."""
        return {role: self.scripted_user or model if role == "user" else model for role in self.roles}


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """Trying again what was not solved, while training; see `cmat_env.plan.Trials`.

    Attributes:
        most: attempts at a task, the first one included.
        reflect: do the assistant and the checker write a reflection after a failure?
        reward: a reflection is paid this times what the next trial gained.
    """

    most: int = 1
    reflect: bool = True
    reward: float = 1.0

    def __post_init__(self) -> None:
        Trials(self.most, reflect=self.reflect, reward=self.reward)


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
        _at_least(self, 1, "vocabulary", "width", "layers", "heads", "feed_forward", "context", "rank")
        _at_least(self, 1, "virtual_tokens", "max_new_tokens")
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
        _at_least(self, 1, "episodes", "stream", "trials")
        _at_least(self, 0, "checkpoint_every", "recall")
        for name in ("revise_bad", "revise_good", "checker_share", "lessons"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be in [0, 1]")


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
        _at_least(self, 0, "iterations", "width", "evaluate_every", "record_every", "threads")
        _at_least(
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


def _at_least(settings: object, least: int, *names: str) -> None:
    for name in names:
        if getattr(settings, name) < least:
            raise ConfigError(f"{name}={getattr(settings, name)} must be at least {least}")


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
