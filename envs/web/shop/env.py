"""`cmat/WebShop-v0`: buy what an instruction asks for, in a shop that runs in this process or in a real browser.

observation: a page of the shop and what can be done there, in AgentBench's form
action:      any text; a codec finds search[words] or click[label] in it
reward:      WebShop's, in [0, 1], on the purchase
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cmat_env.checks import check_whole
from cmat_env.envs.task_env import RestorableEnv, Snapshot
from cmat_env.envs.web.search.engine import EngineName
from cmat_env.envs.web.shop.catalogue import Catalogue, Goal
from cmat_env.envs.web.shop.codec import CODECS, Click, Codec, FormatName, Search, Unreadable
from cmat_env.envs.web.shop.demonstrate import next_action
from cmat_env.envs.web.shop.elements import ElementIds
from cmat_env.envs.web.shop.engine import PER_PAGE, Shop
from cmat_env.envs.web.shop.episode import Episode, Mode, ShopSettings
from cmat_env.envs.web.shop.opinion import Opinion
from cmat_env.envs.web.shop.page import Piece, as_rich_text, as_text
from cmat_env.envs.web.shop.reward import score_purchase
from cmat_env.envs.web.shop.state import State
from cmat_env.envs.web.shop.stock import open_stock
from cmat_env.envs.web.shop.surface import Surface, SurfaceLostError, open_surface
from cmat_env.envs.web.text import clean
from cmat_env.protocols import Uniform
from cmat_env.spaces import AnyText
from cmat_env.types import Judgement

_CUT = " [TRUNCATED]"


class WebShopEnv(RestorableEnv[Goal, Episode]):
    """One customer in a shop.

    Args:
        tasks: "generated:train", "generated:dev", "generated:heldout", a folder with WebShop's own files, or goals.
        products: of generated shops, how many.
        shop_seed: of generated shops, which.
        catalogue: what is sold, where goals are passed.
        goals: of WebShop's own files, which, such as "0:200"; all by default.
        per_page: products on a page of results; WebShop has 10.
        search: the engine: "auto", "fts5" or "tantivy".
        browser: visit the shop in a real Chromium, over HTTP; the same observations and rewards, hundreds of times
            slower.
        headless: False shows the browser's window, where there is a screen.
        observation_mode, action_format, max_rounds, quote, max_observation, demonstrator_error: see `ShopSettings`.

    `reset(seed=, options={"task": ...})`: of generated goals, each seed has its own; of a list, seeds go round it;
    options name one by id or number. At the end, infos hold success (reward 1), score, outcome ("correct", "partial",
    "wrong", "format", "round limit" or "browser lost") and metrics.

    Raises:
        ConfigError, UnknownNameError, TaskFileError, MissingExtraError: an argument is not what it should be.
    """

    def __init__(
        self,
        tasks: str | Path | Sequence[Goal] = "generated:train",
        *,
        products: int = 1_000,
        shop_seed: int = 0,
        catalogue: Catalogue | None = None,
        goals: str | None = None,
        per_page: int = PER_PAGE,
        search: EngineName = "auto",
        browser: bool = False,
        headless: bool = True,
        observation_mode: Mode = "text",
        action_format: FormatName = "text",
        max_rounds: int | None = None,
        quote: bool = True,
        max_observation: int = 20_000,
        demonstrator_error: float = 0.5,
    ) -> None:
        self.settings = ShopSettings(
            observation_mode, action_format, max_rounds, quote, max_observation, demonstrator_error
        )
        stock = open_stock(
            tasks, products=products, shop_seed=shop_seed, catalogue=catalogue, goals=goals, search=search
        )
        check_whole("per_page", per_page)
        self.source, self.task_types = stock.source, stock.task_types
        self.shop = Shop(stock.catalogue, per_page=per_page)
        self.observation_space = AnyText(100_000 + 2 * max_observation)
        self.action_space = AnyText(1_000_000)
        self.surface: Surface = open_surface(self.shop, browser=browser, headless=headless)

    @property
    def codec(self) -> Codec:
        """How actions are written."""
        return CODECS[self.settings.action_format]

    @property
    def instructions(self) -> str:
        """The prompt for the action format."""
        return self.codec.instructions

    @property
    def max_rounds(self) -> int:
        """Actions in an episode."""
        return self.settings.max_rounds or self.codec.rounds

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode at the front page.

        Raises:
            UnknownNameError: options["task"] names no goal.
            SurfaceLostError: the browser cannot be started.
        """
        return self.begin(self._pick(seed, options))

    def begin(self, goal: Goal, *, fresh: bool = True) -> tuple[str, dict[str, Any]]:
        """Begin an episode of this goal at the front page; a shop is fresh at any time."""
        self._episode = Episode(goal)
        self.surface.open(goal, self._episode.state)
        return self._observe(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action; whatever is no text counts as an empty one.

        Raises:
            ResetNeeded: the episode is over, or none has begun.
        """
        self._running()
        reading = self.codec.parse(action if isinstance(action, str) else "")
        if isinstance(reading.move, Unreadable) and self.codec.strict:
            self._count(mistakes=1)
            return self._end(reading.move.message, "format")
        try:
            note = self._act(reading.move)
            if reading.ignored:
                note = f"{note} Only the first of your {reading.ignored + 1} actions was taken.".strip()
            if self.surface.purchase is not None:
                return self._bought(self.surface.purchase)
            observation = self._observe("" if self.codec.strict else note)
        except SurfaceLostError as error:
            return self._end(f"The browser was lost: {error}", "browser lost")
        if self._state.rounds >= self.max_rounds:
            return self._end(observation, "round limit")
        return observation, 0.0, False, False, self._info()

    def _act(self, move: Search | Click | Unreadable) -> str:
        """Do what an action asks for, or say why not."""
        target = self._target(move)
        if isinstance(target, str):
            self._count(mistakes=1)
            return target
        if isinstance(target, Search):
            self.surface.search(target.words)
        else:
            self.surface.click(target)
        visited = (target.group,) if isinstance(target, Piece) and target.kind == "product" else ()
        self._count(searches=isinstance(target, Search), visited=visited)
        return ""

    def _count(self, *, searches: int = 0, mistakes: int = 0, visited: Sequence[str] = ()) -> None:
        """Write an action down."""
        old = self._state
        self._episode = replace(
            old,
            state=self.surface.state,
            rounds=old.rounds + 1,
            searches=old.searches + searches,
            mistakes=old.mistakes + mistakes,
            visited=old.visited.union(visited) if visited else old.visited,
        )

    def _target(self, move: Search | Click | Unreadable) -> Search | Piece | str:
        """What an action aims at on this page, or why it is not possible."""
        page = self.surface.page
        if isinstance(move, Unreadable):
            return move.message
        if isinstance(move, Search):
            if not page.searchable:
                return "There is no search bar on this page."
            found = self.shop.search(move.words)
            return Search(found.query) if found is not None else "The search holds no word to search for."
        label = move.labels[0].strip()
        if self.settings.observation_mode == "axtree" and label.isdecimal() and len(label) < 10:
            ids = self._state.ids
            piece = ids.usable(self._state.state, page).get(int(label))
            if piece is None and ids.is_stale(int(label)):
                return f"Element {int(label)} is not on this page; its number is stale."
        else:
            piece = page.find(move.labels)
        if piece is None:
            return f"Nothing on this page is called {clean(label, limit=100)!r}."
        if self.shop.follow(self._state.state, piece) is None:
            return "Write what to search for: search[words]."
        return piece

    def _observe(self, note: str = "") -> str:
        page, available = self._page_text()
        if len(page) > self.settings.max_observation:
            page = page[: self.settings.max_observation] + _CUT
        head = f"Note: {note}\n\n" if note else ""
        return f"{head}Observation:\n{page}\n\nAvailable Actions:\n{available}"

    def _page_text(self) -> tuple[str, dict[str, Any]]:
        """The page in the mode of observation, and what can be done there."""
        page, mode, quote = self.surface.page, self.settings.observation_mode, self.settings.quote
        available = {"has_search_bar": page.searchable, "clickables": list(page.clickables)}
        if mode == "text":
            return as_text(page, quote=quote), available
        if mode == "text_rich":
            return as_rich_text(page, self._state.visited, quote=quote), available
        if mode == "html":
            return self.surface.html(), available
        if mode == "url":
            return page.url, available
        state, elements = self._state, self.surface.elements()
        ids: ElementIds = state.ids.with_page(state.state, elements)
        self._episode = replace(state, ids=ids)
        available["clickables"] = list(map(str, ids.usable(state.state, page)))
        return ids.tree(state.state, elements), available

    def _info(self) -> dict[str, Any]:
        product = self.shop.catalogue.by_id[self.task.product_id]
        info: dict[str, Any] = {"task_id": self.task.id, "task_type": product.category[0] if product.category else "-"}
        if self.surface.restarts:
            info["browser_restarts"] = self.surface.restarts
        return info

    def _bought(self, order: State) -> tuple[str, float, bool, bool, dict[str, Any]]:
        by_id = self.shop.catalogue.by_id
        score = score_purchase(self.task, by_id[self.task.product_id], by_id[order.product], order.chosen)
        outcome = "correct" if score.reward == 1.0 else "partial" if score.reward else "wrong"
        parts = {"type": score.type, "attributes": score.attributes, "options": score.options, "price": score.price}
        return self._end(self._observe(), outcome, reward=score.reward, bought=order.product, **parts)

    def _end(
        self, observation: str, outcome: str, *, reward: float = 0.0, **parts: Any
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Close the episode."""
        state = self._episode = replace(self._state, over=True)
        counts = {"rounds": state.rounds, "searches": state.searches, "mistakes": state.mistakes}
        end = {"success": reward == 1.0, "score": reward, "outcome": outcome, "metrics": {**counts, **parts}}
        truncated = outcome in ("round limit", "browser lost")
        return observation, reward, not truncated, truncated, {**self._info(), **end}

    def solution(self) -> list[str]:
        """The actions of a right episode; see `solution_of`."""
        return self.solution_of(self.task)

    def solution_of(self, goal: Goal) -> list[str]:
        """The actions that fulfil a goal: search for the title, take the product, choose, buy."""
        return list(Opinion(self.shop, goal).path(self.codec))

    def demonstrate(self, rng: Uniform, rejected: Sequence[str] = ()) -> str:
        """The next action of the imperfect demonstrator.

        Args:
            rng: a `random.Random` or a `numpy.random.Generator`.
            rejected: its proposals that were refused in this turn.
        """
        state, error = self._state, self.settings.demonstrator_error
        return next_action(self.shop, state.task, state.state, rng, error=error, rejected=rejected, codec=self.codec)

    def judge(self, action: str) -> Judgement | None:
        """Should this action be taken now? None = no opinion, or no episode to judge in; see `Opinion`."""
        state = self._episode
        if state is None or state.over:
            return None
        move = self.codec.parse(action if isinstance(action, str) else "").move
        target = self._target(move)
        if isinstance(target, str):
            return Judgement(good=False, reason="format" if isinstance(move, Unreadable) else "impossible")
        opinion = Opinion(self.shop, state.task)
        if isinstance(target, Search):
            return opinion.of_search(target.words)
        return opinion.of_click(state.state, target)

    def restore(self, snapshot: Snapshot[Episode]) -> None:
        """Go on from a snapshot, which may be used again."""
        super().restore(snapshot)
        if not snapshot.episode.over:
            self.surface.open(snapshot.episode.task, snapshot.episode.state)

    def close(self) -> None:
        """Leave the shop; twice is fine."""
        self._episode = None
        self.surface.close()
