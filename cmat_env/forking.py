"""An episode continued from any of its steps by other policies.

The steps before are played again in a fresh environment, each reply as it was recorded; from there on the policies
reply. A role whose policy is the one that was recorded goes on from its own token ids, everybody else reads the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cmat_env.errors import ConfigError, LogError
from cmat_env.log_lines import EpisodeRecord
from cmat_env.policies.spec import parse_spec
from cmat_env.reexecution import facts, first_difference, remake, require_step
from cmat_env.rollout import Episode, Rollout
from cmat_env.types import Dialogue, Generation, Oracle, Policy, Step, Task, Trajectory


def fork(record: EpisodeRecord, step: int, policies: Mapping[str, str]) -> tuple[Trajectory, dict[str, str]]:
    """Continue an episode.

    Args:
        record: the episode.
        step: the first one that is played anew, from 1.
        policies: by role, who plays from there, such as {"assistant": "gold"}; others stay who they were.

    Returns:
        the new episode, the steps before included, and who played it.

    Raises:
        ConfigError: there is no such step, or nobody plays a role.
        LogError: the fresh environment does not answer as it did, or the continued episode crashed.
    """
    require_step(record, step)
    past, episode = record.trajectory.steps[: step - 1], record.trajectory
    team = {role: policies.get(role) or record.policies.get(role) or "" for role in episode.dialogues}
    players: dict[str, Policy] = {}
    for role, spec in team.items():
        if not spec or spec == "human":
            raise ConfigError(f"who plays the {role} from step {step} on? name a policy, such as --{role} gold")
        policy = parse_spec(spec, role=role, greedy=bool(record.notes.get("greedy", True)))
        replies = _replies(record, past, role, same=spec == record.policies.get(role))
        players[role] = (_ContinuedOracle if isinstance(policy, Oracle) else _Continued)(policy, replies)
    seed = int(record.notes.get("seed", 0))
    rollout = Rollout(lambda: remake(record), players, prompts=_prompts(record), seed=seed, width=1)
    try:
        result = rollout.run([Episode(episode.seed, episode.options, episode.sample)])
    finally:
        rollout.close()
    for dropped in result.dropped:
        raise LogError(f"the continued episode crashed: {dropped.error}")
    [forked] = result.finished
    _check_past(past, forked.steps)
    return forked, team


def _check_past(past: Sequence[Step], now: Sequence[Step]) -> None:
    for before, after in zip(past, now, strict=False):
        difference = first_difference(facts(before), facts(after))
        if difference:
            raise LogError(
                f"the fresh environment answers otherwise at step {before.index + 1} ({difference[0]}), before the "
                "fork; cmat replay --verify shows how"
            )


class _Continued:
    """Says what was recorded, then what the policy says."""

    def __init__(self, policy: Policy, replies: Sequence[tuple[Sequence[int], Generation]]) -> None:
        self._policy = policy
        self._replies = replies

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """See `Policy.generate`; the dialogues are at the same turn, for there is one episode."""
        turn = dialogues[0].replies if dialogues else 0
        if turn >= len(self._replies):
            return self._policy.generate(dialogues, seed=seed)
        prompt_ids, generation = self._replies[turn]
        if generation.token_ids is not None:
            for dialogue in dialogues:
                dialogue.encode(prompt_ids)
        return [generation for _ in dialogues]


class _ContinuedOracle(_Continued):
    """The same around a policy that wants to meet the task."""

    def begin(self, dialogue: Dialogue, task: Task) -> None:
        """See `Oracle.begin`."""
        assert isinstance(self._policy, Oracle)
        self._policy.begin(dialogue, task)


def _replies(
    record: EpisodeRecord, past: Sequence[Step], role: str, *, same: bool
) -> list[tuple[Sequence[int], Generation]]:
    """What a role said before the fork, each with the token ids that stand before it."""
    said = [step.generation for step in past if step.role == role]
    dialogues = record.trajectory.dialogues[role]
    if not same or len(dialogues) != 1 or any(generation.token_ids is None for generation in said):
        return [((), replace(generation, token_ids=None, logprobs=None, values=None)) for generation in said]
    [dialogue] = dialogues
    found: list[tuple[Sequence[int], Generation]] = []
    end = 0
    for generation, (start, stop) in zip(said, dialogue.turns, strict=False):
        found.append((dialogue.token_ids[end:start], generation))
        end = stop
    return found


def _prompts(record: EpisodeRecord) -> dict[str, str]:
    """The system prompts, instructions filled in, as the roles had them."""
    heads = {role: dialogues[0].messages[:1] for role, dialogues in record.trajectory.dialogues.items() if dialogues}
    return {role: head[0].content for role, head in heads.items() if head and head[0].speaker == "system"}
