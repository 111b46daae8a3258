"""Tasks of other packages keep our contract, with the real packages: reasoning-gym and TextArena."""

from __future__ import annotations

import functools
import importlib
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cmat_env
from cmat_env.envs.isolation import OwnRandom
from cmat_env.errors import ConfigError, UnknownNameError
from cmat_env.evaluate import evaluate
from cmat_env.testing import check_collab, check_task
from tests.conftest import needs

needs_reasoning, needs_textarena = needs("reasoning_gym", extra="reasoning"), needs("textarena", extra="textarena")


@needs_reasoning
@pytest.mark.parametrize("dataset", ["leg_counting", "maze"])
def test_a_reasoning_task_keeps_the_contract(dataset: str) -> None:
    """Also one whose scorer raises on what it cannot read."""
    check_task(functools.partial(cmat_env.make_task, "cmat/ReasoningGym-v0", dataset=dataset), seeds=(0,))


@needs_reasoning
def test_a_dataset_with_a_global_generator_has_its_own() -> None:
    """pool_matrix seeds numpy's global generator; nobody outside notices, and the question is the seed's."""
    np.random.seed(3)
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    tasks = [cmat_env.make_task("cmat/ReasoningGym-v0", dataset="pool_matrix") for _ in range(2)]
    asked = [task.reset(seed=4)[0] for task in tasks]

    assert asked[0] == asked[1] != tasks[0].reset(seed=5)[0]
    assert before == np.random.get_state()[1].tolist()  # type: ignore[index]


@needs_reasoning
def test_reasoning_splits_are_apart_and_solvable() -> None:
    """The gold policy solves both; what one asks, the other does not."""
    for split in ("train", "heldout"):
        make_env = functools.partial(cmat_env.make, "cmat/ReasoningGym-v0", roles=("assistant",), split=split)
        assert 1.0 == evaluate(make_env, {"assistant": "gold"}, episodes=20).success_rate
        assert 0.0 == evaluate(make_env, {"assistant": "echo"}, episodes=20).success_rate
    train, heldout = (cmat_env.make_task("cmat/ReasoningGym-v0", split=split) for split in ("train", "heldout"))

    assert not {train.reset(seed=n)[0] for n in range(50)} & {heldout.reset(seed=n)[0] for n in range(50)}


@needs_reasoning
def test_a_scorer_that_runs_the_answer_is_refused() -> None:
    """A model must not get a Python prompt by answering; who trusts it says so."""
    for dataset in ("countdown", "n_queens", "polynomial_multiplication"):
        with pytest.raises(ConfigError, match="runs code that may stand in an answer"):
            cmat_env.make_task("cmat/ReasoningGym-v0", dataset=dataset)
    assert cmat_env.make_task("cmat/ReasoningGym-v0", dataset="countdown", trust_answers=True).reset(seed=0)


@needs_reasoning
def test_reasoning_mistakes_are_named() -> None:
    """A name, a split, and a setting."""
    with pytest.raises(UnknownNameError, match=r"no dataset 'leg_countin'; did you mean 'leg_counting'\?"):
        cmat_env.make_task("cmat/ReasoningGym-v0", dataset="leg_countin")
    with pytest.raises(ConfigError, match="split='test' is unknown"):
        cmat_env.make_task("cmat/ReasoningGym-v0", split="test")
    with pytest.raises(ConfigError, match="does not suit dataset='leg_counting'"):
        cmat_env.make_task("cmat/ReasoningGym-v0", config={"legs": 3})


@needs_textarena
@pytest.mark.parametrize("game", ["GuessTheNumber-v0", "FrozenLake-v0", "TowerOfHanoi-v0"])
def test_a_text_game_keeps_the_contract(game: str) -> None:
    """Though the games draw from the global random state, and one of them raises when its turns are used up."""
    check_task(functools.partial(cmat_env.make_task, "cmat/TextArena-v0", game=game), seeds=(0,))


@needs_textarena
def test_a_team_plays_a_text_game() -> None:
    """With checker, dry run and forks."""
    check_collab(lambda: cmat_env.make("cmat/TextArena-v0", game="FrozenLake-v0", dry_run=True), seeds=(0,))


class Bisection:
    """Guesses the middle of what is left."""

    def generate(self, dialogues: Any, *, seed: int) -> list[cmat_env.Generation]:
        """One guess a dialogue, from all that was said."""
        return [cmat_env.Generation(f"[{self.guess(dialogue)}]") for dialogue in dialogues]

    def guess(self, dialogue: Any) -> int:
        """Replay what was said, and halve."""
        low, high, guess = 1, 20, 10
        for message in dialogue.messages:
            if message.speaker == dialogue.role:
                guess = int(re.sub(r"\D", "", message.content))
            elif "higher" in message.content[-40:]:
                low = guess + 1
            elif "lower" in message.content[-40:]:
                high = guess - 1
        return (low + high) // 2


