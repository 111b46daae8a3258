"""A team of language-model roles around one task, as a PettingZoo AEC environment.

    user_0 ──statement──> assistant_0 ──proposal──> checker_0 ──approve──> task.step ──observation──> assistant_0 ...
                               ^                        │
                               └────────revise──────────┘

The user states the task (verbatim if it says nothing), the assistant proposes, the checker approves or asks for a
revision, the task executes. Any set of roles with an assistant will do. Everything that is random belongs to the task.

(Over 300 lines: PettingZoo's interface and the view on an episode, each a few lines and a docstring, are one class.)
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium.spaces import Dict, Discrete, Space
from pettingzoo.utils.env import AECEnv

from cmat_env.episode import Episode
from cmat_env.errors import ConfigError, ContractError, did_you_mean
from cmat_env.ledger import Ledger, RewardRule
from cmat_env.order import ROLES, SPEAKERS, Feedback, Moment, Order, TurnOrder, Wording
from cmat_env.spaces import AnyText
from cmat_env.team import Forkable, Team
from cmat_env.types import Judgement, Task, Verdict

__all__ = ["ROLES", "SPEAKERS", "CollabEnv", "Moment", "Order", "RewardRule", "Snapshot", "TurnOrder", "Wording"]

_SPEAKER = {name: index for index, name in enumerate(SPEAKERS)}
_AGENT = {role: f"{role}_0" for role in ROLES}
_FACE = (
    "_cumulative_rewards", "_skip_agent_selection", "agent_selection", "agents", "infos", "rewards", "terminations",
    "truncations",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an episode of a CollabEnv, for `restore`.

    Attributes:
        task: what the task's own `snapshot` gave.
        episode: of the team.
        face: PettingZoo's attributes.
    """

    task: Any
    episode: Episode
    face: Mapping[str, Any]


