"""The walls of the house: imports point down only, heavy libraries stay in their rooms, `import cmat_env` is quick."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "cmat_env": "cmat_env", "cmat_env.agents": "agents", "cmat_env.envs": "envs", "cmat_env.policies": "policies",
}  # fmt: skip
HEAVY = {
    "datasets", "httpx", "matplotlib", "minari", "peft", "playwright", "pygame", "pyoxigraph", "ray", "reasoning_gym",
    "sb3_contrib", "stable_baselines3", "textarena", "torch", "transformers",
}  # fmt: skip
LEAVES = ("agents", "envs", "policies")
LAYERS = {
    "types": 0, "protocols": 0, "dialogue": 0, "spaces": 0, "errors": 0, "checks": 0, "terminal": 0, "durable": 0,
    "closing": 0, "lessons": 0, "extras": 0, "looks": 0, "look_html": 0, "graph_path": 0,
    "episode_text": 0, "episode_html": 0,
    "agents": 1, "policies": 1, "envs": 1,
    "ledger": 2, "order": 2, "team": 2, "episode": 2, "collab": 2, "parallel": 2, "registry": 2, "mixture": 2,
    "game": 2, "vector": 2, "vector_seeds": 2, "workers": 2,
    "invariants": 2, "task_player": 2, "task_checks": 2, "team_checks": 2, "policy_checks": 2, "testing": 2,
    "plan": 3, "trials": 3, "experience": 3, "running": 3, "rollout": 3,
    "credit": 3, "log": 3, "log_fields": 3, "log_heard": 3, "log_lines": 3,
    "replay": 3, "replay_view": 3, "replay_tokens": 3, "replay_diff": 3, "replay_html": 3,
    "look_rich": 3, "html_page": 3, "charts": 3, "log_tail": 3, "replay_cast": 3, "report_tables": 3,
    "keys": 3, "report": 3, "scores": 3, "reexecution": 3, "forking": 3,
    "statistics": 3, "tables": 3, "chat_rows": 3, "verifiers": 3, "exports": 3, "agentbench": 3,
    "comparison": 3, "suite_report": 3,
    "views": 3, "menu": 3,
    "evaluate": 4, "playing": 4, "suite": 4, "paired": 4, "curate": 4, "curate_files": 4, "curate_verdicts": 4,
    "tuning": 4, "doctor": 4,
    "run_log": 4, "run_charts": 4, "run_tables": 4, "run_page": 4,
    "cli": 5,
}  # fmt: skip
TENSORS_ONLY = ("advantages", "batch", "group", "losses", "ppo", "rows", "sft", "adaptive")
TENSOR_FRIENDS = {"cmat_env.types", "cmat_env.errors", "cmat_env.tuning"}
MODEL_ROOMS = ("cmat_env.tuning", "cmat_env.policies")


def modules() -> dict[str, Path]:
    """Every module of the package, by its importable name."""
    found = {}
    for package in FOLDERS:
        folder = Path(str(importlib.import_module(package).__file__)).parent  # in the checkout, or of the wheel
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if package == "cmat_env" and parts[0] in LEAVES:
                continue  # by its own name: of the wheel, or the links that `make links` lays for type checkers
            name = ".".join((package, *parts))
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str, *, at_the_top: bool) -> Iterator[str]:
    """What a module imports, by full name; annotations' imports under TYPE_CHECKING do not count.

    Args:
        name: of the module.
        at_the_top: leave out what is imported inside functions.
    """
    waiting: list[ast.AST] = [ast.parse(MODULES[name].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif at_the_top and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports relatively; write cmat_env.x"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else str(node.module)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def room(name: str) -> str:
    """The part of `cmat_env` that a module belongs to; empty for `cmat_env` itself."""
    return name.split(".")[1] if "." in name else ""


def within(name: str, package: str) -> bool:
    """Is a module a package or in it?"""
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name: str) -> None:
    """A module imports from its own layer or below, also inside functions; `cmat_env` itself and the cli may all."""
    own = LAYERS.get(room(name), 5)
    for other in imports(name, at_the_top=False):
        if within(other, "cmat_env") and room(name):
            assert room(other), f"{name} imports cmat_env itself; import the module that has the name"
            assert LAYERS.get(room(other), 5) <= own, f"{name} imports {other}, which is above it"


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) in LEAVES])
def test_leaves_know_layer_0_and_themselves(name: str) -> None:
    """agents, policies and envs never import each other, nor anything above."""
    for other in imports(name, at_the_top=False):
        if within(other, "cmat_env"):
            assert room(other) == room(name) or LAYERS.get(room(other)) == 0, f"{name} imports {other}"


@pytest.mark.parametrize("name", [f"cmat_env.{part}" for part, layer in LAYERS.items() if layer == 0])
def test_layer_0_stands_alone(name: str) -> None:
    """Types, spaces and errors need the standard library, numpy and gymnasium.spaces."""
    known = {*sys.stdlib_module_names, "numpy"}
    for other in imports(name, at_the_top=False):
        assert other.split(".")[0] in known or within(other, "gymnasium.spaces") or LAYERS.get(room(other)) == 0, other


@pytest.mark.parametrize("name", [f"cmat_env.{part}" for part, layer in LAYERS.items() if layer == 2])
def test_the_collaboration_knows_no_policy_and_no_model(name: str) -> None:
    """Environments are played by anybody: layer 2 imports neither policies nor heavy libraries, not even late."""
    for other in imports(name, at_the_top=False):
        assert not within(other, "cmat_env.policies"), f"{name} imports {other}"
        assert other.split(".")[0] not in HEAVY, f"{name} imports {other}"


@pytest.mark.parametrize("name", [n for n in MODULES if room(n) == "tuning" and n.split(".")[-1] in TENSORS_ONLY])
def test_losses_see_tensors_only(name: str) -> None:
    """The mathematics of tuning imports no environment, no agent and no PettingZoo."""
    for other in imports(name, at_the_top=False):
        assert other.split(".")[0] not in ("gymnasium", "pettingzoo"), f"{name} imports {other}"
        if within(other, "cmat_env"):
            assert any(within(other, friend) for friend in TENSOR_FRIENDS), f"{name} imports {other}"


@pytest.mark.parametrize("name", MODULES)
def test_torch_stays_in_the_model_rooms(name: str) -> None:
    """At the top of a module, torch and its kin are imported by policies and tuning alone."""
    if not any(within(name, allowed) for allowed in MODEL_ROOMS):
        assert set() == {other.split(".")[0] for other in imports(name, at_the_top=True)} & HEAVY


def test_import_cmat_env_reaches_nothing_heavy() -> None:
    """Following imports at the top from `cmat_env`, no module with a heavy library is met."""
    reached: set[str] = set()
    waiting = ["cmat_env"]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for other in imports(name, at_the_top=True):
            assert other.split(".")[0] not in HEAVY, f"{name}, which `import cmat_env` reaches, imports {other}"
            waiting.extend(part for part in parents(other) if part in MODULES)

    assert "cmat_env.collab" in reached


def parents(name: str) -> list[str]:
    """A module and the packages that are imported with it."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def test_import_cmat_env_is_quick_and_without_torch() -> None:
    """Under half a second of processor time, the best of three, in a fresh interpreter."""
    code = "import sys, time; t = time.process_time(); import cmat_env; print(time.process_time() - t, *sys.modules)"
    runs = []
    for _ in range(3):
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        runs.append(ran.stdout.split())

    assert [set(), set(), set()] == [HEAVY & set(names) for _, *names in runs]
    assert min(float(seconds) for seconds, *_ in runs) < 0.5


def test_the_package_list_is_complete() -> None:
    """Every folder with an `__init__.py` is named in pyproject.toml, and the other way round."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = sorted(name for name, path in MODULES.items() if path.name == "__init__.py")

    assert packages == sorted(settings["packages"])
    assert FOLDERS == settings["package-dir"]


def test_the_core_stands_on_few_packages() -> None:
    """Under ten; what is heavy is an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert len(project["dependencies"]) < 10
    assert not any(name in " ".join(project["dependencies"]) for name in ("torch", "transformers", "peft", "httpx"))


def test_every_room_has_its_layer() -> None:
    """A new module of `cmat_env` is given its place here, so that the other tests know it."""
    assert set() == {room(name) for name in MODULES if room(name)} - set(LAYERS)
