"""PettingZoo's classic board games in words: the rules, the board, and which text is which move."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmat_env.errors import MissingExtraError, UnknownNameError, did_you_mean

_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,3}(?![0-9])")
MINE, THEIRS, EMPTY = "X", "O", "."


@dataclass(frozen=True, slots=True)
class BoardGame:
    """A game of two players with a board of equal cells and numbered moves.

    Attributes:
        name: as one writes it.
        module: where PettingZoo has it; its `raw_env` makes it.
        rules: what a player is told at the start.
        footer: the line below the board that helps to count.
        moves: how many there are; they are numbered from 1.
        cells: may turn the board, so that what is shown is what the numbers mean.
    """

    name: str
    module: str
    rules: str
    footer: str
    moves: int
    cells: Callable[[Any], Any] = np.asarray

    def made(self) -> Any:
        """A fresh PettingZoo environment, without wrappers.

        Raises:
            MissingExtraError: what it stands on is not installed.
        """
        try:
            return importlib.import_module(self.module).raw_env()
        except ModuleNotFoundError as error:
            raise MissingExtraError.of(error.name or "pygame", "classic") from error

    def board(self, observation: Any) -> str:
        """The board as the player sees it: X are its own pieces."""
        planes = self.cells(observation["observation"])
        rows = [
            " ".join(MINE if mine else THEIRS if theirs else EMPTY for mine, theirs in row) for row in planes.tolist()
        ]
        return "\n".join([*rows, self.footer] if self.footer else rows)

    def move(self, text: str) -> int | None:
        """The move in a text, from 0: the last number that stands there; None if there is none."""
        found = _NUMBER.findall(text[-1000:])
        number = int(found[-1]) if found else 0
        return number - 1 if 1 <= number <= self.moves else None


def _upright(planes: Any) -> Any:
    """Tic-tac-toe numbers its cells by column."""
    return np.asarray(planes).transpose(1, 0, 2)


GAMES: Mapping[str, BoardGame] = {
    game.name: game
    for game in (
        BoardGame(
            "connect_four",
            "pettingzoo.classic.connect_four.connect_four",
            "You play Connect Four. Drop a piece into a column, 1 to 7; it falls to the lowest free row. Four of yours "
            "in a row, a column or a diagonal win. Answer with the number of a column.",
            "1 2 3 4 5 6 7",
            7,
        ),
        BoardGame(
            "tictactoe",
            "pettingzoo.classic.tictactoe.tictactoe",
            "You play tic-tac-toe. The cells are numbered by column: 1 to 3 from the top of the left one, 7 to 9 in "
            "the right one. Three of yours in a row, a column or a diagonal win. Answer with a cell's number.",
            "",
            9,
            _upright,
        ),
    )
}


def game_of(name: str) -> BoardGame:
    """The game of this name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in GAMES:
        raise UnknownNameError(f"no board game is called {name!r}; {did_you_mean(str(name), GAMES)}")
    return GAMES[name]
