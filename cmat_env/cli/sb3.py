"""`cmat sb3`: Stable-Baselines3 trains one role of a team to choose from a menu."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cmat_env.cli.options import ROLES, settings_of
from cmat_env.cli.progress import Advance, progress
from cmat_env.errors import ConfigError, UnknownNameError, did_you_mean

ALGORITHMS = ("PPO", "MaskablePPO")
LONGEST_MENU = 20

Partner = Annotated[str | None, typer.Option(metavar="P", help="Who plays this role meanwhile, as in cmat eval.")]


def sb3_command(
    env: Annotated[str, typer.Argument(metavar="ENV", help="An environment's id; cmat list shows them.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the trained role is kept.")],
    menu: Annotated[
        str, typer.Option(help="verdicts, offered, task, proposed:POLICY*N, router:POLICY or module:attribute.")
    ],
    role: Annotated[str, typer.Option(help="Who learns: assistant, checker or user.")] = "assistant",
    user: Partner = None,
    assistant: Partner = None,
    checker: Partner = None,
    algorithm: Annotated[str, typer.Option(help="PPO, or MaskablePPO.")] = "PPO",
    steps: Annotated[int, typer.Option(min=1, help="Turns of the role to learn from.")] = 20_000,
    size: Annotated[
        int | None, typer.Option(min=1, help="The longest menu; what is beyond it cannot be chosen.")
    ] = None,
    context: Annotated[
        int, typer.Option(min=1, help="Numbers that the statement, and the latest message, become.")
    ] = 128,
    learning_rate: Annotated[float, typer.Option(help="Of the optimiser.")] = 1e-3,
    token_price: Annotated[float, typer.Option(help="What a token of a called policy costs (menu router).")] = 0.0,
    tasks: Annotated[str | None, typer.Option(metavar="SRC", help="As in cmat eval.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the checker what a proposal would give.")] = False,
    max_revisions: Annotated[int, typer.Option(min=0, help="As in cmat eval.")] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything.")] = 0,
) -> None:
    """Train one role with Stable-Baselines3; it plays as sb3:DIR beside any others."""
    from cmat_env.menu import MenuEnv  # noqa: PLC0415 - the command line starts without its workers
    from cmat_env.policies.features import MenuFeatures  # noqa: PLC0415
    from cmat_env.policies.sb3 import MENU, algorithm_of  # noqa: PLC0415
    from cmat_env.policies.spec import parse_spec  # noqa: PLC0415
    from cmat_env.registry import make, takes  # noqa: PLC0415
    from cmat_env.views import RoleEnv  # noqa: PLC0415

    partners = _partners(role, {"user": user, "assistant": assistant, "checker": checker})
    if algorithm not in ALGORITHMS:
        raise UnknownNameError(f"cmat sb3 has no algorithm {algorithm!r}; {did_you_mean(algorithm, ALGORITHMS)}")
    if learning_rate <= 0:
        raise ConfigError(f"--learning-rate {learning_rate} must be above 0")
    if (out / MENU).exists():
        raise ConfigError(f"--out {out} holds a trained role, which would be lost; choose another folder, or remove it")
    kind = algorithm_of(algorithm)
    made_with: dict[str, Any] = settings_of(settings or (), flags=("roles", "max_revisions", "dry_run", "tasks"))
    made_with |= {} if tasks is None else {"tasks": tasks}
    team = make(
        env,
        roles=tuple(each for each in ROLES if each == role or each in partners),
        max_revisions=max_revisions,
        dry_run=dry_run,
        **made_with,
    )
    view = RoleEnv(team, role=role, partners={name: parse_spec(spec, role=name) for name, spec in partners.items()})
    features = MenuFeatures(context=context, size=size or _size_of(menu))
    learner = MenuEnv(view, menu, features=features, token_price=token_price, seed=seed)
    try:
        model = _learned(kind, learner, steps=steps, learning_rate=learning_rate, seed=seed)
    finally:
        learner.close()
    learner.policy(model).save(out)
    words = ["cmat", "eval", env, f"--{role}", f"sb3:{out}", *_flags(partners), *(["--dry-run"] if dry_run else [])]
    words += [] if max_revisions == 1 else ["--max-revisions", str(max_revisions)]
    words += [word for assignment in settings or () for word in ("--set", assignment)]
    words += _unseen(tasks, takes_tasks=takes(env, "tasks"))
    print(f"saved in {out}; let it play: {shlex.join(words)}")


def _flags(policies: dict[str, str]) -> list[str]:
    """As they were given."""
    return [word for name, spec in policies.items() for word in (f"--{name}", spec)]


def _unseen(tasks: str | None, *, takes_tasks: bool) -> list[str]:
    """Where the tasks of an evaluation come from: a generator's other split, or the user's own file again."""
    if not takes_tasks:
        return []
    return ["--tasks", "generated:heldout" if tasks is None or tasks.startswith("generated:") else tasks]


def _partners(role: str, given: dict[str, str | None]) -> dict[str, str]:
    """The others' policies."""
    if role not in ROLES:
        raise UnknownNameError(f"no role is called {role!r}; {did_you_mean(role, ROLES)}")
    if given[role]:
        raise ConfigError(f"--{role} {given[role]} is given, but the {role} learns; leave it out")
    if role != "assistant" and not given["assistant"]:
        raise ConfigError(f"the {role} learns; who is the assistant? name one, such as --assistant demonstrator")
    return {name: spec for name, spec in given.items() if spec}


def _size_of(menu: str) -> int:
    """How long a menu of this kind can be."""
    kind, _, argument = menu.partition(":")
    if kind in ("verdicts", "router"):
        return 2
    samples = argument.rpartition("*")[2]
    return int(samples) if kind == "proposed" and samples.isdecimal() and int(samples) else LONGEST_MENU


def _learned(kind: Any, learner: Any, *, steps: int, learning_rate: float, seed: int) -> Any:
    """A model after so many steps, with the settings of docs/sb3.md."""
    import torch  # noqa: PLC0415 - SB3 stands on it

    torch.set_num_threads(1)  # its networks are small: more threads wait for each other
    model = kind(
        "MlpPolicy", learner, n_steps=256, batch_size=128, learning_rate=learning_rate, ent_coef=0.01, gamma=0.95,
        seed=seed, device="cpu",
    )  # fmt: skip
    with progress("sb3", steps) as advance:
        model.learn(steps, callback=_telling(model, advance))
    return model


def _telling(model: Any, advance: Advance) -> Callable[[Any, Any], bool]:
    """Say after each step how the latest episodes were paid."""

    def on_step(_: Any, __: Any) -> bool:
        latest = [each["r"] for each in model.ep_info_buffer or ()]
        advance(f"return {sum(latest) / len(latest):.3f}" if latest else "")
        return True

    return on_step
