"""The settings of a run: frozen dataclasses, read from TOML and `key=value` flags, written back with every default."""

from __future__ import annotations

import copy
import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cmat_env.agents.memory import ShortTermMemory
from cmat_env.agents.prompts import prompts_of
from cmat_env.errors import ConfigError, did_you_mean
from cmat_env.tuning.alarms import AlarmSettings
from cmat_env.tuning.settings import GROUPED, PairsSettings, SFTSettings, TunerSettings


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What is played.

    Attributes:
        env: id of a registered environment.
        train, evaluate: where its tasks come from while training and in evaluations.
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
        learners: whose weights are tuned.
        max_revisions: how often a turn the checker may ask for another proposal.
        dry_run: does the checker see what the proposal would give?
        verdict: what a right verdict is worth to the checker.
        bad: how many times a verdict on a bad proposal counts; see `cmat_env.ledger.RewardRule`.
        team: share of the team's result that the checker is paid.
        balance: verdicts on good and on bad proposals weigh the same in an update; see `cmat_env.tuning.balance`.
        prompts: style of the system prompts; see `cmat_env.agents.prompts`.
        memory: short-term memory of each agent in tokens; 0 = no limit.
    """

    roles: tuple[str, ...] = ("user", "assistant", "checker")
    learners: tuple[str, ...] = ("assistant", "checker")
    max_revisions: int = 1
    dry_run: bool = True
    verdict: float = 1.0
    bad: float = 1.0
    team: float = 0.7
    balance: bool = True
    prompts: str = "names"
    memory: int = 0

    def __post_init__(self) -> None:
        _at_least(self, 0, "max_revisions", "memory")
        ShortTermMemory(self.memory or None)
        prompts_of(self.prompts)
        for role in self.learners:
            if role not in self.roles:
                raise ConfigError(f"learner {role!r} is not on the team; {did_you_mean(role, self.roles)}")
        if "user" in self.learners:
            raise ConfigError(
                "the user states the task verbatim and has nothing to learn yet; leave it out of learners"
            )


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The language model.

    Attributes:
        path: folder of a model to start from; empty = make a TinyAgent of the size below and warm it up.
        vocabulary, width, layers, heads, feed_forward, context: of the TinyAgent.
        adapter: what each role owns: "full" weights, a "lora", or virtual tokens ("ptuning").
        rank: of the LoRA.
        virtual_tokens: of P-tuning.
        max_new_tokens: longest reply.
        temperature: of sampling while training.
    """

    path: str = ""
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
        episodes: how many are demonstrated.
        settings: further settings of the environment while demonstrations are played, such as how often the
            demonstrator errs.
        revise: how often the demonstrated checker, who knows nothing, asks for a revision.
        checker_share: share of the episodes whose checker is imitated too (it has only a format to learn).
        sft: how they are imitated.
    """

    episodes: int = 6000
    settings: Mapping[str, Any] = field(default_factory=dict)
    revise: float = 0.5
    checker_share: float = 0.25
    sft: SFTSettings = field(default_factory=SFTSettings)

    def __post_init__(self) -> None:
        _at_least(self, 1, "episodes")
        for name in ("revise", "checker_share"):
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
        evaluate_every: iterations between evaluations on few tasks; 0 = only before and after.
        evaluate_episodes: of these evaluations.
        final_episodes: of the evaluations before and after.
        checkpoint_every: iterations between checkpoints.
        record_every: iterations between recordings of training episodes with the credit of their tokens; 0 = never.
        threads: of the tensor library; 0 = its own default.
        tensorboard: write the metrics for TensorBoard too (extra "tensorboard").
    """

    seed: int = 0
    iterations: int = 30
    episodes: int = 128
    samples: int = 1
    evaluate_every: int = 10
    evaluate_episodes: int = 200
    final_episodes: int = 400
    checkpoint_every: int = 10
    record_every: int = 10
    threads: int = 1
    tensorboard: bool = False
    task: TaskSettings = field(default_factory=TaskSettings)
    team: TeamSettings = field(default_factory=TeamSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    warm_start: WarmStartSettings = field(default_factory=WarmStartSettings)
    tuner: TunerSettings = field(default_factory=TunerSettings)
    pairs: PairsSettings = field(default_factory=PairsSettings)
    alarms: AlarmSettings = field(default_factory=AlarmSettings)

    def __post_init__(self) -> None:
        _at_least(self, 0, "iterations", "evaluate_every", "record_every", "threads")
        _at_least(self, 1, "episodes", "samples", "evaluate_episodes", "final_episodes", "checkpoint_every")
        if self.episodes % self.samples:
            raise ConfigError(f"samples={self.samples} does not divide episodes={self.episodes}")
        algorithm = self.tuner.algorithm
        if self.pairs.path and algorithm != "dpo":
            raise ConfigError(f"pairs.path is for dpo, but tuner.algorithm={algorithm!r}")
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
    made = _build(RunSettings, data, source, "")
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
        place[last] = _value(text.strip())
    return merged


def to_toml(settings: RunSettings) -> str:
    """Every setting, the defaults too, as TOML that `load` reads back to equal settings."""
    lines: list[str] = []

    def section(title: str, values: Mapping[str, Any]) -> None:
        plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
        if title and (plain or not values):
            lines.extend(["", f"[{title}]"])
        lines.extend(f"{key} = {_toml(value)}" for key, value in plain.items() if value is not None)
        for key, value in values.items():
            if isinstance(value, Mapping):
                section(f"{title}.{key}" if title else key, value)

    section("", dataclasses.asdict(settings))
    return "\n".join(lines).lstrip() + "\n"


def _toml(value: object) -> str:
    """A value as TOML, which differs from JSON in numbers that are infinite and in one control character."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _build(kind: type, data: object, source: str, path: str) -> Any:
    """An instance of a settings dataclass from a mapping."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{source}: {path or 'the file'} must be a section, not {data!r}")
    hints = typing.get_type_hints(kind)
    known = [item.name for item in dataclasses.fields(kind)]
    made: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{path}.{key}" if path else key
        if key not in known:
            raise ConfigError(f"{source}: unknown setting {name!r}; {did_you_mean(key, known)}")
        made[key] = _convert(hints[key], value, source, name)
    return kind(**made)


def _convert(kind: Any, value: object, source: str, name: str) -> Any:
    """A value as the kind its field is declared with."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, source, name)
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value not in typing.get_args(kind):
            wanted = ", ".join(map(repr, typing.get_args(kind)))
            raise ConfigError(f"{source}: {name}={value!r}; wanted one of {wanted}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{source}: {name}={value!r}; wanted a list")
        return tuple(_convert(typing.get_args(kind)[0], item, source, name) for item in value)
    if origin is not None and not isinstance(origin, types.UnionType) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{source}: {name}={value!r}; wanted a section")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{source}: {name}={value!r}; wanted {kind.__name__}, got {type(value).__name__}")
    return value