@needs_textarena
def test_a_text_game_is_won_by_who_reads_its_answers() -> None:
    """Bisection finds every number of 20 within 10 guesses, so what is shown is the game's, in order."""
    report = evaluate("cmat/TextArena-v0", {"assistant": Bisection()}, episodes=30)

    assert {"won": 30} == report.outcomes


@needs_textarena
def test_text_game_mistakes_are_named() -> None:
    """A name, a game for two, one whose words are to be downloaded, a setting."""
    with pytest.raises(UnknownNameError, match=r"did you mean 'FrozenLake-v0'\?"):
        cmat_env.make_task("cmat/TextArena-v0", game="FrozenLak-v0")
    with pytest.raises(ConfigError, match="is not for one player"):
        cmat_env.make_task("cmat/TextArena-v0", game="TicTacToe-v0")
    with pytest.raises(ConfigError, match="do not suit game='FrozenLake-v0'"):
        cmat_env.make_task("cmat/TextArena-v0", settings={"sise": 3}, game="FrozenLake-v0")
    with pytest.raises(ConfigError, match="max_rounds=0"):
        cmat_env.make_task("cmat/TextArena-v0", max_rounds=0)


@needs_textarena
def test_a_game_that_cannot_be_loaded_says_why_and_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that this Python cannot read, a package or word lists that are not here: our error, and what to do."""
    textarena, nltk = importlib.import_module("textarena"), importlib.import_module("nltk")
    asked: list[object] = []
    monkeypatch.setattr(nltk, "download", asked.append)

    def failing(error: Exception) -> Callable[..., None]:
        def make(*_: object, **__: object) -> None:
            nltk.download("words")
            raise error

        return make

    for error, message in (
        (SyntaxError("f-string: unmatched '['"), "cannot be read by Python .*f-string.*use a newer Python"),
        (ImportError("No module named 'chess'"), "needs what is not here: No module named 'chess'; install that"),
        (LookupError("Use the NLTK Downloader"), "needs NLTK's word lists; run: python -m nltk.downloader words"),
    ):
        monkeypatch.setattr(textarena, "make", failing(error))
        with pytest.raises(ConfigError, match=message):
            cmat_env.make_task("cmat/TextArena-v0", game="FrozenLake-v0")
    assert [] == asked


@needs_textarena
def test_known_moves_are_offered() -> None:
    """What is legal now, and what a menu is made of: it plays on as if nobody had asked; none where it is endless."""
    lake = cmat_env.make_task("cmat/TextArena-v0", game="FrozenLake-v0")
    asked, told = [], []
    for asks in (True, False):
        lake.reset(seed=2)
        asked.append(lake.candidates() if asks else [])
        told.append(lake.step("[right]"))
        asked.append(lake.candidates() if asks else [])

    assert [["[down]", "[right]"], ["[down]", "[left]", "[right]"], [], []] == asked
    assert told[0] == told[1]
    assert [] == cmat_env.make_task("cmat/TextArena-v0", game="Minesweeper-v0").candidates()


@needs_textarena
@pytest.mark.parametrize("game", ["FrozenLake-v0", "2048-v0", "TowerOfHanoi-v0", "Sokoban-v0", "GuessTheNumber-v0"])
def test_random_plays_what_the_game_takes(game: str) -> None:
    """No game ends by an invalid move; the same seed gives the same report, whatever the width."""
    make_env = functools.partial(cmat_env.make, "cmat/TextArena-v0", roles=("assistant",), game=game, max_rounds=20)
    wide, narrow = (evaluate(make_env, {"assistant": "random"}, episodes=4, width=width) for width in (4, 1))

    assert wide.per_episode == narrow.per_episode
    assert {"invalid move", "game error"}.isdisjoint(wide.outcomes)
    assert any(row.turns > 2 for row in wide.per_episode)


def test_own_random_goes_on_where_it_was_and_puts_back_the_global_state() -> None:
    """Two instances do not meet, whatever happens between."""
    random.seed(1)
    before = random.getstate()
    alone, mixed, other = OwnRandom(7), OwnRandom(7), OwnRandom(8)
    with alone.used():
        expected = [random.random(), random.random(), float(np.random.rand())]
    drawn = []
    with mixed.used():
        drawn.append(random.random())
    with pytest.raises(ValueError, match="crash"), other.used():
        random.random()
        raise ValueError("crash")
    with mixed.used():
        drawn.extend([random.random(), float(np.random.rand())])

    assert expected == drawn
    assert before == random.getstate()
