"""What an evaluation found: success with its interval, by type, by outcome, and how well the checker judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cmat_env.types import Step, Trajectory

Z95 = 1.959963984540054


def wilson(successes: int, episodes: int) -> tuple[float, float]:
    """The 95 % interval of a success rate; (0, 1) where nothing was seen.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
    """
    if episodes == 0:
        return 0.0, 1.0
    rate, share = successes / episodes, Z95 * Z95 / episodes
    middle = (rate + share / 2) / (1 + share)
    half = Z95 / (1 + share) * math.sqrt(rate * (1 - rate) / episodes + share / (4 * episodes))
    return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One episode in a report.

    Attributes:
        task_id: which task was played.
        task_type: its family.
        success: was it solved?
        reward: all that the task paid.
        turns: how often the assistant spoke.
        outcome: why it ended.
        prompt_tokens: read by models in all, as far as they say so; what a reply is given counts anew each turn.
        reply_tokens: written by models in all, likewise.
        cost: of the answers of endpoints, at the prices given; None where none is.
    """

    task_id: str
    task_type: str
    success: bool
    reward: float
    turns: int
    outcome: str
    prompt_tokens: int = 0
    reply_tokens: int = 0
    cost: float | None = None

    @classmethod
    def of(cls, episode: Trajectory) -> EpisodeRow:
        """The row of a finished episode."""
        reward = sum(payment.amount for payment in episode.payments if payment.reason == "task")
        turns = sum(step.role == "assistant" for step in episode.steps)
        tokens = [_tokens(step, episode) for step in episode.steps]
        costs = [step.generation.usage.cost for step in episode.steps if step.generation.usage]
        known = [cost for cost in costs if cost is not None]
        return cls(
            episode.task_id,
            episode.task_type,
            episode.success,
            reward,
            turns,
            episode.outcome,
            sum(read for read, _ in tokens),
            sum(written for _, written in tokens),
            sum(known) if known else None,
        )


@dataclass(frozen=True, slots=True)
class Score:
    """How a set of episodes went.

    Attributes:
        episodes: how many were finished.
        success_rate: share of them that was solved; None if there are none.
        success_ci95: its 95 % Wilson interval.
        mean_reward: mean of what the task paid; None if there are none.
    """

    episodes: int
    success_rate: float | None
    success_ci95: tuple[float, float]
    mean_reward: float | None

    @classmethod
    def of(cls, rows: Sequence[EpisodeRow]) -> Score:
        """The score of these episodes."""
        solved = sum(row.success for row in rows)
        if not rows:
            return cls(0, None, wilson(0, 0), None)
        return cls(
            len(rows), solved / len(rows), wilson(solved, len(rows)), sum(row.reward for row in rows) / len(rows)
        )


@dataclass(frozen=True, slots=True)
class CheckerScore:
    """How well the checker told bad proposals from good ones, where the task could judge them. None = never happened.

    Attributes:
        verdicts: how many it gave.
        judged: how many of them were on proposals that the task judged.
        revision_rate: share of verdicts that asked for a revision.
        precision: of the judged proposals that it refused, the share that was bad.
        recall: of the bad proposals, the share that it refused.
        false_alarm_rate: of the good proposals, the share that it refused.
        unparsed: how many replies held no verdict and counted as approvals.
    """

    verdicts: int
    judged: int
    revision_rate: float | None
    precision: float | None
    recall: float | None
    false_alarm_rate: float | None
    unparsed: int

    @classmethod
    def of(cls, episodes: Sequence[Trajectory]) -> CheckerScore | None:
        """The score of the checker in these episodes; None if there was no checker."""
        if not any("checker" in episode.dialogues for episode in episodes):
            return None
        given = [(step.verdict, step.judgement) for episode in episodes for step in episode.steps if step.verdict]
        judged = [(not verdict.approve, not judgement.good) for verdict, judgement in given if judgement]
        refused = sum(revise for revise, _ in judged)
        bad = sum(wrong for _, wrong in judged)
        caught = sum(revise and wrong for revise, wrong in judged)
        return cls(
            verdicts=len(given),
            judged=len(judged),
            revision_rate=_share(sum(not verdict.approve for verdict, _ in given), len(given)),
            precision=_share(caught, refused),
            recall=_share(caught, bad),
            false_alarm_rate=_share(refused - caught, len(judged) - bad),
            unparsed=sum(not verdict.parsed for verdict, _ in given),
        )


@dataclass(frozen=True, slots=True)
class EvalReport:
    """What an evaluation found.

    Attributes:
        env: id of the environment.
        total: how all finished episodes went.
        by_type: the same by task type.
        outcomes: how often each outcome came.
        seconds: wall time of the evaluation.
        per_episode: one row a finished episode, in order.
        dropped: one line for every episode that a crash ended; they count nowhere else.
        skipped: by id, why a task of the file was not played at all.
        checker: how well the checker judged; None if there was none.
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
        """The report on these finished episodes."""
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
            checker=CheckerScore.of(episodes),
            skipped=dict(skipped or {}),
        )

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
    def success_rate(self) -> float | None:
        """Share of the finished episodes that was solved; None if there are none."""
        return self.total.success_rate

    def to_json(self) -> dict[str, Any]:
        """The report in JSON's types, as `cmat eval --json` writes it."""
        return {
            "env": self.env,
            **_listed(asdict(self.total)),
            "by_type": {kind: _listed(asdict(score)) for kind, score in self.by_type.items()},
            "outcomes": self.outcomes,
            "seconds": self.seconds,
            "dropped": len(self.dropped),
            "errors": list(self.dropped),
            "skipped": self.skipped,
            "checker": None if self.checker is None else asdict(self.checker),
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
            skipped=dict(data.get("skipped", {})),
        )


def _tokens(step: Step, episode: Trajectory) -> tuple[int, int]:
    """How many tokens a reply's policy read and wrote; (0, 0) where nobody knows."""
    said = step.generation
    if said.usage is not None:
        return said.usage.prompt_tokens, said.usage.reply_tokens
    if said.token_ids is None:
        return 0, 0
    dialogue = episode.dialogues[step.role][step.dialogue]
    same = [each for each in episode.steps if (each.role, each.dialogue) == (step.role, step.dialogue)]
    start, _ = dialogue.turns[[each.index for each in same].index(step.index)]
    return start, len(said.token_ids)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _listed(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"success_ci95": list(fields["success_ci95"])}


def _score(fields: Mapping[str, Any]) -> Score:
    low, high = fields["success_ci95"]
    return Score(**{**fields, "success_ci95": (low, high)})
