"""PettingZoo's classic games with language models as players: two roles against each other, in words.

Here PettingZoo's turn order is used for what it is: the game says whose turn it is, and each player has a role, a
dialogue and a policy of its own. `Rollout`, `evaluate`, logs and replay play it as they play a team.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gymnasium.spaces import Dict, Discrete, Space
from pettingzoo.utils.env import AECEnv

from cmat_env.collab import CollabEnv
from cmat_env.envs.classic import GAMES, BoardGame, game_of
from cmat_env.errors import ConfigError, ContractError, did_you_mean
from cmat_env.ledger import Ledger
from cmat_env.order import SPEAKERS
from cmat_env.registry import GAMES as PREFIX
from cmat_env.registry import make
from cmat_env.spaces import AnyText
from cmat_env.types import Judgement, Payment, Verdict

PLAYERS = ("first", "second")
_LONGEST = 10_000


class GameEnv(AECEnv[str, dict[str, Any], str]):
    """Two players at a board. The winner is paid 1, the loser -1, nobody for a draw; every payment is in the ledger.

    Any text may be said: the last number in it is the move. A move that cannot be made is refused, and the same player
    has its turn again; after `tries` refusals in a row it has lost. Of an episode, "success" means that the first
    player won.

    Args:
        game: "connect_four" or "tictactoe".
        tries: refusals that a player is granted in a row.

    Attributes:
        task: the game itself, for `instructions` and for oracles.
        ledger: who was paid what, and why.
        outcome: once it is over, `success`, `score`, `outcome`, `terminated`, `truncated`; before that None.

    Raises:
        UnknownNameError: there is no such game.
        ConfigError: tries is out of range.
        MissingExtraError: the extra `classic` is not installed.
    """

    SPEAKERS = SPEAKERS
    roles = PLAYERS
    last_verdict: Verdict | None = None
    last_judgement: Judgement | None = None

    def __init__(self, game: str = "connect_four", *, tries: int = 2) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if isinstance(tries, bool) or not isinstance(tries, int) or tries < 0:
            raise ConfigError(f"tries={tries!r} is not possible; give an int of at least 0")
        self.game: BoardGame = game_of(game)
        self.tries = tries
        self.board: Any = self.game.made()
        self.env_id = f"{PREFIX}{game}"
        self.metadata = {"name": self.env_id, "render_modes": ["ansi"], "is_parallelizable": False}
        self.render_mode = "ansi"
        self.instructions = self.game.rules
        self.possible_agents = [f"{role}_0" for role in PLAYERS]
        self.agents: list[str] = []
        self._seat = dict(zip(self.possible_agents, self.board.possible_agents, strict=True))
        self.observation_spaces = {
            agent: Dict({"message": AnyText(_LONGEST), "speaker": Discrete(len(SPEAKERS))})
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: AnyText(_LONGEST) for agent in self.possible_agents}
        self.ledger = Ledger()
        self.outcome: dict[str, Any] | None = None
        self._messages: dict[str, str] = {}
        self._refused = 0
        self._turns = dict.fromkeys(PLAYERS, -1)

    @property
    def task(self) -> GameEnv:
        """The game is what both players work on."""
        return self

    @property
    def statement(self) -> str:
        """What both players are asked to do."""
        return self.instructions

    def observation_space(self, agent: str) -> Space[dict[str, Any]]:
        """What `agent` observes: always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[str]:
        """What `agent` may do: always the same object."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin a game. The games have no chance in them, so the seed names the episode and changes nothing."""
        self.board.reset(seed=seed)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: {"task_id": self.game.name, "task_type": self.game.name} for agent in self.agents}
        self._skip_agent_selection = None  # type: ignore[assignment]
        self.agent_selection = self.possible_agents[0]
        self.ledger, self.outcome, self._refused = Ledger(), None, 0
        self._turns = dict.fromkeys(PLAYERS, -1)
        self._messages = dict.fromkeys(self.agents, "")
        self._show("You begin.")

    def observe(self, agent: str) -> dict[str, Any]:
        """The latest message to `agent`; an empty one before its first turn."""
        return {"message": self._messages[agent], "speaker": SPEAKERS.index("environment")}

    def legal_moves(self) -> list[str]:
        """What the player whose turn it is may say: the numbers of its moves."""
        mask = self.board.observe(self._seat[self.agent_selection])["action_mask"]
        return [str(move + 1) for move, legal in enumerate(mask.tolist()) if legal]

    def step(self, action: str | None) -> None:
        """Take the turn of `agent_selection`.

        Raises:
            ContractError: there is no turn to take, or the action is no string.
        """
        if not self.agents:
            raise ContractError(f"no game of {self.game.name} is under way; call reset() before step()")
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)  # type: ignore[arg-type]
            return
        if action is not None and not isinstance(action, str):
            raise ContractError(f"{agent} acted with {type(action).__name__} {action!r:.80}; give a string or None")
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards[agent] = 0.0
        self._turns[agent[:-2]] += 1
        move = self.game.move(action or "")
        if move is None or str(move + 1) not in self.legal_moves():
            self._refuse(agent)
        else:
            self._refused = 0
            self.board.step(move)
            self._go_on(agent, move)
        self._accumulate_rewards()
        if self.outcome is not None:
            self.terminations = dict.fromkeys(self.agents, True)
            self._deads_step_first()

    def render(self) -> str:
        """The board as the first player sees it."""
        return self.game.board(self.board.observe(self.board.possible_agents[0]))

    def close(self) -> None:
        """Nothing is held that needs it; again is fine."""

    def _other(self, agent: str) -> str:
        return self.possible_agents[1 - self.possible_agents.index(agent)]

    def _refuse(self, agent: str) -> None:
        self._refused += 1
        if self._refused > self.tries:
            self._end(self._other(agent), f"illegal move by {agent[:-2]}")
        else:
            self._show("That is no legal move.")

    def _go_on(self, agent: str, move: int) -> None:
        rewards = {each: float(self.board.rewards[self._seat[each]]) for each in self.possible_agents}
        if all(self.board.terminations.values()):
            winner = max(rewards, key=lambda each: rewards[each]) if any(rewards.values()) else None
            self._end(winner, f"{winner[:-2]} won" if winner else "draw")
            return
        self.agent_selection = self._other(agent)
        self._show(f"Your opponent plays {move + 1}.")

    def _show(self, news: str) -> None:
        """Tell the player whose turn it is what happened, and how the board stands."""
        agent = self.agent_selection
        self._messages[agent] = f"{news}\n{self._board_of(agent)}\nLegal moves: {', '.join(self.legal_moves())}"

    def _board_of(self, agent: str) -> str:
        return self.game.board(self.board.observe(self._seat[agent]))

    def _end(self, winner: str | None, outcome: str) -> None:
        paid = {each: 0.0 if winner is None else 1.0 if each == winner else -1.0 for each in self.possible_agents}
        for each, amount in paid.items():
            if amount:
                self.ledger.pay(Payment(each[:-2], amount, "game", self._turns[each[:-2]]))
                self.rewards[each] = amount
            self._messages[each] = f"The game is over: {outcome}.\n{self._board_of(each)}"
        first = paid[self.possible_agents[0]]
        end = {"success": first > 0, "score": first, "outcome": outcome}
        self.outcome = {**end, "terminated": True, "truncated": False}
        self.infos = {agent: {**self.infos[agent], **end} for agent in self.agents}