class CollabEnv(AECEnv[str, dict[str, Any], str]):
    """User, assistant and checker at work on one task.

    Each agent observes `{"message": str, "speaker": index into SPEAKERS}` and acts with a string; any string is legal,
    and None counts as an empty one. Rewards are the entries of `ledger`.

    Args:
        task: any `gymnasium.Env[str, str]`; see `cmat_env.types.Task` for its optional extras.
        roles: any of "user", "assistant", "checker"; the assistant must be among them.
        max_revisions: how often the checker may ask for a revision before the next proposal executes unreviewed.
        rewards: who is paid for what.
        order: who speaks next.
        wording: the templates of composed messages.
        dry_run: show the checker what the proposal would give; needs a task with `snapshot` and `restore`.
        share_dry_run: show that to the assistant too, when it is asked to revise.
        questions: how many the assistant may ask the user in an episode, each written as "Ask: ...".
        feedback: what the assistant is told of a refusal: the checker's own "words", or its "verdict" alone, in
            words that are always the same.
        env_id: the name under which it is registered.
        max_message: characters that an observed message has at most; longer ones are cut.
        render_mode: "human" prints each turn, "ansi" makes `render` return the latest turns.

    Attributes:
        task: as given.
        team: the settings of the team.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """

    SPEAKERS = SPEAKERS

    def __init__(
        self,
        task: Task,
        *,
        roles: Sequence[str] = ROLES,
        max_revisions: int = 1,
        rewards: RewardRule | None = None,
        order: Order | None = None,
        wording: Wording | None = None,
        dry_run: bool = False,
        share_dry_run: bool = False,
        questions: int = 0,
        feedback: Feedback = "words",
        env_id: str = "custom",
        max_message: int = 100_000,
        render_mode: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if render_mode not in (None, "human", "ansi"):
            raise ConfigError(f"render_mode={render_mode!r} is unknown; {did_you_mean(render_mode, ('human', 'ansi'))}")
        if dry_run and not isinstance(task, Forkable):
            raise ConfigError(
                f"dry_run=True needs a task with snapshot() and restore(); {type(task).__name__} lacks them"
            )
        self.task = task
        self.team = Team(
            roles=roles,  # type: ignore[arg-type]  # Team makes a tuple of them
            max_revisions=max_revisions,
            rewards=rewards or RewardRule(),
            order=order or TurnOrder(),
            wording=wording or Wording(),
            dry_run=dry_run,
            share_dry_run=share_dry_run,
            questions=questions,
            feedback=feedback,
            max_message=max_message,
        )
        self.render_mode = render_mode
        self.metadata = {"name": env_id, "render_modes": ["human", "ansi"], "is_parallelizable": False}
        self.possible_agents = [_AGENT[role] for role in self.team.roles]
        self.agents: list[str] = []
        self.observation_spaces = {
            agent: Dict({"message": AnyText(max_message), "speaker": Discrete(len(SPEAKERS))})
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: AnyText(max_message) for agent in self.possible_agents}
        self._episode: Episode | None = None
        self._closed = False

    @property
    def roles(self) -> tuple[str, ...]:
        """Those that are present, in the order user, assistant, checker."""
        return self.team.roles

    @property
    def env_id(self) -> str:
        """The name under which the environment is registered."""
        return str(self.metadata["name"])

    @property
    def episode(self) -> Episode:
        """The state of the team's work.

        Raises:
            ContractError: no episode was begun.
        """
        if self._episode is None:
            raise ContractError(f"{self.env_id} has no episode yet; call reset() first")
        return self._episode

    @property
    def ledger(self) -> Ledger:
        """Who was paid what, and why."""
        return self.episode.ledger

    @property
    def statement(self) -> str:
        """The task's own first observation."""
        return self.episode.statement

    @property
    def task_id(self) -> str:
        """Which task is played, as its own info says."""
        return self.episode.task_id

    @property
    def task_type(self) -> str:
        """The family of the task."""
        return self.episode.task_type

    @property
    def outcome(self) -> dict[str, Any] | None:
        """Once the episode is over, `success`, `score`, `outcome`, `terminated`, `truncated`; before that None."""
        return self.episode.outcome

    @property
    def last_verdict(self) -> Verdict | None:
        """The verdict of the latest action, if that was the checker's."""
        return self.episode.last_verdict

    @property
    def last_judgement(self) -> Judgement | None:
        """The task's opinion on the proposal that the latest action judged, where it has one."""
        return self.episode.last_judgement

    def role_of(self, agent: str) -> str:
        """The role that an agent plays: "assistant" for "assistant_0"."""
        return agent[:-2]

    def observation_space(self, agent: str) -> Space[dict[str, Any]]:
        """What `agent` observes: always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[str]:
        """What `agent` may do: always the same object."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode; `seed` and `options` go to the task."""
        statement, info = self.task.reset(seed=seed, options=options)
        brief = getattr(getattr(self.task, "unwrapped", self.task), "brief", None)
        self._episode = Episode.begin(self.team, statement, info, brief)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self._skip_agent_selection = None  # type: ignore[assignment]
        self._follow(self._episode)
        self._show(1)

    def observe(self, agent: str) -> dict[str, Any]:
        """The latest message to `agent`; an empty one before the first."""
        message, speaker = self.episode.messages[agent[:-2]]
        return {"message": message, "speaker": _SPEAKER[speaker]}

    def step(self, action: str | None) -> None:
        """Take the turn of `agent_selection`.

        Args:
            action: what it says; None counts as an empty string, and is the only action of an agent that is done.

        Raises:
            ContractError: there is no turn to take, or the action is no string.
        """
        if not self.agents:
            raise ContractError(f"no episode of {self.env_id} is under way; call reset() before step()")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)  # type: ignore[arg-type]
            return
        if action is not None and not isinstance(action, str):
            raise ContractError(f"{agent} acted with {type(action).__name__} {action!r:.80}; give a string or None")
        episode = self.episode
        paid, executed = len(episode.ledger.entries), episode.executed
        episode.act(self.task, action or "")
        self._clear_rewards()
        self._cumulative_rewards[agent] = 0.0
        for payment in episode.ledger.entries[paid:]:
            self.rewards[_AGENT[payment.role]] += payment.amount
        self._accumulate_rewards()
        self._follow(episode)
        self._show(1 + episode.executed - executed)
        if episode.outcome is not None:
            self.terminations = dict.fromkeys(self.agents, episode.outcome["terminated"])
            self.truncations = dict.fromkeys(self.agents, episode.outcome["truncated"])
            self._deads_step_first()

    def snapshot(self) -> Snapshot:
        """The state of the episode, for `restore` here or in another environment around the same kind of task.

        Raises:
            ConfigError: the task cannot be forked.
            ContractError: no episode was begun.
        """
        task, episode = self._forkable(), self.episode.copy()
        return Snapshot(task.snapshot(), episode, copy.deepcopy({name: getattr(self, name) for name in _FACE}))

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from `snapshot`, which may be used any number of times.

        Raises:
            ConfigError: it comes from a team of other roles, or the task cannot be forked.
        """
        roles = snapshot.episode.team.roles
        if roles != self.roles:
            raise ConfigError(f"the snapshot has roles={roles}, this environment roles={self.roles}; use the same")
        self._forkable().restore(snapshot.task)
        self._episode = snapshot.episode.copy()
        self._episode.team = self.team
        self.__dict__.update(copy.deepcopy(dict(snapshot.face)))

    def render(self) -> str | None:
        """The latest turns: returned as text in mode "ansi", printed in mode "human"."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() does nothing: make the environment with render_mode="human" or "ansi"')
            return None
        text = self._episode.drawn() if self._episode else ""
        if self.render_mode == "ansi":
            return text
        print(text, flush=True)
        return None

    def close(self) -> None:
        """Release what the task holds; again is fine."""
        if not self._closed:
            self._closed = True
            self.task.close()

    def _clear_rewards(self) -> None:
        self.rewards = dict.fromkeys(self.rewards, 0.0)

    def _follow(self, episode: Episode) -> None:
        self.agent_selection = _AGENT[episode.speaker]
        self.infos = {_AGENT[role]: info for role, info in episode.infos.items()}

    def _show(self, turns: int) -> None:
        """Print the latest turns as they happen, in mode "human"."""
        if self.render_mode == "human":
            print(self.episode.drawn(turns), flush=True)

    def _forkable(self) -> Forkable:
        if not isinstance(self.task, Forkable):
            raise ConfigError(f"{type(self.task).__name__} cannot be forked; give it snapshot() and restore(snapshot)")
        return self.task
