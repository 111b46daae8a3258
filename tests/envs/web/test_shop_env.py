"""The shop: pages, modes, formats, rewards, judging, forks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from gymnasium.error import ResetNeeded

import cmat_env
from cmat_env.envs.web.shop import Goal, WebShopEnv
from cmat_env.envs.web.shop.codec import FORMAT_NAMES, FormatName
from cmat_env.envs.web.shop.episode import MODES, Mode
from cmat_env.envs.web.shop.state import State, state_of, url_of
from cmat_env.errors import ConfigError, UnknownNameError
from cmat_env.policies.shopper import FirstResult
from cmat_env.testing import check_collab, check_task

Enter = Callable[..., Any]
GOAL = Goal("shoes", "shoes", "B000000001", (), (), 30.0)
INDEX = """\
Observation:
WebShop [SEP] Instruction: [SEP] i need red running shoes in size 8 [SEP] Search

Available Actions:
{'has_search_bar': True, 'clickables': ['search']}"""
RESULTS = """\
Observation:
Instruction: [SEP] i need red running shoes in size 8 [SEP] Back to Search [SEP] Page 1 (Total results: 1) [SEP] \
B000000001 [SEP] «Norvale Red Running Shoes, Arch Support» [SEP] $19.99

Available Actions:
{'has_search_bar': False, 'clickables': ['back to search', 'b000000001']}"""


def test_pages_in_agentbench_form(enter: Enter) -> None:
    """The first two pages, letter for letter."""
    player = enter()
    assert INDEX == player.last
    assert RESULTS == player.do("Action: search[running shoes]")


def test_the_way_to_a_purchase(enter: Enter) -> None:
    """Index, results, item, a sub-page and back, an option, the purchase."""
    player = enter()
    player.at_shoes()
    assert "Rating: 3.5" in player.last
    assert "«For running.»" in player.do("click[Description]")
    assert "Buy Now" in player.do("click[< Prev]")
    assert "Chosen: [SEP] «size: 8»" in player.do("click[size: 8]")
    assert "Thank you" in player.do("click[Buy Now]")
    assert (1.0, True) == (player.reward, player.over)
    assert ("correct", True, 1.0) == tuple(player.info[key] for key in ("outcome", "success", "score"))
    with pytest.raises(ResetNeeded):
        player.do("click[back to search]")


def test_a_purchase_that_lacks_something_is_partial(enter: Enter) -> None:
    """Without the option two of three parts are right; another thing altogether is worth nothing."""
    player = enter()
    player.at_shoes().do("click[buy now]")
    assert (pytest.approx(2 / 3), "partial") == (player.reward, player.info["outcome"])


def test_another_thing_is_wrong(enter: Enter) -> None:
    """Of another type, the purchase earns 0 and still ends the episode."""
    player = enter()
    for action in ("search[lamp]", "click[b000000100]", "click[buy now]"):
        player.do(action)
    assert (0.0, True, "wrong") == (player.reward, player.over, player.info["outcome"])


def test_pages_of_results_end(enter: Enter) -> None:
    """Twelve results are two pages; the second has no `Next >`, and no page lies behind it."""
    player = enter()
    assert "'next >'" in player.do("search[lamp]")
    assert "'< prev', " in player.do("click[next >]")
    assert "next >" not in player.last
    assert "Page 1 (Total results: 12)" in player.do("click[< prev]")


def test_text_rich_marks_buttons_and_what_was_clicked(enter: Enter) -> None:
    """As upstream: a line each, [button] or [clicked button], and what was clicked said first."""
    player = enter(observation_mode="text_rich").at_shoes()
    player.do("click[7]")
    assert "Observation:\nYou have clicked «7».\nInstruction:" in player.last
    assert "  [clicked button] «7» [clicked button_]" in player.last
    assert "[button] Buy Now [button_]" in player.last
    assert "[clicked button] B000000001 [clicked button_]" in player.do("click[< prev]")


def test_url_and_html_modes(enter: Enter) -> None:
    """The address says where one is; HTML is escaped."""
    assert "Observation:\n/item/B000000001?q=running+shoes&page=1\n" in enter(observation_mode="url").at_shoes().last
    html = enter(observation_mode="html").at_shoes().last
    assert '<label for="option-5"><span data-by="them">7</span></label>' in html
    player = enter(observation_mode="html")
    player.do("search[<script>alert(1)</script>]")
    assert "<script>alert" not in player.last


def test_quoting_can_be_left_out(enter: Enter) -> None:
    """AgentBench's own form has no quotation marks."""
    assert "«" not in enter(quote=False).at_shoes().last


