"""What a shop's goal thinks of a proposed action, and how it would be reached: for checkers and demonstrations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cmat_env.envs.web.shop.catalogue import Goal
from cmat_env.envs.web.shop.codec import Codec
from cmat_env.envs.web.shop.engine import BUY, NEXT, Shop
from cmat_env.envs.web.shop.page import Page, Piece, qualified
from cmat_env.envs.web.shop.reward import can_fulfil, score_purchase
from cmat_env.envs.web.shop.state import State
from cmat_env.envs.web.text import match_key
from cmat_env.types import Judgement


class Opinion:
    """Judges actions against one goal.

    Args:
        shop: where it is to be bought.
        goal: what is wanted.
    """

    def __init__(self, shop: Shop, goal: Goal) -> None:
        self._shop = shop
        self._goal = goal
        self._wanted = shop.catalogue.by_id[goal.product_id]

    def of_search(self, query: str) -> Judgement | None:
        """Good if the first page shows what is wanted, bad if no page does."""
        found = self._shop.results(query)
        if self._goal.product_id in found[: self._shop.per_page]:
            return Judgement(good=True, reason="finds it")
        if self._goal.product_id not in found:
            return Judgement(good=False, reason="does not find it")
        return None

    def of_click(self, state: State, piece: Piece) -> Judgement | None:
        """Good if it brings the purchase nearer, bad if it chooses or buys what is not wanted; looking is neither."""
        if piece.kind == "product":
            fits = can_fulfil(self._goal, self._wanted, self._shop.catalogue.by_id[piece.group])
            return Judgement(good=True, reason="fits") if fits else None
        if piece.kind == "option":
            return self._of_option(state, piece)
        if piece.text == BUY and piece.kind == "button":
            reward = self._reward(state.product, state.chosen)
            return Judgement(reward == 1.0, "right purchase" if reward == 1.0 else f"would earn {reward:.2f}")
        return None

    def _of_option(self, state: State, option: Piece) -> Judgement | None:
        """An option is right if, of its group, it earns most."""
        chosen = dict(state.chosen)
        values = dict(self._shop.catalogue.by_id[state.product].options).get(option.group, ())
        earned = {value: self._reward(state.product, {**chosen, option.group: value}.items()) for value in values}
        if len(set(earned.values())) < 2:
            return None
        good = earned.get(option.text) == max(earned.values())
        return Judgement(good, "wanted option" if good else "another option is wanted")

    def _reward(self, product: str, chosen: Iterable[tuple[str, str]]) -> float:
        bought = self._shop.catalogue.by_id[product]
        return score_purchase(self._goal, self._wanted, bought, list(chosen)).reward

    def path(self, codec: Codec) -> Iterator[str]:
        """The actions of a right episode."""
        state = self._shop.search(self._wanted.name)
        found = self._shop.results(self._wanted.name)
        assert state is not None and self._wanted.id in found, "a title finds its own product"
        yield codec.search(self._wanted.name)
        for _ in range(found.index(self._wanted.id) // self._shop.per_page):
            yield codec.click(NEXT.lower())
        yield codec.click(self._wanted.id.lower())
        page = self._shop.page(State("item", state.query, 1, self._wanted.id), self._goal.instruction)
        for name, value in self._goal.options:
            yield codec.click(self.label(page, name, value))
        yield codec.click(BUY.lower())

    def label(self, page: Page, name: str, value: str) -> str:
        """How an option is called where it is clicked; digits alone could be the number of an element."""
        for label, piece in page.clickables.items():
            if piece.kind == "option" and (piece.group, piece.text) == (name, value):
                return qualified(piece) if label.isdigit() else label
        return match_key(value)
