"""Menus of choices, their features, and Stable-Baselines3's models that choose from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cmat_env
from cmat_env.errors import CheckpointError, ConfigError, PolicyError, UnknownNameError
from cmat_env.evaluate import evaluate
from cmat_env.log import EpisodeWriter, read_episodes
from cmat_env.menu import MenuEnv
from cmat_env.policies.features import MenuFeatures, hashed
from cmat_env.policies.menus import CALL, Menu, OfferedMenu, ProposedMenu, RouterMenu, menu_of, tokens_of
from cmat_env.policies.scripted import APPROVE, CoinPolicy, DemonstratorPolicy, EchoPolicy
from cmat_env.policies.spec import parse_spec
from cmat_env.report import EvalReport
from cmat_env.types import Dialogue, Generation, Message, Policy, Usage
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


class Endpoint:
    """Answers with what it was given, one after the other, and counts ten tokens in and one out for each."""

    def __init__(self, *texts: str | None) -> None:
        self.texts = list(texts)

    def generate(self, dialogues: Sequence[Dialogue], *, seed: int) -> list[Generation]:
        """None = it fails."""
        said = [self.texts.pop(0) for _ in dialogues]
        return [
            Generation("HTTP 500", finish_reason="error") if text is None else Generation(text, usage=Usage(10, 1, 0.5))
            for text in said
        ]


def test_a_proposal_that_failed_is_no_choice() -> None:
    """What is left may be chosen; what all took is counted, the failed calls too."""
    proposing = ProposedMenu(Endpoint("8", None, "8", "4"), 4, spec="proposed:x*4")
    dialogue = heard("Guess")

    assert ["8", "4"] == proposing.choices(dialogue, seed=0)
    assert (Generation("4", usage=Usage(30, 3, 1.5, calls=4)), 33) == proposing.answer(dialogue, "4", seed=0)


def test_where_every_proposal_fails_the_failure_is_passed_on(guess_task: Any) -> None:
    """So a rollout drops the episode, and a learner stops with what the policy said instead of playing it."""
    proposing = ProposedMenu(Endpoint(None, None), 2, spec="proposed:x*2")
    dialogue = heard("Guess")

    assert ["HTTP 500"] == proposing.choices(dialogue, seed=0)
    assert "error" == proposing.answer(dialogue, "HTTP 500", seed=0)[0].finish_reason
    alone = RoleEnv(cmat_env.CollabEnv(guess_task(), roles=("assistant",)))
    env = MenuEnv(alone, ProposedMenu(Endpoint(None, None), 2, spec="proposed:x*2"), features=SMALL)
    env.reset(seed=0)
    with pytest.raises(PolicyError, match="behind menu 'proposed:x\\*2' could not answer: HTTP 500"):
        env.step(0)
    failing = RoleEnv(team(guess_task), role="checker", partners={"assistant": Endpoint(None)})
    with pytest.raises(PolicyError, match="the assistant could not answer: HTTP 500"):
        failing.reset(seed=0)


def test_a_model_that_proposes_is_sampled_and_one_that_is_called_is_not() -> None:
    """The likeliest answer N times would be a menu of one."""
    asked: dict[str, bool] = {}

    def parse(spec: str, *, greedy: bool = True) -> Policy:
        asked[spec] = greedy
        return EchoPolicy()

    menu_of("proposed:hf:a*4", parse)
    menu_of("router:hf:b", parse)

    assert {"hf:a": False, "hf:b": True} == asked


class Chooses:
    """A model that always takes one place of the menu."""

    def __init__(self, index: int) -> None:
        self.index = index

    def predict(self, vector: Any, *, deterministic: bool) -> tuple[int, None]:
        """The place."""
        return self.index, None


class Draws:
    """A model that takes any place of the menu."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def predict(self, vector: Any, *, deterministic: bool) -> tuple[int, None]:
        """12 places are as good as any menu of 1 to 4."""
        return int(self.rng.integers(12)), None


@pytest.mark.parametrize(("index", "counted"), [(0, (0, (0, 0), None)), (1, (2, (20, 2), 1.0))])
def test_a_report_counts_what_stands_behind_a_menu(
    index: int, counted: tuple[int, tuple[int, int], float | None], guess_task: Any, tmp_path: Path
) -> None:
    """Calls, tokens and cost of a router's checker: none where it approves by itself; the log keeps them."""
    from cmat_env.policies.sb3 import SB3Policy  # noqa: PLC0415

    router = SB3Policy(Chooses(index), RouterMenu(Endpoint(APPROVE, APPROVE), spec="router:x"), SMALL)
    with EpisodeWriter(tmp_path / "episodes.jsonl") as log:
        report = evaluate(
            lambda: team(guess_task), {"assistant": "gold", "checker": router}, episodes=2,
            on_end=lambda _, episode: log.write(episode),
        )  # fmt: skip
    kept = EvalReport.of(report.env, [each.trajectory for each in read_episodes(tmp_path)], seconds=report.seconds)

    assert counted == (report.calls, report.tokens, report.cost)
    assert report.per_episode == kept.per_episode == EvalReport.from_json(report.to_json()).per_episode
    assert evaluate(lambda: team(guess_task), {"assistant": "gold", "checker": "oracle"}, episodes=1).calls is None


