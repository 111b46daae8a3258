"""The invariants that training stands on, checked on a user's own task and model: `cmat doctor ENV --model FOLDER`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cmat_env.agents.agent import Agent
from cmat_env.agents.prompts import prompts_of
from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError, ContractError, MissingExtraError
from cmat_env.log_fields import json_safe
from cmat_env.plan import Limits
from cmat_env.policies.scripted import ApprovePolicy, RandomPolicy
from cmat_env.reexecution import facts
from cmat_env.registry import make, make_task
from cmat_env.rollout import Episode, Rollout
from cmat_env.testing import check_collab, check_task
from cmat_env.types import Policy, Trajectory

if TYPE_CHECKING:
    from cmat_env.policies.hf import HFPolicy

ROLES = ("assistant", "checker")
Adapter = Literal["full", "lora", "ptuning"]
_STYLES = {
    "concatenative": "prefix-stable: each message is rendered by itself",
    "prefix": "prefix-stable: what is rendered never changes",
    "anchored": "not prefix-stable: it rewrites earlier turns",
}
_KEPT = "cmat keeps earlier turns as they were sampled; another engine with this template would not show them so"
_NEAR = {"float32": 1e-3, "float64": 1e-3, "bfloat16": 0.2, "float16": 0.05}
_TURNS = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to.

    Attributes:
        name: of the invariant.
        holds: does it? None = it does, with a remark.
        value: what was measured.
        advice: what to do, or what to know.
    """

    name: str
    holds: bool | None
    value: str
    advice: str = ""


def examine(
    env: str,
    *,
    settings: dict[str, Any] | None = None,
    model: Path | None = None,
    adapter: Adapter = "lora",
    episodes: int = 6,
    seed: int = 0,
) -> Iterator[Finding]:
    """Check a task, and a model on it.

    Args:
        env: id of a registered environment.
        settings: of the task.
        model: folder of a model in the Hugging Face format; without one scripted policies play.
        adapter: what each role owns of it.
        episodes: how many are played.
        seed: of the run.

    Raises:
        UnknownNameError: no environment has this name.
        ConfigError: a setting is wrong, or the model cannot be loaded.
    """
    given = dict(settings or {})
    if episodes < 2:
        raise ConfigError(f"episodes={episodes}: a batch needs at least 2")

    def team() -> CollabEnv:
        return make(env, roles=ROLES, **given)

    team().close()  # shows a mistake in its settings
    yield _contract("task contract", lambda: check_task(lambda: make_task(env, **given)))
    yield _contract("team contract", lambda: check_collab(team))
    players: dict[str, Policy] = {"assistant": RandomPolicy(), "checker": ApprovePolicy()}
    if model is not None:
        hf = _load(model, adapter, seed)
        yield _template(hf)
        players = dict.fromkeys(ROLES, hf)
    plan = [Episode(seed * 1000 + index) for index in range(episodes)]
    together = _play(team, players, plan, seed, width=episodes)
    yield _seeds(team, players, plan, seed, together)
    yield _rewards(team, together)
    if model is not None:
        yield from _model(hf, together)


