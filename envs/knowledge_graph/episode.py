"""Settings and state of an episode at a knowledge graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from cmat_env.checks import check_known, check_share, check_whole
from cmat_env.envs.knowledge_graph.codec import FORMAT_NAMES, FormatName
from cmat_env.envs.knowledge_graph.compiler import FIDELITIES, Fidelity
from cmat_env.envs.knowledge_graph.tasks import Call, KGTask
from cmat_env.envs.knowledge_graph.tools import Session

RewardName = Literal["em", "f1"]


@dataclass(frozen=True, slots=True)
class KGSettings:
    """How an episode is played and graded.

    Attributes:
        action_format: "v0.2" = AgentBench's text, "tools" = tool calls.
        fidelity: "upstream" = AgentBench's rules with all their consequences, "fixed" = ours.
        reward: "em" = 1 for exactly the right answers, "f1" = the F1 of the two sets.
        max_rounds: messages of the agent.
        max_observation: characters of what one call gave; more are cut.
        demonstrator_error: share of mistakes of the imperfect demonstrator, where one is possible.

    Raises:
        ConfigError: a setting is out of range.
    """

    action_format: FormatName = "v0.2"
    fidelity: Fidelity = "upstream"
    reward: RewardName = "em"
    max_rounds: int = 15
    max_observation: int = 20_000
    demonstrator_error: float = 0.5

    def __post_init__(self) -> None:
        for name, known in (
            ("action_format", FORMAT_NAMES),
            ("fidelity", FIDELITIES),
            ("reward", get_args(RewardName)),
        ):
            check_known(name, getattr(self, name), known)
        for name in ("max_rounds", "max_observation"):
            check_whole(name, getattr(self, name))
        check_share("demonstrator_error", self.demonstrator_error)


@dataclass(frozen=True, slots=True)
class Episode:
    """The state of an episode; the graph has none.

    Attributes:
        task: what is to be answered.
        session: variables and menus so far.
        over: has it ended?
        rounds: messages taken.
        calls: tool calls executed.
        made: the calls that made a variable.
        errors, timeouts, truncations: how many calls failed, were stopped, or gave more than was shown.
    """

    task: KGTask
    session: Session = field(default_factory=Session)
    over: bool = False
    rounds: int = 0
    calls: int = 0
    errors: int = 0
    timeouts: int = 0
    truncations: int = 0
    made: tuple[Call, ...] = ()

    @property
    def metrics(self) -> dict[str, int]:
        """What is told at the end."""
        names = ("rounds", "calls", "errors", "timeouts", "truncations")
        return {name: getattr(self, name) for name in names}