def game_ids() -> list[str]:
    """The ids of all board games, such as "pettingzoo/connect_four"."""
    return [f"{PREFIX}{name}" for name in GAMES]


def is_game(id: str) -> bool:
    """Does an id name a board game of two players, rather than a task of a team?"""
    return id.startswith(PREFIX)


def make_playable(id: str, *, roles: Sequence[str] | None = None, **settings: Any) -> CollabEnv | GameEnv:
    """What evaluation, logs and replay play under an id: a team around a task, or a board game.

    Args:
        id: of a registered environment, or one of `game_ids`.
        roles: who plays; for a game both players.
        settings: as `cmat_env.make` and `GameEnv` take them.

    Raises:
        UnknownNameError: there is no such environment.
        ConfigError: a setting is unknown or out of range, or the roles are not those of a game.
        MissingExtraError: the extra that it needs is not installed.
    """
    if not is_game(id):
        return make(id, **settings) if roles is None else make(id, roles=roles, **settings)
    if roles is not None and set(roles) != set(PLAYERS):
        raise ConfigError(f"{id} is played by the roles {' and '.join(PLAYERS)}; {', '.join(roles)} came")
    for name in settings:
        if name != "tries":
            raise ConfigError(f"{id} has no setting {name!r}; {did_you_mean(name, ('tries',))}")
    return GameEnv(id.removeprefix(PREFIX), **settings)
