"""Recorded episodes played again in a fresh environment: does it still answer the same, and what if another had acted?

A step's action is taken from the log; everything else of it (who speaks, what it hears, verdict, payments, info) is
what the environment made of it, and must come again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cmat_env.agents.agent import Agent
from cmat_env.errors import CmatError, ConfigError, LogError
from cmat_env.game import make_playable
from cmat_env.ledger import RewardRule
from cmat_env.log_fields import json_safe
from cmat_env.log_lines import EpisodeRecord
from cmat_env.order import Wording
from cmat_env.plan import Playable
from cmat_env.rollout import role_of
from cmat_env.trials import REASON
from cmat_env.types import Step

_LIMITS = ("turn limit", "token limit", "time limit")
"""Outcomes of a rollout that cuts an episode off, of which the environment knows nothing."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first thing that came out otherwise.

    Attributes:
        step: position from 0; the number of steps means the episode's end.
        field: what differs, such as "observation.message".
        recorded: what the log has.
        now: what the fresh environment gave.
    """

    step: int
    field: str
    recorded: Any
    now: Any


def remake(record: EpisodeRecord) -> Playable:
    """A fresh environment like the one that an episode was recorded in.

    Raises:
        LogError: the log does not say how it was made.
        CmatError: it cannot be made here; see `cmat_env.make`.
    """
    settings = dict(record.settings)
    if record.trajectory.env_id == "custom" or "order" in settings:
        what = "an order of turns of its own" if "order" in settings else "no registered id"
        raise LogError(
            f"the environment of this episode has {what}, so the log cannot make it again; "
            "make it yourself and call cmat_env.reexecution.verify(record, env)"
        )
    settings["roles"] = tuple(settings.get("roles") or record.trajectory.dialogues)
    for name, kind in (("rewards", RewardRule), ("wording", Wording)):
        if isinstance(settings.get(name), Mapping):
            settings[name] = kind(**settings[name])
    return make_playable(record.trajectory.env_id, **settings)


def verify(record: EpisodeRecord, env: Playable | None = None) -> Divergence | None:
    """Play an episode's actions again and compare everything that the environment says.

    Args:
        record: the episode.
        env: where; by default one made as the log says, which is closed afterwards.

    Returns:
        The first divergence, or None.
    """
    made = env or remake(record)
    try:
        return next(_divergences(record, made), None)
    finally:
        if env is None:
            made.close()


def facts(step: Step) -> dict[str, Any]:
    """What the environment had to do with a step, by field, in JSON's types."""
    return {
        "agent": step.agent,
        "observation.speaker": step.observation["speaker"],
        "observation.message": step.observation["message"],
        **_consequences(step.verdict, step.judgement, step.payments, step.info),
    }


def first_difference(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first field in which two mappings of the same keys differ, with both values."""
    for field, value in recorded.items():
        if now[field] != value:
            return field, value, now[field]
    return None


def _divergences(record: EpisodeRecord, env: Playable) -> Iterator[Divergence]:
    episode = record.trajectory
    done = 0
    try:
        env.reset(seed=episode.seed, options=dict(episode.options) if episode.options else None)
        for step in episode.steps:
            if step.kind == "reflect":  # said to nobody but the next trial
                done += 1
                continue
            if env.outcome is not None:
                yield Divergence(done, "end", "the episode goes on", env.outcome["outcome"])
                return
            difference = first_difference(facts(step), _play(env, step))
            if difference:
                yield Divergence(done, *difference)
            done += 1
        yield from (Divergence(done, *each) for each in _endings(record, env))
    except CmatError:
        raise
    except Exception as error:  # a task that crashes where it once did not is a finding like any other
        yield Divergence(done, "crash", "none", f"{type(error).__name__}: {error}")


def _play(env: Playable, step: Step) -> dict[str, Any]:
    """Take a recorded action; the same facts as `facts`, of now."""
    agent = env.agent_selection
    seen = env.observe(agent)
    paid = len(env.ledger.entries)
    env.step(Agent(step.role).act(step.generation))
    checks = role_of(agent) == "checker"
    return {
        "agent": agent,
        "observation.speaker": env.SPEAKERS[int(seen["speaker"])],
        "observation.message": seen["message"],
        **_consequences(
            env.last_verdict if checks else None,
            env.last_judgement if checks else None,
            env.ledger.entries[paid:],
            env.infos.get(agent, {}),
        ),
    }


def _consequences(verdict: Any, judgement: Any, payments: Sequence[Any], info: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "verdict": None if verdict is None else json_safe(asdict(verdict)),
        "judgement": None if judgement is None else json_safe(asdict(judgement)),
        "payments": [json_safe(asdict(payment)) for payment in payments],
        "info": json_safe(info),
    }


def _endings(record: EpisodeRecord, env: Playable) -> Iterator[tuple[str, Any, Any]]:
    episode, now = record.trajectory, env.outcome
    if now is None:
        if not (episode.truncated and episode.outcome in _LIMITS):
            yield "end", episode.outcome, "the episode goes on"
        return
    for name in ("success", "score", "outcome", "terminated", "truncated"):
        if json_safe(getattr(episode, name)) != json_safe(now[name]):
            yield name, getattr(episode, name), now[name]
    returns = dict.fromkeys(episode.dialogues, 0.0)
    for payment in env.ledger.entries:
        returns[payment.role] = returns.get(payment.role, 0.0) + payment.amount
    of_trial = tuple(payment for payment in episode.payments if payment.reason != REASON)
    recorded = replace(episode, payments=of_trial).returns()
    if json_safe(recorded) != json_safe(returns):
        yield "returns", recorded, returns


def require_step(record: EpisodeRecord, step: int) -> None:
    """Raise unless an episode has this step, counted from 1.

    Raises:
        ConfigError: it has not.
    """
    count = len(record.trajectory.steps)
    if not 1 <= step <= count:
        raise ConfigError(f"no step {step}: the episode has steps 1 to {count}")
