"""Two language models at a board: PettingZoo's games in words, and PettingZoo's tests on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from pettingzoo.test.api_test import api_test
from pettingzoo.test.seed_test import seed_test

from cmat_env.cli import main
from cmat_env.errors import ConfigError, ContractError, UnknownNameError
from cmat_env.evaluate import evaluate
from cmat_env.game import GameEnv, make_playable
from cmat_env.log import EpisodeWriter, read_episodes
from cmat_env.types import Dialogue, Generation
from tests.conftest import needed

needed("pygame", extra="classic")


class Mover:
    """Plays a legal move: the first that is listed, or any of them."""

    def __init__(self, *, first: bool = False) -> None:
        self.first = first

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """Read the list in the last line of the observation."""
        return [Generation(f"I play {self.move(dialogue, seed)}.") for dialogue in dialogues]

    def move(self, dialogue: Dialogue, seed: int) -> str:
        """One of the list."""
        legal = dialogue.messages[-1].content.rpartition("Legal moves: ")[2].split(", ")
        rng = random.Random(f"{seed} {dialogue.seed} {dialogue.role} {dialogue.replies}")
        return legal[0] if self.first else rng.choice(legal)


@pytest.mark.parametrize("game", ["connect_four", "tictactoe"])
def test_pettingzoos_own_tests_pass(game: str) -> None:
    """Though every action that they draw is junk or nearly so."""
    api_test(GameEnv(game), num_cycles=100)  # type: ignore[no-untyped-call]
    seed_test(lambda: GameEnv(game), num_cycles=100)  # type: ignore[no-untyped-call]


def test_the_board_is_shown_as_each_player_sees_it() -> None:
    """X are one's own; a number in any sentence is the move; columns fill from below."""
    env = GameEnv("connect_four")
    env.reset()
    assert "You begin.\n. . . . . . ." == env.observe("first_0")["message"][:24]
    env.step("Column 4, of course: 4")
    seen = env.observe("second_0")["message"].splitlines()

    assert "Your opponent plays 4." == seen[0]
    assert [". . . O . . .", "1 2 3 4 5 6 7", "Legal moves: 1, 2, 3, 4, 5, 6, 7"] == seen[-3:]
    assert "second_0" == env.agent_selection


def test_four_in_a_row_win_and_are_paid_once() -> None:
    """The ledger and PettingZoo's rewards say the same, and they sum to nothing."""
    env = GameEnv("connect_four")
    env.reset()
    for move in "1213141":
        env.step(move)
    paid = {agent: env._cumulative_rewards[agent] for agent in env.agents}

    assert {"first_0": 1.0, "second_0": -1.0} == paid
    assert [("first", 1.0, 3), ("second", -1.0, 2)] == [(e.role, e.amount, e.turn) for e in env.ledger.entries]
    assert env.outcome == {
        "success": True, "score": 1.0, "outcome": "first won", "terminated": True, "truncated": False
    }  # fmt: skip
    while env.agents:
        env.step(None)


def test_the_cells_are_numbered_as_the_rules_say() -> None:
    """The left column, from the top: 1, 2, 3."""
    env = GameEnv("tictactoe")
    env.reset()
    for move in "17283":
        env.step(move)

    assert ["X . O", "X . O", "X . ."] == env.render().splitlines()
    assert env.outcome is not None
    assert "first won" == env.outcome["outcome"]


@pytest.mark.parametrize("words", ["", "no idea", "0", "8", "99999", "\ud800", "x" * 10**6])
def test_what_is_no_move_is_refused_then_lost(words: str) -> None:
    """Two refusals, and the turn stays; the third time the game is over."""
    env = GameEnv("connect_four", tries=2)
    env.reset()
    for _ in range(2):
        env.step(words)
        assert "first_0" == env.agent_selection
        assert env.observe("first_0")["message"].startswith("That is no legal move.")
        assert env.outcome is None
    env.step(words)

    assert env.outcome is not None
    assert "illegal move by first" == env.outcome["outcome"]
    assert -1.0 == env.ledger.total("first")


