"""Menus of choices, their features, and Stable-Baselines3's models that choose from them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cmat_env
from cmat_env.errors import CheckpointError, ConfigError, UnknownNameError
from cmat_env.evaluate import evaluate
from cmat_env.menu import MenuEnv
from cmat_env.policies.features import MenuFeatures, hashed
from cmat_env.policies.menus import CALL, Menu, OfferedMenu, RouterMenu, menu_of, tokens_of
from cmat_env.policies.scripted import APPROVE, CoinPolicy, DemonstratorPolicy
from cmat_env.policies.spec import parse_spec
from cmat_env.types import Dialogue, Generation, Message
from cmat_env.views import RoleEnv
from tests.conftest import needs

needs_sb3 = needs("sb3_contrib", extra="sb3")
SMALL = MenuFeatures(context=32, choice=8, size=3)


def menu(spec: str) -> Menu:
    """By its words."""
    return menu_of(spec, partial(parse_spec, role="assistant"))


def heard(*contents: str, role: str = "assistant", seed: int = 0) -> Dialogue:
    """A dialogue in which the environment said these."""
    return Dialogue(role, seed=seed, messages=[Message("environment", content) for content in contents])


def team(guess_task: Any, **settings: Any) -> cmat_env.CollabEnv:
    """Assistant and checker at the guessing game."""
    return cmat_env.CollabEnv(guess_task(), roles=("assistant", "checker"), **settings)


def test_hashing_is_stable_and_reads_words_and_their_order() -> None:
    """The same vector in every process, of length 1, another for another order; any text will do."""
    one = hashed("the red cat sees", 64)

    assert one.tolist() == hashed("The  red\ncat sees", 64).tolist()
    assert one.tolist() != hashed("sees cat red the", 64).tolist()
    assert 1.0 == pytest.approx(float(np.linalg.norm(one)))
    assert [0.0] * 4 == hashed("", 4).tolist()
    assert [-1.0, 0.0, 0.0, 0.0] == hashed("cat", 4).tolist()
    assert np.isfinite(hashed("\ud800" * 10**6, 8)).all()


def test_features_have_one_length_whatever_was_said() -> None:
    """Padding is 0; what overlaps with the statement shows; everything lies in the box."""
    vector = SMALL.of(heard("price of tea", "row 3"), ["tea price", "x"])
    overlaps = vector[64:].reshape(3, 12)[:, 8:]

    assert (SMALL.length,) == vector.shape == (2 * 32 + 3 * 12,)
    assert [1.0, pytest.approx(2 / 3)] == overlaps[0, :2].tolist()
    assert [0.0, 0.0] == overlaps[1, :2].tolist()
    assert [0.0, 0.0, 0.0, 0.0] == overlaps[2].tolist()
    assert np.abs(SMALL.of(heard("a" * 10**6), ["b" * 10**6] * 9)).max() <= 1.0


def test_features_tell_what_was_said_and_what_only_this_choice_says() -> None:
    """1 for a choice that the role has said; words that all choices have are no overlap."""
    dialogue = heard("find red tea")
    dialogue.reply(Generation("click[red]"))
    overlaps = SMALL.of(dialogue, ["click[red]", "click[green]"])[64:].reshape(3, 12)[:, 8:]

    assert [1.0, 0.0] == overlaps[:2, 0].tolist()
    assert [1.0, 0.0, 0.0] == overlaps[:, 3].tolist()


def test_a_menu_reads_what_is_offered() -> None:
    """AgentBench's words; the given text where there are none."""
    text = "[page]\n\nAvailable Actions:\n{'has_search_bar': False, 'clickables': ['buy now', 'red']}"
    search = "[page]\n\nAvailable Actions:\n{'has_search_bar': True, 'clickables': ['search']}"

    assert ["Action: click[buy now]", "Action: click[red]"] == OfferedMenu().choices(heard("find it", text), seed=0)
    assert "Action: search[find it]" == OfferedMenu().choices(heard("find it", search), seed=0)[0]
    wish = "WebShop [SEP] Instruction: [SEP] a red tea pot [SEP] Search"
    assert "Action: search[a red tea pot]" == OfferedMenu().choices(heard(wish, search), seed=0)[0]
    assert ["Action: click[back to search]"] == OfferedMenu().choices(heard("nothing"), seed=0)


