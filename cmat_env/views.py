"""A CollabEnv in other shapes: a Gymnasium environment of one learning role, and PettingZoo's Parallel API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium

from cmat_env.collab import SPEAKERS, CollabEnv
from cmat_env.errors import ConfigError, ContractError, PolicyError, did_you_mean
from cmat_env.parallel import ParallelCollab
from cmat_env.policies.spec import parse_spec
from cmat_env.types import Dialogue, Message, Oracle, Policy

__all__ = ["ParallelCollab", "RoleEnv"]

_SEEDS = 1 << 31


class RoleEnv(gymnasium.Env[dict[str, Any], str]):
    """One role learns, given policies play the others.

    The reward of a step is all that the role earned since its previous turn.

    Args:
        env: the team; this view owns it.
        role: the one that the caller plays.
        partners: for every other role that is present a policy, or a word for one ("gold", "hf:PATH"). An `Oracle`
            meets the task of each episode.
        prompts: by role, the system message of a partner.
        seed: given to the partners' `generate`.

    Raises:
        ConfigError: a role is absent, has no policy, or can never have a turn.
    """

    def __init__(
        self,
        env: CollabEnv,
        *,
        role: str = "assistant",
        partners: Mapping[str, Policy | str] | None = None,
        prompts: Mapping[str, str] | None = None,
        seed: int = 0,
    ) -> None:
        if role not in env.roles:
            raise ConfigError(f"role={role!r} is not in the team; {did_you_mean(role, env.roles)}")
        if role == "checker" and not env.team.max_revisions:
            raise ConfigError("with max_revisions=0 the checker never has a turn; set max_revisions=1 or more")
        self.partners: dict[str, Policy] = {
            name: parse_spec(policy, role=name) if isinstance(policy, str) else policy
            for name, policy in (partners or {}).items()
        }
        self.prompts = dict(prompts or {})
        others = [name for name in env.roles if name != role]
        if sorted(others) != sorted(self.partners):
            raise ConfigError(f"partners has {sorted(self.partners)}; it must have a policy for each of {others}")
        self.env, self.role, self.seed = env, role, seed
        self.agent = f"{role}_0"
        self.metadata = {"render_modes": env.metadata["render_modes"]}
        self.render_mode = env.render_mode
        self.observation_space = env.observation_space(self.agent)
        self.action_space = env.action_space(self.agent)
        self.dialogues: dict[str, Dialogue] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode and play on to the role's first turn.

        Raises:
            ContractError: the episode is over before the role had a turn.
        """
        super().reset(seed=seed)
        episode_seed = int(self.np_random.integers(_SEEDS)) if seed is None else seed
        self.env.reset(seed=episode_seed, options=options)
        for role, policy in self.partners.items():
            dialogue = self.dialogues[role] = Dialogue(role, seed=episode_seed)
            if role in self.prompts:
                dialogue.say(Message("system", self.prompts[role]))
            if isinstance(policy, Oracle):
                policy.begin(dialogue, self.env.task)
        self._play_others()
        if self.env.outcome is not None:
            raise ContractError(f"the episode ended before {self.agent} had a turn; give its partners other policies")
        return self.env.observe(self.agent), dict(self.env.infos[self.agent])

    def step(self, action: str) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Take the role's turn, and let the others play on to its next one.

        Raises:
            PolicyError: the policy of another role could not answer.
        """
        paid = len(self.env.ledger)
        self.env.step(action)
        self._play_others()
        earned = sum((each.amount for each in self.env.ledger.since(paid) if each.role == self.role), 0.0)
        outcome = self.env.outcome or {"terminated": False, "truncated": False}
        info = dict(self.env.infos[self.agent])
        return self.env.observe(self.agent), earned, outcome["terminated"], outcome["truncated"], info

    def render(self) -> str | None:
        """The latest turns; see `CollabEnv.render`."""
        return self.env.render()

    def close(self) -> None:
        """Release what the task holds; again is fine."""
        self.env.close()

    def _play_others(self) -> None:
        while self.env.outcome is None and self.env.agent_selection != self.agent:
            role = self.env.agent_selection[:-2]
            observation = self.env.observe(self.env.agent_selection)
            dialogue = self.dialogues[role]
            dialogue.say(Message(SPEAKERS[observation["speaker"]], observation["message"]))
            generation = self.partners[role].generate([dialogue], seed=self.seed)[0]
            if generation.finish_reason == "error":
                raise PolicyError(f"the {role} could not answer: {generation.text}")
            dialogue.reply(generation)
            self.env.step(generation.text)
