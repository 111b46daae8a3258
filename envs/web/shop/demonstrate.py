"""The imperfect demonstrator of the shop: a customer who takes a first result for what is wanted, or forgets an option.

It knows the goal, but searches with the words of the instruction, which anybody could. In a given share of its choices
it slips: on a page of results it clicks the first one that is not wanted, on a product it buys at once.
"""

from __future__ import annotations

from collections.abc import Collection

from cmat_env.envs.web.shop.catalogue import Goal
from cmat_env.envs.web.shop.codec import Codec
from cmat_env.envs.web.shop.engine import BUY, Shop
from cmat_env.envs.web.shop.opinion import Opinion
from cmat_env.envs.web.shop.state import State
from cmat_env.protocols import Uniform


def next_action(
    shop: Shop, goal: Goal, state: State, rng: Uniform, *, error: float, rejected: Collection[str], codec: Codec
) -> str:
    """What the demonstrator does next.

    Args:
        shop: where it is.
        goal: what is wanted.
        state: the page it is on.
        rng: all randomness.
        error: the share of slips, where one is possible.
        rejected: its proposals that were refused in this turn; it does the other thing then, if there is one.
        codec: how actions are written.
    """
    right, slip = _choices(shop, goal, state, codec)
    slips = slip is not None and rng.random() < error
    first, other = (slip, right) if slips else (right, slip)
    assert first is not None
    return other if first in rejected and other is not None else first


def _choices(shop: Shop, goal: Goal, state: State, codec: Codec) -> tuple[str, str | None]:
    """The right action, and what it does where it slips."""
    if state.page == "index":
        return codec.search(goal.instruction), None
    if state.page == "results":
        start = (state.number - 1) * shop.per_page
        shown = shop.results(state.query)[start : start + shop.per_page]
        others = [product for product in shown if product != goal.product_id]
        slip = codec.click(others[0].lower()) if others else None
        if goal.product_id in shown:
            return codec.click(goal.product_id.lower()), slip
        return slip or codec.click("back to search"), None
    if state.page != "item":
        return codec.click("< prev"), None
    offered = dict(shop.catalogue.by_id[state.product].options)
    page = shop.page(state, goal.instruction)
    missing = [pair for pair in goal.options if pair not in state.chosen and pair[1] in offered.get(pair[0], ())]
    buy = codec.click(BUY.lower())
    if not missing:
        return buy, None
    return codec.click(Opinion(shop, goal).label(page, *missing[0])), buy
