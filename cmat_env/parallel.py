"""A CollabEnv in the shape of PettingZoo's Parallel API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium.spaces import Space
from pettingzoo.utils.env import ParallelEnv

from cmat_env.collab import CollabEnv
from cmat_env.errors import ContractError


class ParallelCollab(ParallelEnv[str, dict[str, Any], str]):
    """All agents are stepped at once, and the one whose turn it is acts; what the others say is not heard.

    `infos[agent]["acts"]` says whether the agent's next action counts.

    Args:
        env: the team; this view owns it.
    """

    def __init__(self, env: CollabEnv) -> None:
        self.env = env
        self.metadata = {**env.metadata, "is_parallelizable": True}
        self.render_mode = env.render_mode
        self.possible_agents = list(env.possible_agents)
        self.agents: list[str] = []
        self.observation_spaces, self.action_spaces = env.observation_spaces, env.action_spaces

    def observation_space(self, agent: str) -> Space[dict[str, Any]]:
        """What `agent` observes: always the same object."""
        return self.env.observation_space(agent)

    def action_space(self, agent: str) -> Space[str]:
        """What `agent` may do: always the same object."""
        return self.env.action_space(agent)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Begin an episode."""
        self.env.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        return self._observations(), self._infos()

    def step(
        self, actions: Mapping[str, str | None]
    ) -> tuple[
        dict[str, dict[str, Any]],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Let the agent whose turn it is act.

        Args:
            actions: by agent; those of waiting agents may be None or left out.

        Raises:
            ContractError: no episode is under way, or the agent whose turn it is has no action.
        """
        if not self.agents:
            raise ContractError(f"no episode of {self.env.env_id} is under way; call reset() before step()")
        agent = self.env.agent_selection
        if agent not in actions:
            raise ContractError(f"it is the turn of {agent}, and actions has {sorted(actions)} only; add its action")
        self.env.step(actions[agent])
        result = (
            self._observations(), dict(self.env.rewards), dict(self.env.terminations), dict(self.env.truncations),
            self._infos(),
        )  # fmt: skip
        if self.env.outcome is not None:
            self.agents = []
        return result

    def render(self) -> str | None:
        """The latest turns; see `CollabEnv.render`."""
        return self.env.render()

    def close(self) -> None:
        """Release what the task holds; again is fine."""
        self.env.close()

    def _observations(self) -> dict[str, dict[str, Any]]:
        return {agent: self.env.observe(agent) for agent in self.agents}

    def _infos(self) -> dict[str, dict[str, Any]]:
        acting = self.env.agent_selection if self.env.outcome is None else None
        return {agent: {**self.env.infos[agent], "acts": agent == acting} for agent in self.agents}
