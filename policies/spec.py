"""Policies by name: from the word a user writes on the command line to a policy.

    gold | demonstrator | oracle | random | echo | user[:STYLE] | human | approve | coin:P | hf:PATH[@ADAPTER] |
    openai:MODEL | sb3:PATH | module:attribute

Plug-ins add names through the entry-point group `cmat_env.policies`.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cmat_env.errors import ConfigError, MissingExtraError, UnknownNameError, did_you_mean
from cmat_env.policies import scripted
from cmat_env.policies.user import ScriptedUser
from cmat_env.types import Policy

_PLAIN: dict[str, Callable[[], Policy]] = {
    "gold": scripted.GoldPolicy,
    "demonstrator": scripted.DemonstratorPolicy,
    "oracle": scripted.OracleChecker,
    "random": scripted.RandomPolicy,
    "echo": scripted.EchoPolicy,
    "approve": scripted.ApprovePolicy,
}
_WITH_ARGUMENT = ("coin:P", "hf:PATH[@ADAPTER]", "openai:MODEL", "sb3:PATH")
_GROUP = "cmat_env.policies"
_CHECKERS = ("oracle", "approve", "coin")


def parse_spec(spec: str, *, role: str, greedy: bool = True) -> Policy:
    """The policy that a specification names.

    Args:
        spec: such as "gold", "coin:0.3", "hf:runs/a/final@assistant" or "my_package.policies:Clever".
        role: whom it will play; a checker's policy is refused for another role, and `hf` takes the adapter of its role.
        greedy: for models: take the likeliest token instead of sampling.

    Raises:
        UnknownNameError: there is no such policy.
        ConfigError: the name exists and its argument is wrong.
    """
    name, colon, argument = spec.strip().partition(":")
    if name in _CHECKERS and role != "checker":
        raise ConfigError(f"policy {spec!r} is a checker and cannot be the {role}; try gold, random or hf:PATH")
    if colon and name in (*_PLAIN, "human"):
        raise ConfigError(f"policy {name!r} takes no argument, but {spec!r} came")
    if name in _PLAIN:
        return _PLAIN[name]()
    if name == "human":
        from cmat_env.policies.human import HumanPolicy  # noqa: PLC0415 - rich is needed here alone

        return HumanPolicy()
    if name == "user":
        if role != "user":
            raise ConfigError(f"policy {spec!r} is a user and cannot be the {role}; try gold, random or hf:PATH")
        return ScriptedUser(argument or "verbatim")  # type: ignore[arg-type]  # it checks
    if name == "coin":
        return scripted.CoinPolicy(_probability(spec, argument))
    if name == "hf":
        return _hf(spec, argument, role=role, greedy=greedy)
    if name == "openai":
        return endpoint_policy(spec, greedy=greedy)
    if name == "sb3":
        return _sb3(spec, argument, role=role)
    return _attribute(spec, name, argument) if colon else _plug_in(spec)


def endpoint_policy(spec: str, *, greedy: bool = True, **settings: Any) -> Policy:
    """The policy of `openai:MODEL`.

    Args:
        spec: the specification.
        greedy: ask for the likeliest tokens instead of sampling.
        settings: fields of `cmat_env.policies.api_settings.ApiSettings`.

    Raises:
        ConfigError: a setting is unknown or out of range.
        MissingExtraError: httpx is not installed.
    """
    from cmat_env.policies.api import ApiPolicy  # noqa: PLC0415 - httpx is optional
    from cmat_env.policies.api_settings import ApiSettings  # noqa: PLC0415

    return ApiPolicy(ApiSettings.of(spec.strip().partition(":")[2], {"greedy": greedy, **settings}))


def names() -> tuple[str, ...]:
    """Every word that names a policy, once; of plug-ins those that load and are not called like one of ours."""
    ours = (*_PLAIN, "user[:STYLE]", "human", *_WITH_ARGUMENT, "module:attribute")
    taken = {re.split(r"[:[]", name)[0] for name in ours} - {"module"}
    points = [point for point in entry_points(group=_GROUP) if point.name not in taken]
    return (*ours, *dict.fromkeys(point.name for point in points if _loads(point)))


def _loads(plug_in: EntryPoint) -> bool:
    try:
        plug_in.load()
    except Exception as error:  # a plug-in's mistake of any kind must not take the others away
        warnings.warn(f"plug-in {plug_in.name} = {plug_in.value!r} of {_GROUP} failed: {error!r}", stacklevel=3)
        return False
    return True


def _probability(spec: str, argument: str) -> float:
    try:
        return float(argument)
    except ValueError:
        raise ConfigError(f"policy {spec!r} needs a probability from 0 to 1, such as coin:0.3") from None


def _hf(spec: str, argument: str, *, role: str, greedy: bool) -> Policy:
    if not argument:
        raise ConfigError(f"policy {spec!r} needs a model folder, such as hf:runs/tinyagent-nano-db/final")
    path, _, adapter = argument.rpartition("@") if "@" in argument else (argument, "", "")
    try:
        from cmat_env.policies.hf import HFPolicy  # noqa: PLC0415 - torch is heavy and optional
        from cmat_env.policies.sampling import Sampling  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(error.name or "torch", "train") from error
    return HFPolicy.load(path, roles=(role,), adapter=adapter or None, sampling=Sampling(greedy=greedy))


def _sb3(spec: str, argument: str, *, role: str) -> Policy:
    if not argument:
        raise ConfigError(f"policy {spec!r} needs a folder, such as sb3:runs/checker")
    from cmat_env.policies.sb3 import SB3Policy  # noqa: PLC0415 - numpy arrays and SB3 are for it alone

    return SB3Policy.load(argument, role=role)


def _plug_in(spec: str) -> Policy:
    plug_ins: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=_GROUP)}
    if spec in plug_ins:
        try:
            loaded = plug_ins[spec].load()
        except (ImportError, AttributeError) as error:
            where = f"{plug_ins[spec].value!r} of {_GROUP}"
            raise ConfigError(f"policy {spec!r}: the plug-in {where} does not load ({error}); correct it") from error
        return _made(spec, loaded)
    raise UnknownNameError(f"no policy is called {spec!r}; {did_you_mean(spec, names())}")


def _attribute(spec: str, module_name: str, attribute: str) -> Policy:
    """`module:attribute`: a policy, or a class or function without arguments that makes one."""
    try:
        module = importlib.import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:  # the last two: ".", "" and the like
        if isinstance(error, ImportError) and error.name not in (None, module_name, module_name.partition(".")[0]):
            raise ConfigError(f"policy {spec!r}: importing {module_name} failed: {error}") from error
        hint = did_you_mean(module_name, ("user", *(name.partition(":")[0] for name in _WITH_ARGUMENT)))
        raise UnknownNameError(
            f"policy {spec!r} names neither a policy nor a module that can be imported; {hint}"
        ) from None
    value: object = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise UnknownNameError(f"policy {spec!r}: no {part!r} in {module_name}; {did_you_mean(part, dir(value))}")
        value = getattr(value, part)
    return _made(spec, value)


def _made(spec: str, value: object) -> Policy:
    policy = value() if callable(value) and (isinstance(value, type) or not isinstance(value, Policy)) else value
    if not isinstance(policy, Policy):
        raise ConfigError(
            f"policy {spec!r} is a {type(policy).__name__} without generate(dialogues, *, seed); "
            "see cmat_env.types.Policy"
        )
    return policy