def test_policies_play_each_other_and_are_logged(tmp_path: Path) -> None:
    """Rollout, evaluation and the episode log treat players as roles."""
    with EpisodeWriter(tmp_path / "episodes.jsonl", policies={"first": "m", "second": "m"}) as log:
        report = evaluate(
            lambda: GameEnv("tictactoe"),
            {"first": Mover(), "second": Mover()},
            episodes=40,
            on_end=lambda _, episode: log.write(episode),
        )
    records = list(read_episodes(tmp_path / "episodes.jsonl"))

    assert 40 == report.episodes == len(records)
    assert {"first won", "second won", "draw"} == set(report.outcomes)
    assert report.outcomes["first won"] > report.outcomes["second won"]  # who begins has more of the board


def test_the_command_plays_and_verifies_games(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`cmat eval` takes two players; `random` reads the legal moves; the log comes again exactly."""
    team = ["--first", "random", "--second", "random"]
    assert 0 == main(["eval", "pettingzoo/connect_four", *team, "--episodes", "20", "--record", str(tmp_path)])
    assert 0 == main(["replay", str(tmp_path), "--verify"])
    shown = capsys.readouterr().out
    episodes = [record.trajectory for record in read_episodes(tmp_path)]

    assert "20 of 20 episodes came again exactly" in shown
    assert (
        {"first won", "second won"} <= {episode.outcome for episode in episodes} <= {"first won", "second won", "draw"}
    )
    assert episodes == [episode for episode in episodes if "illegal" not in episode.outcome]


def test_a_person_plays_a_game(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seat that nobody else is named for is the person's; who has lost sees how the board stands."""
    typed = iter(["nonsense", ""] * 3)
    monkeypatch.setattr("builtins.input", lambda prompt="": next(typed))
    assert 0 == main(["play", "pettingzoo/tictactoe", "--first", "random", "--record", str(tmp_path)])
    shown = capsys.readouterr().out
    [record] = read_episodes(tmp_path)

    assert {"first": "random", "second": "human"} == record.policies
    assert [] == [words for words in ("You are the second", "Legal moves: ", "no legal move") if words not in shown]
    assert "The game is over: illegal move by second.\n" in shown


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["eval", "pettingzoo/connect_four", "--first", "random"], "who plays second?"),
        (["eval", "pettingzoo/conect_four", "--first", "random", "--second", "random"], "did you mean 'connect_four'"),
        (["eval", "pettingzoo/connect_four", "--assistant", "gold"], "--assistant is for a team"),
        (["eval", "cmat/DB-v0", "--assistant", "gold", "--first", "random"], "are for a board game"),
        (["play", "cmat/DB-v0", "--first", "random"], "are for a board game"),
        (["play", "pettingzoo/connect_four", "--first", "random", "--second", "random"], "use cmat eval"),
        (["play", "pettingzoo/connect_four"], "who plays first?"),
        (["eval", "pettingzoo/tictactoe", "--first", "random", "--second", "random", "--set", "size=4"], "no setting"),
    ],
)
def test_a_wrong_command_says_what_to_do(command: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and a line."""
    assert 2 == main(command)
    assert words in capsys.readouterr().err


def test_mistakes_are_named() -> None:
    """A game that is not there, a setting out of range, a turn that is not there."""
    with pytest.raises(UnknownNameError, match=r"did you mean 'connect_four'\?"):
        GameEnv("conect_four")
    with pytest.raises(ConfigError, match="tries=-1"):
        GameEnv(tries=-1)
    with pytest.raises(ConfigError, match="is played by the roles first and second; user, assistant came"):
        make_playable("pettingzoo/tictactoe", roles=("user", "assistant"))
    with pytest.raises(ContractError, match="call reset"):
        GameEnv().step("1")
