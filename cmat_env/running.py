"""One episode in progress: whose turn it is, what a reply makes of it (here alone a Step is made), and when it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cmat_env.agents.reflection import request
from cmat_env.plan import Episode, Limits, Playable, Trials
from cmat_env.types import Dialogue, Generation, Recalled, Step, Trajectory

_SAMPLES_APART = 0x9E3779B97F4A7C15
_TRIALS_APART = 0xD1B54A32D192ED03


@dataclass(slots=True)
class Running:
    """One episode in progress; the rollout makes its dialogues.

    Attributes:
        index: its position among the episodes of the run.
        episode: which one it is.
        env: where it is played.
        limits: when a trial is cut off.
        trials: how often it is tried, and what a role is asked to reflect upon.
        dialogues: by role, those of the running trial.
        info: what the environment said at its start.
        steps: what was done in it.
        paid: how many entries of the ledger belong to these steps.
        tokens: sampled in it, of all roles.
        started: when, by `time.perf_counter`.
        recalled: by role, what it was told at the start of what came before.
        past: the trials that are over.
        noted: by role, the reflections on them.
        reflecting: the roles that are still to reflect on the running trial, which has failed; None = not asked yet.
        cut: which limit has ended the running trial.
    """

    index: int
    episode: Episode
    env: Playable
    limits: Limits
    trials: Trials
    dialogues: dict[str, list[Dialogue]] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    paid: int = 0
    tokens: int = 0
    started: float = field(default_factory=time.perf_counter)
    recalled: dict[str, tuple[Recalled, ...]] = field(default_factory=dict)
    past: list[Trajectory] = field(default_factory=list)
    noted: dict[str, tuple[Recalled, ...]] = field(default_factory=dict)
    reflecting: list[str] | None = None
    cut: str | None = None

    @property
    def seed(self) -> int:
        """Of all that is sampled in the running trial."""
        trial = self.episode.trial + len(self.past)
        return self.episode.seed + self.episode.sample * _SAMPLES_APART + trial * _TRIALS_APART

    def begin(self) -> None:
        """Begin the next trial: the environment is reset."""
        env, episode = self.env, self.episode
        env.reset(seed=episode.seed, options=dict(episode.options) if episode.options else None)
        self.steps, self.dialogues, self.recalled, self.reflecting = [], {}, {}, None
        self.cut, self.paid, self.tokens = None, 0, 0
        self.started = time.perf_counter()
        self.info = dict(env.infos[env.agent_selection])

    def shown(self) -> tuple[str, dict[str, str]]:
        """Whose turn it is, and what it is shown."""
        env = self.env
        if not self.reflecting:
            return role_of(env.agent_selection), self._observation(env.agent_selection)
        role = self.reflecting[0]
        last = str(env.observe(f"{role}_0")["message"]) if env.outcome else ""
        outcome = str(self.facts()["outcome"])
        asked = request(self.trials.requests[role], outcome=outcome, observation=last)
        return role, {"message": asked, "speaker": "environment"}

    def reflect(self, generation: Generation) -> Step:
        """The step of a role that was asked to reflect; the environment takes no part."""
        role, seen = self.shown()
        assert self.reflecting
        self.reflecting.pop(0)
        step = Step(
            index=len(self.steps),
            agent=f"{role}_0",
            role=role,
            turn=sum(step.role == role for step in self.steps),
            observation=seen,
            generation=generation,
            dialogue=len(self.dialogues[role]) - 1,
            kind="reflect",
        )
        self.steps.append(step)
        return step

    def act(self, action: str, generation: Generation) -> Step:
        """The step of the agent whose turn it is; `action` is what it made of the generation."""
        env = self.env
        agent = env.agent_selection
        role = role_of(agent)
        seen = self._observation(agent)
        turn = sum(step.role == role for step in self.steps)
        env.step(action)
        payments = tuple(env.ledger.entries[self.paid :])
        self.paid += len(payments)
        self.tokens += len(generation.token_ids or ())
        step = Step(
            index=len(self.steps),
            agent=agent,
            role=role,
            turn=turn,
            observation=seen,
            generation=generation,
            dialogue=len(self.dialogues[role]) - 1,
            payments=payments,
            verdict=env.last_verdict if role == "checker" else None,
            judgement=env.last_judgement if role == "checker" else None,
            info=dict(env.infos.get(agent, {})),
        )
        self.steps.append(step)
        return step

    def facts(self) -> Mapping[str, Any]:
        """How the running trial ended, or was cut off by a limit; empty if it goes on."""
        cut = None if self.env.outcome or self.reflecting is not None else self._limit()
        self.cut = self.cut or cut
        if self.env.outcome:
            return self.env.outcome
        cut_off = {"success": False, "score": 0.0, "outcome": self.cut, "terminated": False, "truncated": True}
        return cut_off if self.cut else {}

    def trajectory(self, facts: Mapping[str, Any]) -> Trajectory:
        """The running trial, which has ended so."""
        return Trajectory(
            env_id=self.env.env_id,
            task_id=str(self.info.get("task_id", self.episode.seed)),
            task_type=str(self.info.get("task_type", "")),
            seed=self.episode.seed,
            steps=tuple(self.steps),
            dialogues={role: tuple(dialogues) for role, dialogues in self.dialogues.items()},
            payments=tuple(self.env.ledger.entries),
            success=bool(facts["success"]),
            score=float(facts["score"]),
            outcome=str(facts["outcome"]),
            terminated=bool(facts["terminated"]),
            truncated=bool(facts["truncated"]),
            seconds=time.perf_counter() - self.started,
            options=self.episode.options,
            sample=self.episode.sample,
            trial=self.episode.trial + len(self.past),
            recalled=dict(self.recalled),
        )

    def _limit(self) -> str | None:
        limits = self.limits
        if len(self.steps) >= limits.turns:
            return "turn limit"
        if limits.tokens is not None and self.tokens >= limits.tokens:
            return "token limit"
        if limits.seconds is not None and time.perf_counter() - self.started >= limits.seconds:
            return "time limit"
        return None

    def _observation(self, agent: str) -> dict[str, str]:
        seen = self.env.observe(agent)
        return {"message": seen["message"], "speaker": self.env.SPEAKERS[int(seen["speaker"])]}


def role_of(agent: str) -> str:
    """The role of a PettingZoo agent: "checker_0" plays "checker"."""
    return agent.rpartition("_")[0]