def test_a_policy_proposes_different_things_once_each(guess_task: Any) -> None:
    """An oracle meets the task for every proposal; the same dialogue and seed give the same menu."""
    task = guess_task()
    task.reset(seed=0)
    proposing = menu("proposed:demonstrator*8")
    menus = []
    for _ in range(2):
        dialogue = heard("Guess", seed=5)
        proposing.begin(dialogue, task)
        menus.append(proposing.choices(dialogue, seed=1))

    assert menus[0] == menus[1]
    assert 2 < len(menus[0]) == len(set(menus[0])) <= 8
    assert {str(number) for number in range(1, 17)} >= set(menus[0])


def test_the_task_lists_its_own_candidates(guess_task: Any) -> None:
    """Found by attribute; a task without is refused with what to do."""
    listing = type("Listing", (guess_task,), {"candidates": lambda self: ["1", "2"]})
    dialogue, chosen = heard("Guess"), menu("task")
    chosen.begin(dialogue, listing())

    assert ["1", "2"] == chosen.choices(dialogue, seed=0)
    with pytest.raises(ConfigError, match=r"GuessTask has no candidates\(\); choose another menu"):
        chosen.begin(dialogue, guess_task())


def test_a_call_costs_what_the_checker_reads_and_writes() -> None:
    """Four characters a token where they are hidden; an approval is free."""
    router = RouterMenu(CoinPolicy(1.0), spec="router:coin:1.0")
    dialogue = heard("x" * 40, role="checker")
    said, tokens = router.answer(dialogue, CALL, seed=0)

    assert "Verdict: revise. Try again." == said.text
    assert (40 + len(said.text) + 3) // 4 == tokens
    assert (Generation(APPROVE), 0) == router.answer(dialogue, APPROVE, seed=0)
    dialogue.encode([1, 2, 3])
    assert 5 == tokens_of(dialogue, Generation("ab", (7, 8), (-1.0, -1.0)))


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("verdict", UnknownNameError, "did you mean 'verdicts'"),
        ("proposed:gold", ConfigError, r"write proposed:gold\*4"),
        ("proposed:gold*0", ConfigError, "asks for 0 proposals"),
        ("proposed:nobody*2", UnknownNameError, "nobody"),
        ("no_such_module:Menu", UnknownNameError, "names nothing that can be imported"),
        ("router:", UnknownNameError, "no menu is called"),
    ],
)
def test_a_wrong_menu_is_named(spec: str, error: type[Exception], message: str) -> None:
    """What came, and what to write."""
    with pytest.raises(error, match=message):
        menu(spec)


def test_the_view_pays_the_role_less_the_price_of_tokens(guess_task: Any) -> None:
    """The same episode with and without a price differs by price times tokens, step by step."""

    def played(price: float) -> list[tuple[float, int]]:
        view = RoleEnv(team(guess_task), role="checker", partners={"assistant": DemonstratorPolicy()})
        env = MenuEnv(view, "router:oracle", features=SMALL, token_price=price)
        env.reset(seed=3)
        steps: list[tuple[float, int]] = []
        over = False
        while not over:
            assert [True, True, False] == env.action_masks().tolist()
            assert [APPROVE, CALL] == env.choices
            vector, reward, terminated, truncated, info = env.step(len(steps) % 2)
            assert env.observation_space.contains(vector)
            steps.append((reward, info["tokens"]))
            over = terminated or truncated
        return steps

    free, dear = played(0.0), played(0.5)
    assert [tokens for _, tokens in free] == [tokens for _, tokens in dear]
    assert sum(tokens for _, tokens in free) > 0
    for (one, tokens), (other, _) in zip(free, dear, strict=True):
        assert other == pytest.approx(one - 0.5 * tokens)


