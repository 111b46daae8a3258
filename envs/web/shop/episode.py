"""Settings and state of an episode in a shop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from cmat_env.checks import check_known, check_share, check_whole
from cmat_env.envs.web.shop.catalogue import Goal
from cmat_env.envs.web.shop.codec import FORMAT_NAMES, FormatName
from cmat_env.envs.web.shop.elements import ElementIds
from cmat_env.envs.web.shop.state import State

Mode = Literal["text", "text_rich", "html", "url", "axtree"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class ShopSettings:
    """How an episode is played.

    Attributes:
        observation_mode: "text" (visible text with [SEP] between), "text_rich" (a line each, buttons marked), "html",
            "url", or "axtree" (the accessibility tree; a number is a label, too).
        action_format: "text" (ours), "v0.2" (AgentBench's text) or "tools" (AgentBench's tool calls).
        max_rounds: actions in an episode; None = 20, or 10 in format "v0.2".
        quote: put what sellers and customers wrote between « and » in the text modes.
        max_observation: characters of a page; the rest is cut.
        demonstrator_error: share of the imperfect demonstrator's choices that are slips.

    Raises:
        ConfigError: a setting is out of range.
    """

    observation_mode: Mode = "text"
    action_format: FormatName = "text"
    max_rounds: int | None = None
    quote: bool = True
    max_observation: int = 20_000
    demonstrator_error: float = 0.5

    def __post_init__(self) -> None:
        for name, known in (("observation_mode", MODES), ("action_format", FORMAT_NAMES)):
            check_known(name, getattr(self, name), known)
        check_whole("max_observation", self.max_observation)
        check_share("demonstrator_error", self.demonstrator_error)
        if self.max_rounds is not None:
            check_whole("max_rounds", self.max_rounds)


@dataclass(frozen=True, slots=True)
class Episode:
    """The state of an episode.

    Attributes:
        task: what is wanted.
        state: the page.
        rounds, searches, mistakes: actions taken; of them searches; of them unreadable or impossible ones.
        over: has it ended?
        visited: ids of the products that were clicked.
        ids: the numbers of elements, in mode "axtree".
    """

    task: Goal
    state: State = field(default_factory=State)
    rounds: int = 0
    searches: int = 0
    mistakes: int = 0
    over: bool = False
    visited: frozenset[str] = frozenset()
    ids: ElementIds = field(default_factory=ElementIds)
