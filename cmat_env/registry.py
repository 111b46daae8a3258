"""Environments by name: ours, a plug-in's, and the user's own, also for `gymnasium.make` and `pettingzoo.make`.

A plug-in declares an entry point of the group `cmat_env.envs` in one of two forms:

    "acme/Quiz-v0" = "acme.quiz:QuizEnv"      the name is the id, the value the task
    acme = "acme.quiz:register_envs"          a function without arguments that calls `cmat_env.register`
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import gymnasium
import pettingzoo

from cmat_env.collab import CollabEnv
from cmat_env.errors import ConfigError, MissingExtraError, UnknownNameError, did_you_mean
from cmat_env.extras import missing_package
from cmat_env.ledger import RewardRule
from cmat_env.order import ROLES, Feedback, Order, Wording
from cmat_env.parallel import ParallelCollab

GROUP = "cmat_env.envs"
GAMES = "pettingzoo/"
"""What the ids of board games begin with; `cmat_env.game` has them."""
_ID = re.compile(r"(?:[\w.-]+/)?[\w.-]+?-v\d+")
_TEAM_SETTINGS = frozenset(inspect.signature(CollabEnv).parameters) - {"task", "env_id"}

EntryPoint = str | Callable[..., Any]


@dataclass(frozen=True, slots=True)
class EnvSpec:
    """How a registered task is made.

    Attributes:
        id: such as "cmat/DB-v0".
        entry_point: the task's class or a function that makes one, or where it is: "module:attribute".
        extra: the extra of cmat-env that it needs.
        settings: given to the entry point unless the caller of `make` says otherwise.
    """

    id: str
    entry_point: EntryPoint
    extra: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        """The first package of its extra that is not installed."""
        return missing_package(self.extra) if self.extra else None


_registry: dict[str, EnvSpec] = {}


def register(id: str, entry_point: EntryPoint, *, extra: str | None = None, **settings: Any) -> None:
    """Give a task a name under which `make`, `gymnasium.make` and `pettingzoo.make` find it.

    Registering an id again replaces it.

    Args:
        id: such as "acme/Quiz-v0".
        entry_point: the task's class or a function that makes one, or where it is: "module:attribute".
        extra: the extra of cmat-env that it needs.
        settings: given to the entry point unless the caller of `make` says otherwise.

    Raises:
        ConfigError: the id or the entry point has a wrong form.
    """
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise ConfigError(f"{id!r} is no id of an environment; write [namespace/]Name-v0, such as 'acme/Quiz-v0'")
    if not callable(entry_point) and not re.fullmatch(r"[\w.]+:\w+", str(entry_point)):
        raise ConfigError(f"entry_point={entry_point!r} is neither callable nor 'module:attribute'; give one of them")
    _registry[id] = EnvSpec(id, entry_point, extra, settings)
    _tell_gymnasium(id)
    _tell_pettingzoo(id)


def spec(id: str) -> EnvSpec:
    """How the environment of this name is made.

    Raises:
        UnknownNameError: no environment has this name.
    """
    if id not in _registry:
        _load_plugins()
    if id not in _registry:
        raise UnknownNameError(f"no environment is called {id!r}; {_elsewhere(id)}")
    return _registry[id]


def _elsewhere(id: object) -> str:
    """What to do about a name that is not registered here."""
    if id in gymnasium.registry:
        return f"Gymnasium knows it: cmat_env.CollabEnv(gymnasium.make({id!r})) is a team around it"
    name = str(id)
    if name.startswith(GAMES):
        game = name.removeprefix(GAMES)
        return (
            f"a board game of two players is no team: use cmat_env.game.GameEnv({game!r}); evaluate takes the id, too"
        )
    return did_you_mean(name, _registry)


def list_envs() -> list[str]:
    """The ids of all registered environments; `spec(id).missing` says what one of them lacks here."""
    _load_plugins()
    return sorted(_registry)


def takes(id: str, setting: str) -> bool:
    """Does this environment's task name such a setting?

    Raises:
        UnknownNameError: no environment has this name.
    """
    return setting in (_settings_of(_load(spec(id).entry_point)) or ())


def make_task(id: str, **settings: Any) -> Any:
    """Make the bare task: a `gymnasium.Env[str, str]` that one agent can act on.

    Args:
        id: of a registered environment.
        settings: of the task; its own documentation lists them.

    Raises:
        UnknownNameError: no environment has this name.
        ConfigError: the task has no such setting, or it is out of range.
        MissingExtraError: the extra that it needs is not installed.
    """
    chosen = spec(id)
    package = chosen.missing
    if package:
        raise MissingExtraError.of(package, str(chosen.extra))
    create = _load(chosen.entry_point)
    _check_settings(id, settings, _settings_of(create))
    return create(**{**chosen.settings, **settings})


def make(
    id: str,
    *,
    roles: Sequence[str] = ROLES,
    max_revisions: int = 1,
    rewards: RewardRule | None = None,
    order: Order | None = None,
    wording: Wording | None = None,
    dry_run: bool = False,
    share_dry_run: bool = False,
    questions: int = 0,
    feedback: Feedback = "words",
    max_message: int = 100_000,
    render_mode: str | None = None,
    **settings: Any,
) -> CollabEnv:
    """Make a team around a registered task, as a PettingZoo AEC environment.

    Args:
        id: of a registered environment.
        roles: any of "user", "assistant", "checker"; the assistant must be among them.
        max_revisions: how often the checker may ask for a revision before the next proposal executes unreviewed.
        rewards: who is paid for what.
        order: who speaks next.
        wording: the templates of composed messages.
        dry_run: show the checker what the proposal would give.
        share_dry_run: show that to the assistant too, when it is asked to revise.
        questions: how many the assistant may ask the user in an episode, each written as "Ask: ...".
        feedback: what the assistant is told of a refusal: the checker's own "words", or its "verdict" alone, in
            words that are always the same.
        max_message: characters that an observed message has at most.
        render_mode: None, "human" or "ansi".
        settings: of the task.

    Raises:
        UnknownNameError: no environment has this name.
        ConfigError: a setting is unknown or out of range.
        MissingExtraError: the extra that it needs is not installed.
    """
    create = _load(spec(id).entry_point) if not spec(id).missing else None
    known = _settings_of(create) if create else None
    _check_settings(id, settings, None if known is None else known | _TEAM_SETTINGS)
    return CollabEnv(
        make_task(id, **settings),
        roles=roles,
        max_revisions=max_revisions,
        rewards=rewards,
        order=order,
        wording=wording,
        dry_run=dry_run,
        share_dry_run=share_dry_run,
        questions=questions,
        feedback=feedback,
        env_id=id,
        max_message=max_message,
        render_mode=render_mode,
    )


def parallel_env(id: str, **settings: Any) -> ParallelCollab:
    """Like `make`, as a PettingZoo Parallel environment: all agents are stepped, one of them acts."""
    return ParallelCollab(make(id, **settings))


def _check_settings(id: str, given: Iterable[str], known: frozenset[str] | None) -> None:
    for name in given:
        if known is not None and name not in known:
            raise ConfigError(f"{id} has no setting {name!r}; {did_you_mean(name, known)}")


def _settings_of(create: Callable[..., Any]) -> frozenset[str] | None:
    """The names of the settings that `create` takes; None if it takes any."""
    try:
        parameters = inspect.signature(create).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY))


def _load(entry_point: EntryPoint) -> Callable[..., Any]:
    if not isinstance(entry_point, str):
        return entry_point
    module, _, attribute = entry_point.partition(":")
    try:
        create = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        raise ConfigError(
            f"entry_point={entry_point!r}: importing {module} failed ({error}); "
            "correct the registration, or install what is missing"
        ) from error
    if not callable(create):
        raise ConfigError(
            f"entry_point={entry_point!r}: {module} has no callable {attribute!r}; correct the registration"
        )
    return create  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def _load_plugins() -> None:
    """Register what installed packages offer; one that fails is reported and left out."""
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            loaded = entry.load()
            if "/" in entry.name:
                register(entry.name, entry.value)
            else:
                loaded()
        except Exception as error:  # a plug-in's mistake of any kind must not take the others away
            warnings.warn(f"plug-in {entry.name} = {entry.value!r} of {GROUP} failed: {error!r}", stacklevel=2)


def _tell_gymnasium(id: str) -> None:
    gymnasium.registry.pop(id, None)
    gymnasium.register(id, entry_point=f"{__name__}:_made_for_gymnasium", kwargs={"cmat_id": id})


def _made_for_gymnasium(*, cmat_id: str, **settings: Any) -> Any:
    """A bare task. `gymnasium.make_vec` hands these keywords to `gymnasium.make`, which has an `id` of its own."""
    return make_task(cmat_id, **settings)


def _tell_pettingzoo(id: str) -> None:
    """PettingZoo has registries since 1.26; an older one is left alone."""
    tell = getattr(pettingzoo, "register", None)
    if tell is None:
        return
    for kind, function in (("aec", "make"), ("parallel", "parallel_env")):
        getattr(pettingzoo, f"{kind}_registry").pop(id, None)
        tell(kind, id, entry_point=f"{__name__}:{function}", kwargs={"id": id})


register("cmat/DB-v0", "cmat_env.envs.database:DBEnv")
register("cmat/DB-Composite-v0", "cmat_env.envs.database.composite:DBCompositeEnv")
register("cmat/KG-v0", "cmat_env.envs.knowledge_graph:KGEnv", extra="kg")
register("cmat/KG-Composite-v0", "cmat_env.envs.knowledge_graph.composite:KGCompositeEnv", extra="kg")
register("cmat/Mix-v0", "cmat_env.mixture:MixEnv")
register("cmat/OS-v0", "cmat_env.envs.operating_system:OSEnv", extra="os")
register("cmat/WebShop-v0", "cmat_env.envs.web.shop:WebShopEnv", extra="web")
register("cmat/WebShop-Composite-v0", "cmat_env.envs.web.shop.chain:WebShopCompositeEnv", extra="web")
register("cmat/WebPages-v0", "cmat_env.envs.web.pages:WebPagesEnv", extra="web")
register("cmat/MiniWoB-v0", "cmat_env.envs.web.miniwob:MiniWoBEnv", extra="miniwob")
register("cmat/ReasoningGym-v0", "cmat_env.envs.reasoning:ReasoningGymEnv", extra="reasoning")
register("cmat/TextArena-v0", "cmat_env.envs.textarena:TextArenaEnv", extra="textarena")