def test_an_index_beyond_the_menu_is_taken_modulo(guess_task: Any) -> None:
    """A learner without masks must not end the run."""
    view = RoleEnv(team(guess_task), role="checker", partners={"assistant": DemonstratorPolicy()})
    env = MenuEnv(view, "verdicts", features=SMALL)
    env.reset(seed=0)

    assert APPROVE == env.step(2)[4]["text"]


@needs_sb3
def test_sb3s_own_check_passes(guess_task: Any) -> None:
    """Spaces, dtypes, resets, as Stable-Baselines3 wants them; so does Gymnasium's."""
    from gymnasium.utils.env_checker import check_env as gymnasiums  # noqa: PLC0415
    from stable_baselines3.common.env_checker import check_env  # noqa: PLC0415

    for spec in ("verdicts", "router:oracle"):
        view = RoleEnv(team(guess_task), role="checker", partners={"assistant": DemonstratorPolicy()})
        env = MenuEnv(view, spec, features=SMALL)
        check_env(env)
        gymnasiums(env, skip_render_check=True)
    alone = RoleEnv(cmat_env.CollabEnv(guess_task(), roles=("assistant",)))
    assistant = MenuEnv(alone, "proposed:demonstrator*3", features=SMALL)
    check_env(assistant)


@needs_sb3
@pytest.mark.parametrize("algorithm", ["PPO", "MaskablePPO"])
def test_a_learner_beats_chance_saves_and_plays_in_the_team(algorithm: str, tmp_path: Path) -> None:
    """On held-out tasks, as a role beside another policy, the same before and after it was saved."""
    from cmat_env.policies.sb3 import SB3Policy, algorithm_of  # noqa: PLC0415

    make_env = partial(cmat_env.make, "cmat/DB-v0", roles=("assistant", "checker"), dry_run=True)
    view = RoleEnv(make_env(tasks="generated:train"), role="checker", partners={"assistant": DemonstratorPolicy()})
    env = MenuEnv(view, "verdicts", features=MenuFeatures(size=2))
    model = algorithm_of(algorithm)(
        "MlpPolicy", env, n_steps=256, batch_size=64, learning_rate=1e-3, gamma=0.95, seed=0, device="cpu"
    )
    model.learn(2560)
    policy = SB3Policy(model, env.menu, env.features)
    policy.save(tmp_path)

    def score(checker: Any) -> Any:
        heldout = partial(make_env, tasks="generated:heldout")
        return evaluate(heldout, {"assistant": "demonstrator", "checker": checker}, episodes=120)

    learned, loaded, coin = score(policy), score(f"sb3:{tmp_path}"), score("coin:0.5")
    assert learned.per_episode == loaded.per_episode
    assert learned.checker.precision > coin.checker.precision + 0.15
    assert {"algorithm": algorithm, "menu": "verdicts"}.items() <= json.loads(
        (tmp_path / "menu.json").read_text()
    ).items()


@needs_sb3
def test_a_folder_that_holds_no_model_says_so(tmp_path: Path) -> None:
    """Nothing, a broken file, an algorithm of another kind."""
    with pytest.raises(CheckpointError, match=r"give a folder that SB3Policy\.save wrote"):
        parse_spec(f"sb3:{tmp_path}", role="checker")
    with pytest.raises(ConfigError, match="needs a folder, such as sb3:runs/checker"):
        parse_spec("sb3:", role="checker")
    facts = {"algorithm": "PPO", "menu": "verdicts", "features": {"context": 8, "choice": 8, "size": 2}}
    (tmp_path / "menu.json").write_text(json.dumps(facts))
    (tmp_path / "model.zip").write_bytes(b"no zip")
    with pytest.raises(CheckpointError, match="cannot be read"):
        parse_spec(f"sb3:{tmp_path}", role="checker")
    (tmp_path / "menu.json").write_text(json.dumps(facts | {"algorithm": "SAC"}))
    with pytest.raises(ConfigError, match="a model of 'SAC' cannot play from a menu"):
        parse_spec(f"sb3:{tmp_path}", role="checker")
