"""The single-player games of TextArena as tasks.

TextArena (github.com/LeonGuertler/TextArena) draws from Python's global random state, and a few of its games raise on
input that they cannot read. Here a game has a random state of its own, and what it raises ends the episode unsolved.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import platform
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import gymnasium

from cmat_env.envs.isolation import OwnRandom
from cmat_env.envs.source import number_of
from cmat_env.errors import ConfigError, MissingExtraError, UnknownNameError, did_you_mean
from cmat_env.spaces import AnyText

_SEEDS = 1 << 31
_LONGEST_ACTION, _LONGEST_OBSERVATION = 10_000, 100_000
_WORDS = "words averaged_perceptron_tagger_eng"
_MOVES = ("[up]", "[down]", "[left]", "[right]")
_PEGS = tuple(f"[{one} {other}]" for one in "ABC" for other in "ABC" if one != other)
_MENUS: dict[str, tuple[str, ...]] = {
    "FrozenLake": _MOVES,
    "2048": _MOVES,
    "Sokoban": _MOVES,
    "TowerOfHanoi": _PEGS,
    "GuessTheNumber": tuple(f"[{number}]" for number in range(1, 21)),
}


@contextlib.contextmanager
def _no_download() -> Iterator[None]:
    """Games that need NLTK's data fetch it when they are imported; nothing is fetched that nobody asked for."""
    nltk = importlib.import_module("nltk")
    with mock.patch.object(nltk, "download", lambda *_, **__: False):
        yield


