"""What an evaluation found: success with its interval, by type, by outcome, and how well the checker judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cmat_env.agents.memory import estimate_tokens
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
        turns = sum(step.role == "assistant" and step.kind == "act" for step in episode.steps)
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
class Tokens:
    """What a set of episodes cost in tokens.

    Attributes:
        read: that others wrote, or the frame of a chat; each is counted once, although a model without a cache reads
            a dialogue again at every turn.
        written: by the roles themselves.
        estimated: were some counted as four characters each, since their policy shows no tokens?
    """

    read: int
    written: int
    estimated: bool

    @classmethod
    def of(cls, episodes: Iterable[Trajectory]) -> Tokens:
        """The cost of all roles together."""
        read = written = 0
        estimated = False
        for episode in episodes:
            for dialogue in (each for dialogues in episode.dialogues.values() for each in dialogues):
                if dialogue.token_ids:
                    own = sum(dialogue.action_mask)
                    read, written = read + len(dialogue.token_ids) - own, written + own
                    continue
                for message in dialogue.messages:
                    estimated, size = True, estimate_tokens(message.content)
                    mine = message.speaker == dialogue.role
                    read, written = read + size * (not mine), written + size * mine
        return cls(read, written, estimated)


@dataclass(frozen=True, slots=True)
class TrialScore:
    """How far a set of episodes had come after a trial.

    Attributes:
        trial: its number, from 1.
        played: how many episodes had one.
        solved: how many of them it solved.
        success_rate: share of all episodes that were solved by then.
        success_ci95: its 95 % Wilson interval.
        tokens: what this trial cost.
    """

    trial: int
    played: int
    solved: int
    success_rate: float
    success_ci95: tuple[float, float]
    tokens: Tokens

    @classmethod
    def all_of(cls, episodes: Sequence[Sequence[Trajectory]]) -> tuple[TrialScore, ...]:
        """The scores of every trial."""
        scores: list[TrialScore] = []
        solved = 0
        for number in range(max(map(len, episodes), default=0)):
            played = [trials[number] for trials in episodes if len(trials) > number]
            now = sum(trial.success for trial in played)
            solved += now
            interval = wilson(solved, len(episodes))
            scores.append(cls(number + 1, len(played), now, solved / len(episodes), interval, Tokens.of(played)))
        return tuple(scores)


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """How an evaluation used long-term memory.

    Attributes:
        continual: could episodes read what earlier ones had written? Success is then no mean of independent episodes.
        block: episodes that were played before what they taught was written.
        before, after: how many memories there were.
        recalled: how many were told to roles, in all trials together.
    """

    continual: bool
    block: int
    before: int
    after: int
    recalled: int

    @classmethod
    def of(
        cls, episodes: Sequence[Sequence[Trajectory]], before: int, after: int, *, continual: bool, block: int
    ) -> MemoryUse:
        """The use in these episodes."""
        told = [item for trials in episodes for trial in trials for items in trial.recalled.values() for item in items]
        recalled = sum(item.memory is not None for item in told)
        return cls(continual, block if continual else 0, before, after, recalled)


@dataclass(frozen=True, slots=True)
class PartScore:
    """How the parts of one family went, over all composite tasks.

    Attributes:
        parts: how many there were, those that were never reached too.
        success_rate: share of them that was answered rightly.
        success_ci95: its 95 % Wilson interval, as if parts were independent.
    """

    parts: int
    success_rate: float
    success_ci95: tuple[float, float]

    @classmethod
    def of(cls, episodes: Sequence[Trajectory]) -> dict[str, PartScore]:
        """By family; empty if no task had parts."""
        right: dict[str, list[bool]] = {}
        for episode in episodes:
            acts = [step for step in episode.steps if step.kind == "act"]
            for part in acts[-1].info.get("parts", ()) if acts else ():
                right.setdefault(part["family"], []).append(part["right"])
        return {
            name: cls(len(each), sum(each) / len(each), wilson(sum(each), len(each)))
            for name, each in sorted(right.items())
        }


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


def _trial(fields: Mapping[str, Any]) -> TrialScore:
    low, high = fields["success_ci95"]
    return TrialScore(**{**fields, "success_ci95": (low, high), "tokens": Tokens(**fields["tokens"])})


def _part(fields: Mapping[str, Any]) -> PartScore:
    low, high = fields["success_ci95"]
    return PartScore(**{**fields, "success_ci95": (low, high)})


def _score(fields: Mapping[str, Any]) -> Score:
    low, high = fields["success_ci95"]
    return Score(**{**fields, "success_ci95": (low, high)})
