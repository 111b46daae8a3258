"""One role of a team as Stable-Baselines3 wants an environment: choose an index, see a vector.

env = MenuEnv(RoleEnv(cmat_env.make("cmat/DB-v0", roles=("assistant", "checker"), dry_run=True), role="checker",
              partners={"assistant": DemonstratorPolicy()}), "verdicts")
"""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from cmat_env.collab import SPEAKERS
from cmat_env.errors import ConfigError, PolicyError
from cmat_env.policies.features import MenuFeatures
from cmat_env.policies.menus import Menu, menu_of
from cmat_env.policies.sb3 import SB3Policy, mask_of
from cmat_env.policies.spec import parse_spec
from cmat_env.types import Dialogue, Message
from cmat_env.views import RoleEnv

_SEEDS = 1 << 31


class MenuEnv(gymnasium.Env[Any, Any]):
    """The role of a `RoleEnv`, with its texts on a menu.

    An action is an index into the menu; `action_masks()` says which there are, as sb3-contrib's MaskablePPO asks. An
    index beyond the menu, which a learner without masks may choose, is taken modulo its length. The observation is a
    vector of `MenuFeatures`. The reward is all that the role earned since its last turn, less the price of the tokens
    of other policies that the menu called.

    Args:
        view: the role in its team; this environment owns it.
        menu: what it chooses from, or its specification; see `cmat_env.policies.menus`.
        features: what it sees; `features.size` is the length of the menu.
        token_price: reward that a token of a called policy costs.
        seed: given to policies that the menu asks.

    Attributes:
        choices: the texts of the present menu.

    Raises:
        ConfigError: the price is negative.
        UnknownNameError: there is no such menu.
    """

    metadata = {"render_modes": ["human", "ansi"]}  # noqa: RUF012 - as Gymnasium has it

    def __init__(
        self,
        view: RoleEnv,
        menu: Menu | str,
        *,
        features: MenuFeatures | None = None,
        token_price: float = 0.0,
        seed: int = 0,
    ) -> None:
        if token_price < 0:
            raise ConfigError(f"token_price={token_price} is negative; give what a token costs")
        self.view = view
        self.menu = menu_of(menu, partial(parse_spec, role=view.role)) if isinstance(menu, str) else menu
        self.features = features or MenuFeatures()
        self.token_price, self.seed = token_price, seed
        self.render_mode = view.render_mode
        self.observation_space = Box(-1.0, 1.0, (self.features.length,), np.float32)
        self.action_space = Discrete(self.features.size)
        self.choices: list[str] = [""]
        self._dialogue = Dialogue(view.role)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and lay out the first menu."""
        super().reset(seed=seed)
        episode_seed = int(self.np_random.integers(_SEEDS)) if seed is None else seed
        observation, info = self.view.reset(seed=episode_seed, options=options)
        self._dialogue = Dialogue(self.view.role, seed=episode_seed)
        self.menu.begin(self._dialogue, self.view.env.task)
        return self._seen(observation), dict(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Say what stands at this place of the menu.

        Raises:
            PolicyError: a policy that the menu asked could not answer.
        """
        choice = self.choices[int(action) % len(self.choices)]
        generation, tokens = self.menu.answer(self._dialogue, choice, seed=self.seed)
        if generation.finish_reason == "error":
            raise PolicyError(f"the policy behind menu {self.menu.spec!r} could not answer: {generation.text}")
        self._dialogue.reply(generation)
        observation, reward, terminated, truncated, info = self.view.step(generation.text)
        told = {**info, "text": generation.text, "tokens": tokens}
        seen = self._last(observation) if terminated or truncated else self._seen(observation)
        return seen, reward - self.token_price * tokens, terminated, truncated, told

    def action_masks(self) -> Any:
        """(size,) bool, True = there is such a choice."""
        return mask_of(len(self.choices), self.features.size)

    def policy(self, model: Any) -> SB3Policy:
        """This role, played by an SB3 model that was trained here; `save` keeps it in a folder."""
        return SB3Policy(model, self.menu, self.features, role=self.view.role, env_id=self.view.env.env_id)

    def render(self) -> str | None:
        """The latest turns; see `CollabEnv.render`."""
        return self.view.render()

    def close(self) -> None:
        """Release what the task holds; again is fine."""
        self.view.close()

    def _seen(self, observation: dict[str, Any]) -> Any:
        """Hear the message, and lay out the menu."""
        self._hear(observation)
        self.choices = self.menu.choices(self._dialogue, seed=self.seed)[: self.features.size]
        return self.features.of(self._dialogue, self.choices)

    def _last(self, observation: dict[str, Any]) -> Any:
        """Of the end: there is nothing to choose any more."""
        self._hear(observation)
        return self.features.of(self._dialogue, self.choices)

    def _hear(self, observation: dict[str, Any]) -> None:
        self._dialogue.say(Message(SPEAKERS[observation["speaker"]], observation["message"]))
