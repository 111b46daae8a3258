"""What an evaluation found: success with its interval, by type, by outcome, and how well the checker judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cmat_env.scores import CheckerScore, EpisodeRow, MemoryUse, PartScore, Score, Tokens, TrialScore
from cmat_env.types import Trajectory


@dataclass(frozen=True, slots=True)
class EvalReport:
    """What an evaluation found. An episode of several trials is solved if the last one was; the rows are those of it.

    Attributes:
        env: id of the environment.
        total: how all finished episodes went.
        by_type: the same by task type.
        outcomes: how often each outcome came.
        seconds: wall time of the evaluation.
        per_episode: one row a finished episode, in order.
        dropped: one line for every episode that a crash ended; they count nowhere else.
        skipped: by id, why a task of the file was not played at all.
        checker: how well the checker judged, in all trials; None if there was none.
        parts: of composite tasks, how the parts went by family, in the last trials.
        trials: how far the episodes had come after each trial.
        memory: how long-term memory was used; None if it was not.
    """

    env: str
    total: Score
    by_type: dict[str, Score]
    outcomes: dict[str, int]
    seconds: float
    per_episode: tuple[EpisodeRow, ...]
    dropped: tuple[str, ...] = ()
    checker: CheckerScore | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    parts: dict[str, PartScore] = field(default_factory=dict)
    trials: tuple[TrialScore, ...] = ()
    memory: MemoryUse | None = None

    @classmethod
    def of(
        cls,
        env: str,
        episodes: Sequence[Trajectory],
        *,
        seconds: float,
        dropped: Sequence[str] = (),
        skipped: Mapping[str, str] | None = None,
    ) -> EvalReport:
        """The report on these finished episodes of one trial each."""
        each = [(episode,) for episode in episodes]
        return cls.of_trials(env, each, seconds=seconds, dropped=dropped, skipped=skipped)

    @classmethod
    def of_trials(
        cls,
        env: str,
        trials: Sequence[Sequence[Trajectory]],
        *,
        seconds: float,
        dropped: Sequence[str] = (),
        skipped: Mapping[str, str] | None = None,
        memory: MemoryUse | None = None,
    ) -> EvalReport:
        """The report on the trials of these finished episodes."""
        episodes = [each[-1] for each in trials]
        rows = [EpisodeRow.of(episode) for episode in episodes]
        types = sorted({row.task_type for row in rows})
        return cls(
            env=env,
            total=Score.of(rows),
            by_type={kind: Score.of([row for row in rows if row.task_type == kind]) for kind in types},
            outcomes=dict(Counter(row.outcome for row in rows).most_common()),
            seconds=seconds,
            per_episode=tuple(rows),
            dropped=tuple(dropped),
            checker=CheckerScore.of([trial for each in trials for trial in each]),
            parts=PartScore.of(episodes),
            skipped=dict(skipped or {}),
            trials=TrialScore.all_of(trials),
            memory=memory,
        )

    @property
    def by_member(self) -> dict[str, Score]:
        """Of a mixture, how the episodes of each member went: its name stands before "/" in their types; else empty."""
        if not self.per_episode or not all("/" in kind for kind in self.by_type):
            return {}
        names = sorted({kind.partition("/")[0] for kind in self.by_type})
        return {
            name: Score.of([row for row in self.per_episode if row.task_type.startswith(f"{name}/")]) for name in names
        }

    @property
    def episodes(self) -> int:
        """How many were finished."""
        return self.total.episodes

    @property
    def tokens(self) -> tuple[int, int]:
        """What models read and wrote in the finished episodes."""
        return sum(row.prompt_tokens for row in self.per_episode), sum(row.reply_tokens for row in self.per_episode)

    @property
    def cost(self) -> float | None:
        """What the answers of endpoints cost, also those that were there already; None without prices."""
        known = [row.cost for row in self.per_episode if row.cost is not None]
        return sum(known) if known else None

    @property
    def calls(self) -> int | None:
        """How often policies behind menus were asked, such as a router's checker; None without such a menu."""
        known = [row.calls for row in self.per_episode if row.calls is not None]
        return sum(known) if known else None

    @property
    def success_rate(self) -> float | None:
        """Share of the finished episodes that was solved; None if there are none."""
        return self.total.success_rate

    def _repr_html_(self) -> str:
        """The report in a notebook."""
        from cmat_env.report_tables import tables_of  # noqa: PLC0415 - only where it is looked at
        from cmat_env.tables import notebook_tables  # noqa: PLC0415

        return notebook_tables(tables_of(self))

    def to_json(self) -> dict[str, Any]:
        """The report in JSON's types, as `cmat eval --json` writes it."""
        members = self.by_member
        return {
            "env": self.env,
            **_listed(asdict(self.total)),
            "by_type": {kind: _listed(asdict(score)) for kind, score in self.by_type.items()},
            **({"by_member": {name: _listed(asdict(each)) for name, each in members.items()}} if members else {}),
            "outcomes": self.outcomes,
            "seconds": self.seconds,
            "dropped": len(self.dropped),
            "errors": list(self.dropped),
            "skipped": self.skipped,
            "checker": None if self.checker is None else asdict(self.checker),
            "trials": [_listed(asdict(score)) for score in self.trials],
            "memory": None if self.memory is None else asdict(self.memory),
            **({"parts": {name: _listed(asdict(each)) for name, each in self.parts.items()}} if self.parts else {}),
            "per_episode": [asdict(row) for row in self.per_episode],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EvalReport:
        """The inverse of `to_json`."""
        return cls(
            env=data["env"],
            total=_score({name: data[name] for name in Score.__dataclass_fields__}),
            by_type={kind: _score(score) for kind, score in data["by_type"].items()},
            outcomes=dict(data["outcomes"]),
            seconds=data["seconds"],
            per_episode=tuple(EpisodeRow(**row) for row in data["per_episode"]),
            dropped=tuple(data["errors"]),
            checker=None if data["checker"] is None else CheckerScore(**data["checker"]),
            parts={name: _part(each) for name, each in data.get("parts", {}).items()},
            skipped=dict(data.get("skipped", {})),
            trials=tuple(_trial(score) for score in data.get("trials", ())),
            memory=MemoryUse(**data["memory"]) if data.get("memory") else None,
        )


def _listed(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"success_ci95": list(fields["success_ci95"])}


def _trial(fields: Mapping[str, Any]) -> TrialScore:
    low, high = fields["success_ci95"]
    return TrialScore(**{**fields, "success_ci95": (low, high), "tokens": Tokens(**fields["tokens"])})


def _part(fields: Mapping[str, Any]) -> PartScore:
    low, high = fields["success_ci95"]
    return PartScore(**{**fields, "success_ci95": (low, high)})


def _score(fields: Mapping[str, Any]) -> Score:
    low, high = fields["success_ci95"]
    return Score(**{**fields, "success_ci95": (low, high)})