def test_rounds_are_20_or_10(enter: Enter) -> None:
    """The limit truncates; formats have AgentBench's numbers."""
    for action_format, rounds in (("text", 20), ("v0.2", 10), ("tools", 20)):
        player = enter(action_format=action_format)
        player.do(player.env.codec.search("lamp"))
        for _ in range(rounds - 2):
            player.do(player.env.codec.click("no such thing"))
        assert not player.over
        player.do(player.env.codec.click("no such thing"))
        assert (True, "round limit") == (player.over, player.info["outcome"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action_format", FORMAT_NAMES)
def test_every_mode_and_format_keeps_the_contract(mode: Mode, action_format: FormatName) -> None:
    """`check_task` finds nothing, the solution included."""
    make = functools.partial(WebShopEnv, products=60, observation_mode=mode, action_format=action_format)
    check_task(make, seeds=(0, 1))


def test_a_team_in_the_shop_keeps_the_contract() -> None:
    """`check_collab` finds nothing."""
    check_collab(lambda: cmat_env.make("cmat/WebShop-v0", products=60))


def test_judgements(enter: Enter) -> None:
    """A good search, product, option or purchase is good, a bad one bad, and looking around is neither."""
    player = enter()

    def judged(action: str) -> tuple[bool, str] | None:
        judgement = player.env.judge(action)
        return None if judgement is None else (judgement.good, judgement.reason)

    assert (True, "finds it") == judged("search[running shoes]")
    assert (False, "does not find it") == judged("search[lamp]")
    assert (False, "format") == judged("let me think")
    assert (False, "impossible") == judged("click[buy now]")
    player.do("search[running shoes]")
    assert (True, "fits") == judged("click[b000000001]")
    player.do("click[b000000001]")
    assert (False, "another option is wanted") == judged("click[7]")
    assert None is judged("click[reviews]")
    assert (False, "would earn 0.67") == judged("click[buy now]")
    player.do("click[size: 8]")
    assert (True, "right purchase") == judged("click[buy now]")


def test_element_numbers_are_stable_and_go_stale(enter: Enter) -> None:
    """In mode axtree a page keeps its numbers, and a number of another page is refused."""
    player = enter(observation_mode="axtree")
    index = player.last
    assert '[1] searchbox "Search for products"\n[2] button "Search"' in index
    player.do("search[running shoes]")
    assert '[3] link "Back to Search"' in player.last
    assert "Note: Element 2 is not on this page; its number is stale." in player.do("click[2]")
    assert "Nothing on this page is called '99'" in player.do("click[99]")
    assert index == player.do("click[3]")
    player.do("search[running shoes]")
    assert '[5] link "Back to Search"' in player.do("click[4]")
    before = player.last
    assert before.replace('radio "7"', 'radio "7" checked') in player.do("click[7]").replace(
        'StaticText "Chosen:"\nStaticText "size: 7"\n', ""
    )


def test_states_and_addresses_say_the_same() -> None:
    """A state survives the way through its address, whatever the words."""
    states = [
        State(),
        State("results", "a&b=c ü %20 +", 3),
        State("item", "x", 2, "B01", None, (("size & more", "8 [x] / 9"), ("color", "é"))),
        State("sub", "x", 1, "B01", "reviews", (("a", "b"),)),
        State("done", "x", 1, "B01", None, (("a", "b"),)),
    ]
    assert states == [state_of(url_of(state)) for state in states]
    assert [None, None, None] == [state_of(url) for url in ("/nowhere", "/item", "/item/B01/secret")]
    assert State("results", "", 1) == state_of("/search?page=-1")


def test_two_episodes_share_nothing(enter: Enter) -> None:
    """Side by side, each has its own page and choices."""
    one, other = enter().at_shoes(), enter()
    one.do("click[7]")
    assert INDEX == enter().last == other.last
    assert "Chosen" not in other.at_shoes().last


def test_tasks_by_number_and_name() -> None:
    """Generated goals are named by seed, a list by index or id; what is wrong is told."""
    env = WebShopEnv("generated:dev", products=20)
    by_seed = env.reset(seed=7)
    assert by_seed == env.reset(options={"task": 7}) == env.reset(options={"task": "dev-7"})
    assert "dev-7" == by_seed[1]["task_id"]
    for wrong in ("train-7", 1.5, True, "dev-"):
        with pytest.raises(UnknownNameError):
            env.reset(options={"task": wrong})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"observation_mode": "txt"}, "did you mean 'text'"),
        ({"action_format": "json"}, "known: text, tools, v0.2"),
        ({"max_rounds": 0}, "max_rounds=0"),
        ({"products": 0}, "products=0"),
        ({"browser": "yes"}, "browser='yes'"),
        ({"goals": "0:5"}, "goals chooses among WebShop's own"),
        ({"tasks": [GOAL]}, "without a shop"),
        ({"tasks": "generated:dve"}, "did you mean 'dev'"),
    ],
)
def test_mistakes_in_settings_are_told(settings: dict[str, Any], words: str) -> None:
    """What came, what was wanted."""
    with pytest.raises((ConfigError, UnknownNameError), match=words):
        WebShopEnv(**settings)


def test_a_goal_wants_something_that_is_sold(enter: Enter) -> None:
    """A goal for an unknown product is a mistake of the caller."""
    with pytest.raises(ConfigError, match="B999"):
        WebShopEnv([Goal("g", "", "B999", (), (), 1.0)], catalogue=enter().env.shop.catalogue)


def test_gold_random_and_first_result_are_in_order() -> None:
    """Gold earns 1, clicking at random nearly nothing, and taking the first result something between."""
    env = functools.partial(cmat_env.make, "cmat/WebShop-v0", tasks="generated:heldout", roles=("assistant",))
    from cmat_env.evaluate import evaluate  # noqa: PLC0415 - needed here alone

    rewards = [
        evaluate(env, {"assistant": policy}, episodes=100).total.mean_reward or 0.0
        for policy in ("gold", FirstResult(), "random")
    ]
    assert 1.0 == rewards[0]
    assert 0.6 < rewards[1] < 0.95
    assert rewards[2] < 0.15
