"""Settings and state of an episode on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, get_args

from cmat_env.checks import check_known, check_share, check_whole
from cmat_env.envs.operating_system.checkers import FIDELITIES, Fidelity
from cmat_env.envs.operating_system.codec import FORMAT_NAMES, FormatName
from cmat_env.envs.operating_system.limits import SandboxSettings
from cmat_env.envs.operating_system.tasks import OSTask
from cmat_env.envs.operating_system.wording import AGENTBENCH, Wording
from cmat_env.errors import ConfigError

GoldSource = Literal["live", "snapshot"]
OnInvalid = Literal["observe", "end"]
T = TypeVar("T", SandboxSettings, Wording)


@dataclass(frozen=True, slots=True)
class OSSettings:
    """How an episode is played and graded.

    Attributes:
        action_format: "v0.2" = AgentBench's text, "tools" = tool calls.
        max_rounds: turns, the committing one among them.
        max_observation: characters of output; longer ones are cut to 20 less and say so, as upstream.
        wording: the words around an output.
        on_invalid: an action that is none is answered with what the formats are, or ends the episode as in v0.2.
        gold: what the answer is compared with: the gold script's output in the sandbox as it is at the end, as
            upstream, or in a snapshot from before the agent's first action.
        fidelity: "upstream" = with AgentBench's defects; "fixed" = known ones are mended (`defects`), checkers read
            numbers and sizes as a person would, and a failed init script is not the end.
        init_seconds: wall time of an init, check or gold script.
        demonstrator_error: share of slips of the imperfect demonstrator, where one is possible.
    """

    action_format: FormatName = "v0.2"
    max_rounds: int = 8
    max_observation: int = 800
    wording: Wording = AGENTBENCH
    on_invalid: OnInvalid = "observe"
    gold: GoldSource = "live"
    fidelity: Fidelity = "upstream"
    init_seconds: float = 30.0
    demonstrator_error: float = 0.5

    def __post_init__(self) -> None:
        for name, known in (
            ("action_format", FORMAT_NAMES),
            ("on_invalid", get_args(OnInvalid)),
            ("gold", get_args(GoldSource)),
            ("fidelity", FIDELITIES),
        ):
            check_known(name, getattr(self, name), known)
        for name, least in (("max_rounds", 1), ("max_observation", 100)):
            check_whole(name, getattr(self, name), least=least)
        check_share("demonstrator_error", self.demonstrator_error)
        if self.init_seconds <= 0:
            raise ConfigError(f"init_seconds={self.init_seconds}: wanted a number above 0")


@dataclass(frozen=True, slots=True)
class Episode:
    """The state of an episode beside its sandbox.

    Attributes:
        task: what is to be done.
        over: has it ended?
        failed_init: what an init script said that failed; None = all went well.
        rounds: turns taken.
        executed: the scripts that were run.
        timeouts, restarts, truncations: of the shell.
        printed: what was shown of the last command's output.
    """

    task: OSTask
    over: bool = False
    failed_init: str | None = None
    rounds: int = 0
    executed: tuple[str, ...] = ()
    timeouts: int = 0
    restarts: int = 0
    truncations: int = 0
    printed: str = ""

    @property
    def commands(self) -> int:
        """How many scripts were run."""
        return len(self.executed)

    @property
    def metrics(self) -> dict[str, int]:
        """What is told at the end."""
        names = ("rounds", "commands", "timeouts", "restarts", "truncations")
        return {name: getattr(self, name) for name in names}


def settings_of(kind: type[T], given: T | Mapping[str, Any] | None, name: str) -> T:
    """Settings, which may have been given by field, as the command line does.

    Raises:
        ConfigError: there is no such field, or it is out of range.
    """
    if isinstance(given, kind):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{name}={given!r}: wanted an object of settings")
    known = [field.name for field in fields(kind)]
    for field in given or {}:
        check_known(f"a setting of {name}", field, known)
    return kind(**given or {})
