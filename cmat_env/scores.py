"""The scores that a report is made of: of rows, types, checkers, parts, trials, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
        calls: replies of policies behind menus, such as a router's checker; None where no role chose from such a menu.
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
    calls: int | None = None

    @classmethod
    def of(cls, episode: Trajectory) -> EpisodeRow:
        """The row of a finished episode."""
        reward = sum(payment.amount for payment in episode.payments if payment.reason == "task")
        turns = sum(step.role == "assistant" and step.kind == "act" for step in episode.steps)
        tokens = [_tokens(step, episode) for step in episode.steps]
        usages = [step.generation.usage for step in episode.steps if step.generation.usage]
        costs = [usage.cost for usage in usages if usage.cost is not None]
        calls = [usage.calls for usage in usages if usage.calls is not None]
        return cls(
            episode.task_id,
            episode.task_type,
            episode.success,
            reward,
            turns,
            episode.outcome,
            sum(read for read, _ in tokens),
            sum(written for _, written in tokens),
            sum(costs) if costs else None,
            sum(calls) if calls else None,
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