def _contract(name: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except ContractError as error:
        return Finding(name, False, str(error), "see cmat_env.testing")
    return Finding(name, True, "kept")


def _load(model: Path, adapter: Adapter, seed: int) -> HFPolicy:
    try:
        from cmat_env.policies.adapters import AdapterSettings  # noqa: PLC0415 - torch is heavy and optional
        from cmat_env.policies.hf import HFPolicy  # noqa: PLC0415
        from cmat_env.policies.sampling import Sampling  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(error.name or "torch", "train") from error
    base = HFPolicy.load(model)
    sampling = Sampling(max_new_tokens=32)
    tokenizer = base.chat.tokenizer
    return HFPolicy(
        base.weights.base, tokenizer, roles=ROLES, adapter=AdapterSettings(adapter), sampling=sampling, seed=seed
    )


def _template(policy: HFPolicy) -> Finding:
    template = policy.chat.template
    value = f"{_STYLES[template.style]}; a reply ends with {template.end!r}"
    if not template.takes_system:
        value += "; system prompts are said by the user"
    if template.style == "anchored":
        return Finding("template", None, value, _KEPT)
    return Finding("template", True, value)


def _play(
    make_env: Callable[[], CollabEnv], players: dict[str, Policy], plan: Sequence[Episode], seed: int, *, width: int
) -> list[Trajectory]:
    rollout = Rollout(
        make_env, players, prompts=prompts_of("names"), seed=seed, width=width, limits=Limits(turns=_TURNS)
    )
    try:
        result = rollout.run(plan)
    finally:
        rollout.close()
    for dropped in result.dropped:
        raise ContractError(f"the task crashed in the episode with seed {dropped.episode.seed}: {dropped.error}")
    return result.finished


def _seeds(
    make_env: Callable[[], CollabEnv],
    players: dict[str, Policy],
    plan: Sequence[Episode],
    seed: int,
    together: Sequence[Trajectory],
) -> Finding:
    """An episode alone, in another order and under another global random state is the same episode."""
    state = random.getstate()
    random.seed(12345)
    try:
        alone = _play(make_env, players, plan[::-1], seed, width=1)[::-1]
    finally:
        random.setstate(state)
    other = [one.seed for one, two in zip(together, alone, strict=True) if _story(one) != _story(two)]
    if other:
        value = (
            f"{len(other)} of {len(plan)} episodes are others alone than in a batch, such as that of seed {other[0]}"
        )
        return Finding("seeds", False, value, "draw from the episode's own seed; in bfloat16, rounding can tip a token")
    return Finding("seeds", True, f"{len(plan)} episodes are the same alone and in a batch")


def _story(episode: Trajectory) -> Any:
    said = [(step.generation.text, step.generation.token_ids) for step in episode.steps]
    return said, [facts(step) for step in episode.steps], episode.outcome


def _rewards(make_env: Callable[[], CollabEnv], episodes: Sequence[Trajectory]) -> Finding:
    """What PettingZoo pays the agents is what stands in the ledger, entry by entry."""
    env = make_env()
    total = 0.0
    try:
        for episode in episodes:
            env.reset(seed=episode.seed)
            sums = dict.fromkeys(episode.dialogues, 0.0)
            for step in episode.steps:
                env.step(Agent(step.role).act(step.generation))
                for agent, reward in env.rewards.items():
                    sums[env.role_of(agent)] += reward
            if any(abs(sums[role] - amount) > 1e-9 for role, amount in episode.returns().items()):
                value = f"seed {episode.seed}: rewards {json_safe(sums)}, ledger {json_safe(episode.returns())}"
                return Finding("rewards", False, value, "pay through the ledger alone")
            total += sum(abs(payment.amount) for payment in episode.payments)
    finally:
        env.close()
    remark = "" if total else "nothing was paid in these episodes, so this says little"
    return Finding("rewards", True if total else None, f"rewards equal the ledger, {total:g} in all", remark)


def _model(policy: HFPolicy, episodes: Sequence[Trajectory]) -> Iterator[Finding]:
    from cmat_env.tuning import model_checks  # noqa: PLC0415 - torch is heavy and optional
    from cmat_env.tuning.rows import role_batch  # noqa: PLC0415

    precision = str(policy.weights.base.dtype).removeprefix("torch.")
    near = _NEAR.get(precision, 1e-3)
    for role in ROLES:
        batch = role_batch(episodes, role)
        if not batch.rows:
            yield Finding(f"ratio, {role}", None, "no token was sampled", "play more episodes: --episodes")
            continue
        faults = model_checks.mask_faults(episodes, role)
        sampled = sum(row.actions for row in batch.rows)
        yield Finding(f"mask, {role}", not faults, faults[0] if faults else f"{sampled} sampled tokens, all masked")
        if faults:
            continue
        off = model_checks.log_ratios(policy, batch, role, policy.weights.device).abs()
        value = f"log ratio at most {float(off.max()):.1e}, mean {float(off.mean()):.1e} ({precision})"
        advice = f"wanted at most {near:g}: sampling and training do not see the same model"
        yield Finding(f"ratio, {role}", bool(off.max() <= near), value, advice)
        lost = model_checks.unpaid(episodes, role)
        value = f"{lost:g} of its pay did not reach a token"
        yield Finding(f"credit, {role}", abs(lost) < 1e-9, value, "a payment must name the turn that earned it")
    found = model_checks.leaks(policy, episodes)
    value = "; ".join(found) or "each role moves alone, and the base not at all"
    yield Finding("adapters", not found, value, "the model shares tensors between roles in a way of its own")