class TextArenaEnv(gymnasium.Env[str, str]):
    """One single-player game. The assistant reads the rules, then what happened since its last action.

    The reward comes at the end, as the game gives it; success is a reward of 1 or more.

    Args:
        game: its id there, such as "FrozenLake-v0".
        max_rounds: actions after which an episode is cut off, if the game has no limit of its own.
        settings: of the game itself.

    Raises:
        MissingExtraError: TextArena is not installed.
        UnknownNameError: it has no such game.
        ConfigError: the game is for several players, needs data that is not here, or does not take the settings.
    """

    instructions = "Play the game by its rules. Write one action a turn, in square brackets."

    def __init__(
        self, *, game: str = "GuessTheNumber-v0", max_rounds: int = 100, settings: dict[str, Any] | None = None
    ) -> None:
        if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
            raise ConfigError(f"max_rounds={max_rounds!r} is not possible; give an int above 0")
        self.game, self.max_rounds, self.settings = game, max_rounds, dict(settings or {})
        self.task_types = (game,)
        self.observation_space = AnyText(_LONGEST_OBSERVATION)
        self.action_space = AnyText()
        self._begin(0)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin the game of the seed; options={"task": n} begins game n."""
        super().reset(seed=seed)
        number = number_of(options, seed, self.np_random, below=_SEEDS)
        self._begin(number)
        return self._told(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Let the game read an action."""
        done, error = self._act(action)
        if error:
            return error, 0.0, True, False, self._ended(0.0, "game error")
        if done:
            rewards, facts = self._play.close()
            reward = float((rewards or {}).get(0) or 0.0)
            outcome = "invalid move" if facts[0].get("invalid_move") else "won" if reward >= 1.0 else "lost"
            told = "\n".join(part for part in (self._told(), str(facts[0].get("reason") or "")) if part)
            return told, reward, True, False, self._ended(reward, outcome)
        if len(self._actions) >= self.max_rounds:
            return self._told(), 0.0, False, True, self._ended(0.0, "round limit")
        return self._told(), 0.0, False, False, self._info()

    def candidates(self) -> list[str]:
        """The actions that the game takes now; none where its actions are not a short list."""
        known = _MENUS.get(self.game.partition("-v")[0], ())
        with OwnRandom(self.number).used(), contextlib.redirect_stdout(io.StringIO()):
            return [action for action in known if self._takes(action)]

    def snapshot(self) -> tuple[int, tuple[str, ...]]:
        """The number of the game and the actions so far: played again, they lead to the same place."""
        return self.number, tuple(self._actions)

    def restore(self, snapshot: tuple[int, Sequence[str]]) -> None:
        """Begin the game again and play up to there."""
        number, actions = snapshot
        self._begin(number)
        self._told()
        for action in actions:
            self._act(action)
            self._told()

    def _begin(self, number: int) -> None:
        self.number, self._actions, self._random = number, list[str](), OwnRandom(number)
        self._play = self._made()
        with self._random.used(), contextlib.redirect_stdout(io.StringIO()):
            try:
                self._play.reset(num_players=1, seed=number % _SEEDS)
            except AssertionError as error:
                raise ConfigError(f"game={self.game!r} is not for one player ({error}); choose another") from error
            except (LookupError, OSError) as error:
                raise self._lacking(error) from error

    def _made(self) -> Any:
        try:
            import textarena  # noqa: PLC0415 - optional
            from textarena.envs.registration import ENV_REGISTRY  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise MissingExtraError.of("textarena", "textarena") from error
        bare = f"{self.game}-raw"  # without wrappers that show the whole history again at every turn
        if bare not in ENV_REGISTRY:
            known = [name.removesuffix("-raw") for name in ENV_REGISTRY if name.endswith("-raw")]
            raise UnknownNameError(f"TextArena has no game {self.game!r}; {did_you_mean(self.game, known)}")
        try:
            with self._random.used(), _no_download():
                return textarena.make(bare, **self.settings)
        except TypeError as error:
            raise ConfigError(f"settings={self.settings!r} do not suit game={self.game!r}: {error}") from error
        except (LookupError, OSError, ImportError) as error:
            raise self._lacking(error) from error
        except SyntaxError as error:  # some of its files are written for a newer Python than it asks for
            raise ConfigError(
                f"game={self.game!r} cannot be read by Python {platform.python_version()} ({error}); "
                "use a newer Python, or choose another game"
            ) from error

    def _lacking(self, error: Exception) -> ConfigError:
        said = " ".join(word for word in str(error).split() if word.strip("*"))
        if "NLTK" in said:
            said = f"NLTK's word lists; run: python -m nltk.downloader {_WORDS}"
            return ConfigError(f"game={self.game!r} needs {said}; or choose another game")
        return ConfigError(
            f"game={self.game!r} needs what is not here: {said[:200]}; install that, or choose another game"
        )

    def _act(self, action: str) -> tuple[bool, str]:
        """Is the game over, and what it raised, if it did."""
        self._actions.append(action)
        try:
            with self._random.used(), contextlib.redirect_stdout(io.StringIO()):
                return bool(self._play.step(action[:_LONGEST_ACTION])[0]), ""
        except Exception as error:  # a game's own mistake about a strange input must not end the run
            return True, f"the game could not go on: {type(error).__name__}: {error!s:.200}"

    def _takes(self, action: str) -> bool:
        """Is this action legal now? It is tried on a copy that forgives nothing."""
        trial = copy.deepcopy(self._play)
        trial.state.error_allowance = 0
        try:
            trial.step(action)
        except Exception:  # see `_act`
            return False
        return not trial.state.game_info[0].get("invalid_move")

    def _told(self) -> str:
        """What the game said since the last action, the player's own words left out."""
        with self._random.used():
            _, heard = self._play.get_observation()
        said = [str(text) for who, text, kind in heard if kind.name != "PLAYER_ACTION" or who != 0]
        return "\n".join(said)[:_LONGEST_OBSERVATION]

    def _info(self) -> dict[str, Any]:
        return {"task_id": f"{self.game}-{self.number}", "task_type": self.game}

    def _ended(self, reward: float, outcome: str) -> dict[str, Any]:
        return {**self._info(), "success": reward >= 1.0, "score": reward, "outcome": outcome}
