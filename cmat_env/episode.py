"""One episode of a team at work on a task: what each role is told, what its words do, and who is paid.

This is the whole game without PettingZoo: roles instead of agents, no spaces, no dead steps.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from cmat_env.agents.parsing import parse_farewell, parse_question, parse_verdict
from cmat_env.ledger import Ledger
from cmat_env.order import ROLES, TASK, Event, Moment
from cmat_env.team import Forkable, Team
from cmat_env.terminal import printable
from cmat_env.types import Brief, Judgement, Payment, Task, Verdict

_KEPT_TURNS = 12


@dataclass(slots=True)
class Episode:
    """The state of one episode; `begin` makes it, `act` takes a turn.

    Attributes:
        team: how the roles work together.
        statement: the task's own first observation.
        infos: by role.
        task_id: which task it is, as the task's own info said at the start.
        task_type: its family, likewise.
        speaker: the role whose turn it is.
        messages: by role, the latest message to it and who said it.
        turns: by role, the index of its latest turn; -1 before the first.
        ledger: who was paid what, and why.
        transcript: the latest turns as (speaker, message).
        outcome: once it is over, `success`, `score`, `outcome`, `terminated`, `truncated`; before that None.
        last_verdict: the verdict of the latest action, if that was the checker's.
        last_judgement: the task's opinion on the proposal that the latest action judged, where it has one.
        news: what the checker has not been told yet.
        proposal: the assistant's latest.
        dry_run: what the checker was told that it would give.
        refused: the task's opinion on the proposal that is being revised, where it has one.
        asked: how many questions the assistant has asked.
        answering: is the user to answer one?
        executed: how many actions the task has executed.
        revisions: how many the checker asked for since then.
        task_return: what the task paid in all.
    """

    team: Team
    statement: str
    infos: dict[str, dict[str, Any]]
    task_id: str = ""
    task_type: str = ""
    speaker: str = ""
    messages: dict[str, tuple[str, str]] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROLES, -1))
    ledger: Ledger = field(default_factory=Ledger)
    transcript: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_KEPT_TURNS))
    outcome: dict[str, Any] | None = None
    last_verdict: Verdict | None = None
    last_judgement: Judgement | None = None
    news: list[str] = field(default_factory=list)
    proposal: str = ""
    dry_run: str = ""
    refused: Judgement | None = None
    asked: int = 0
    answering: bool = False
    executed: int = 0
    revisions: int = 0
    task_return: float = 0.0

    @classmethod
    def begin(cls, team: Team, statement: str, info: Mapping[str, Any], brief: Brief | None = None) -> Episode:
        """The start: the statement goes to whoever speaks first, and nobody else knows anything yet."""
        episode = cls(team, statement, {role: dict(info) for role in team.roles}, news=[statement])
        episode.task_id, episode.task_type = str(info.get("task_id", "")), str(info.get("task_type", ""))
        episode.messages = dict.fromkeys(team.roles, ("", "environment"))
        episode.transcript.append(("environment", statement))
        first = episode._next("start")
        told = statement
        if first == "user" and brief is not None and brief.facts:
            told = team.wording.brief.format(statement=statement, facts=" ".join(brief.facts))
        episode._address(first, told, "environment" if first == "user" else "user")
        return episode

    def act(self, task: Task, text: str) -> None:
        """Take the turn of `speaker`."""
        self.last_verdict = self.last_judgement = None
        role = self.speaker
        self.turns[role] += 1
        self.transcript.append((role, text))
        if role == "assistant":
            self._propose(task, text)
        elif role == "checker":
            self._review(task, text)
        else:
            self._instruct(task, text)

    def copy(self) -> Episode:
        """An episode with the same past and a future of its own."""
        twin = copy.copy(self)
        twin.infos = copy.deepcopy(self.infos)
        twin.messages, twin.turns = dict(self.messages), dict(self.turns)
        twin.ledger, twin.transcript, twin.news = Ledger(self.ledger.entries), self.transcript.copy(), list(self.news)
        twin.outcome = None if self.outcome is None else dict(self.outcome)
        return twin

    def drawn(self, turns: int = _KEPT_TURNS) -> str:
        """The latest turns as text that any terminal can show and none obeys."""
        latest = list(self.transcript)[-turns:]
        return printable("\n".join(f"[{speaker}] {message}" for speaker, message in latest))

    def _next(self, event: Event) -> str:
        return self.team.next(Moment(event, self.team.roles, self.executed, self.revisions, self.team.max_revisions))

    def _address(self, role: str, message: str, speaker: str) -> None:
        """Tell `role` and let it speak next."""
        self.messages[role] = (self.team.cut(message), speaker)
        self.speaker = role

    def _instruct(self, task: Task, text: str) -> None:
        """The user spoke; where it has no words of its own, the assistant is told what the user was."""
        said = text.strip()
        if self.answering:
            self._answer(text if said else self.team.wording.no_answer)
            return
        if not self.executed:
            words = text if said else self.statement
            self.news = [words]
            self._address("assistant", words, "user")
            return
        finish = _extra(task, "finish")
        if finish is not None and parse_farewell(text):
            self._take(finish())
            return
        observation, _ = self.messages["user"]
        if said and said != observation.strip():
            observation = self.team.wording.comment.format(observation=observation, message=text)
            self.news[-1] = self.team.wording.outcome.format(observation=observation)
        self._address("assistant", observation, "environment")

    def _ask(self, question: str) -> None:
        """The assistant has a question; it is no action, and nobody is paid for it."""
        self.asked += 1
        self.answering = True
        self.news.append(self.team.wording.question.format(question=question))
        self._address("user", question, "assistant")

    def _answer(self, words: str) -> None:
        self.answering = False
        self.news.append(self.team.wording.answer.format(answer=words))
        self._address("assistant", words, "user")

    def _propose(self, task: Task, text: str) -> None:
        if self.asked < self.team.questions and "user" in self.team.roles:
            question = parse_question(text)
            if question is not None:
                self._ask(question)
                return
        self.proposal = text
        if self.refused is not None:
            self._pay_revision(task, self.refused)
        if self._next("proposal") == TASK:
            self._execute(task)
            return
        wording = self.team.wording
        parts = [*self.news, wording.proposal.format(action=text)]
        self.dry_run = ""
        if self.team.dry_run and _extra(task, "dry_runs") is not False:
            self.dry_run = wording.dry_run.format(observation=self._dry_run(task, text))
            parts.append(self.dry_run)
        self.news = []
        self._address("checker", "\n".join(parts), "assistant")

    def _dry_run(self, task: Task, text: str) -> str:
        """What the task would answer; its state is put back. No grade leaks: of an end, only that it would come; of an
        answer that is graded at once, only that it would be."""
        assert isinstance(task, Forkable)
        state = task.snapshot()
        try:
            observation, _, terminated, truncated, info = task.step(text)
        finally:
            task.restore(state)
        if info.get("graded") is True:
            return self.team.wording.dry_graded
        return self.team.wording.dry_end if terminated or truncated else observation

    def _review(self, task: Task, text: str) -> None:
        self.last_verdict = verdict = parse_verdict(text)
        self.last_judgement = _judgement(task, self.proposal)
        if self.last_judgement is not None:
            self._pay("checker", self.team.rewards.of_verdict(verdict, self.last_judgement), "verdict")
        if not verdict.approve:
            self.revisions += 1
        if verdict.approve or self._next("revise") == TASK:
            self._execute(task)
        else:
            self.refused = self.last_judgement
            told = text if self.team.feedback == "words" else self.team.wording.refusal
            shared = self.dry_run and self.team.share_dry_run
            self._address("assistant", f"{told}\n{self.dry_run}" if shared else told, "checker")
        read = {"approve": verdict.approve, "confidence": verdict.confidence, "parsed": verdict.parsed}
        self.infos["checker"] = {**self.infos["checker"], "verdict": read}

    def _pay_revision(self, task: Task, before: Judgement) -> None:
        """Pay for what became of a proposal that was refused; the checker for the turn in which it asked."""
        self.refused = None
        rules = self.team.rewards
        after = _judgement(task, self.proposal) if rules.revision or rules.reviser else None
        if after is not None:
            for role, amount in rules.of_revision(before, after):
                self._pay(role, amount, "revision")

    def _execute(self, task: Task) -> None:
        """Let the task execute the proposal."""
        self._take(task.step(self.proposal))

    def _take(self, answer: tuple[str, Any, bool, bool, dict[str, Any]]) -> None:
        """Take in what the task answered: pay for it, and go on or end."""
        observation, reward, terminated, truncated, info = answer
        self.executed += 1
        self.revisions = 0
        self.transcript.append(("environment", observation))
        self.infos = {role: dict(info) for role in self.team.roles}
        self.task_return += float(reward)
        self._pay("assistant", float(reward), "task")
        self.news.append(self.team.wording.outcome.format(observation=observation))
        if terminated or truncated:
            self._end(observation, bool(terminated), info)
        else:
            event: Event = "milestone" if info.get("milestone") is True else "outcome"
            self._address(self._next(event), observation, "environment")

    def _end(self, observation: str, terminated: bool, info: Mapping[str, Any]) -> None:
        for role, amount in self.team.rewards.at_end(self.task_return):
            self._pay(role, amount, "team")
        told = dict.fromkeys(self.team.roles, observation) | {"checker": "\n".join(self.news)}
        self.messages = {role: (self.team.cut(told[role]), "environment") for role in self.team.roles}
        success = bool(info.get("success", terminated and self.task_return > 0.0))
        self.outcome = {
            "success": success,
            "score": float(info.get("score", self.task_return)),
            "outcome": str(info.get("outcome", "success" if success else "failure" if terminated else "limit")),
            "terminated": terminated,
            "truncated": not terminated,
        }

    def _pay(self, role: str, amount: float, reason: str) -> None:
        if amount and role in self.team.roles:
            self.ledger.pay(Payment(role, amount, reason, self.turns[role]))


def _extra(task: Task, name: str) -> Any:
    """What a task offers beside the least, also through Gymnasium's wrappers; None if it does not."""
    return getattr(task.unwrapped if isinstance(task, gymnasium.Wrapper) else task, name, None)


def _judgement(task: Task, action: str) -> Judgement | None:
    """The task's opinion on an action, where it has one."""
    judge = _extra(task, "judge")
    opinion: Judgement | None = judge(action) if judge else None
    return opinion