def test_an_evaluation_drops_and_counts_what_failed_behind_a_menu(guess_task: Any) -> None:
    """As with the policy used directly."""
    from cmat_env.policies.sb3 import SB3Policy  # noqa: PLC0415

    menus = (ProposedMenu(Endpoint(*[None] * 4), 2, spec="p"), RouterMenu(Endpoint(None, None), spec="r"))
    proposing, routing = (SB3Policy(Chooses(index), each, SMALL) for index, each in enumerate(menus))
    for assistant, checker in ((proposing, "approve"), ("gold", routing)):
        report = evaluate(lambda: team(guess_task), {"assistant": assistant, "checker": checker}, episodes=2)

        assert (0, 2) == (report.episodes, len(report.dropped))
        assert "PolicyError: HTTP 500" in report.dropped[0]


def test_a_call_costs_what_the_checker_reads_and_writes() -> None:
    """Four characters a token where they are hidden; an approval is free."""
    router = RouterMenu(CoinPolicy(1.0), spec="router:coin:1.0")
    dialogue = heard("x" * 40, role="checker")
    said, tokens = router.answer(dialogue, CALL, seed=0)

    assert "Verdict: revise. Try again." == said.text
    assert (40 + len(said.text) + 3) // 4 == tokens
    assert Usage(0, 0, calls=1) == said.usage
    assert (Generation(APPROVE, usage=Usage(0, 0, calls=0)), 0) == router.answer(dialogue, APPROVE, seed=0)
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
    from cmat_env.policies.sb3 import algorithm_of  # noqa: PLC0415

    make_env = partial(cmat_env.make, "cmat/DB-v0", roles=("assistant", "checker"), dry_run=True)
    view = RoleEnv(make_env(tasks="generated:train"), role="checker", partners={"assistant": DemonstratorPolicy()})
    env = MenuEnv(view, "verdicts", features=MenuFeatures(size=2))
    model = algorithm_of(algorithm)(
        "MlpPolicy", env, n_steps=256, batch_size=64, learning_rate=1e-3, gamma=0.95, seed=0, device="cpu"
    )
    model.learn(1536)
    policy = env.policy(model)
    policy.save(tmp_path)

    def score(checker: Any) -> Any:
        heldout = partial(make_env, tasks="generated:heldout")
        return evaluate(heldout, {"assistant": "demonstrator", "checker": checker}, episodes=120)

    learned, loaded, coin, first = (score(each) for each in (policy, f"sb3:{tmp_path}", "coin:0.5", "approve"))
    assert learned.per_episode == loaded.per_episode
    assert learned.checker.precision > coin.checker.precision + 0.15
    assert learned.success_rate > first.success_rate + 0.05
    facts = json.loads((tmp_path / "menu.json").read_text())
    assert {"algorithm": algorithm, "menu": "verdicts", "role": "checker", "env": "cmat/DB-v0"}.items() <= facts.items()
    with pytest.raises(ConfigError, match="was trained to be the checker and cannot be the assistant; give --checker"):
        parse_spec(f"sb3:{tmp_path}", role="assistant")


def test_a_role_that_was_trained_elsewhere_is_warned_of(guess_task: Any, recwarn: pytest.WarningsRecorder) -> None:
    """It plays, for the same words may do; where it was trained nobody is warned, nor of others."""
    from cmat_env.policies.sb3 import SB3Policy  # noqa: PLC0415

    for env_id in ("cmat/DB-v0", "", cmat_env.CollabEnv(guess_task()).env_id):
        checker = SB3Policy(Chooses(0), menu("verdicts"), SMALL, role="checker", env_id=env_id)
        evaluate(lambda: team(guess_task), {"assistant": "gold", "checker": checker}, episodes=1)

    [warned] = [str(each.message) for each in recwarn if "was trained in" in str(each.message)]
    assert warned.startswith("the checker was trained in cmat/DB-v0 and plays in ")


@needs_sb3
def test_a_learner_picks_the_right_one_of_what_is_proposed() -> None:
    """On tasks it has not seen it solves more than a random choice, and than the first, which is the policy alone."""
    from cmat_env.policies.sb3 import SB3Policy, algorithm_of  # noqa: PLC0415

    make_env = partial(cmat_env.make, "cmat/DB-v0", roles=("assistant",))
    features = MenuFeatures(context=64, choice=64, size=4)
    env = MenuEnv(RoleEnv(make_env(tasks="generated:train")), "proposed:demonstrator*4", features=features)
    model = algorithm_of("MaskablePPO")(
        "MlpPolicy", env, n_steps=256, batch_size=128, learning_rate=1e-3, ent_coef=0.01, gamma=0.95, seed=0,
        device="cpu",
    )  # fmt: skip
    model.learn(3072)

    def solved(chooser: Any) -> float:
        policies = {"assistant": SB3Policy(chooser, env.menu, features)}
        rate = evaluate(partial(make_env, tasks="generated:heldout"), policies, episodes=300).success_rate
        assert rate is not None
        return rate

    assert solved(model) > max(solved(Chooses(0)), solved(Draws())) + 0.05


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
