"""A new user's first hour, from the tutorial alone: a wheel in an empty folder, a task of one's own, all the way."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import needed

ROOT = Path(__file__).resolve().parents[2]
TRAIN = """
import torch
from stable_baselines3 import PPO
import mine
from cmat_env.collab import CollabEnv
from cmat_env.menu import MenuEnv
from cmat_env.policies.features import MenuFeatures
from cmat_env.policies.menus import FixedMenu
from cmat_env.policies.sb3 import SB3Policy
from cmat_env.views import RoleEnv

torch.set_num_threads(1)
env = MenuEnv(RoleEnv(CollabEnv(mine.Countdown(), roles=("assistant",))), mine.Moves(), features=MenuFeatures(size=3))
model = PPO("MlpPolicy", env, n_steps=256, batch_size=64, learning_rate=3e-3, ent_coef=0.01, seed=0, device="cpu")
model.learn(3072)
SB3Policy(model, env.menu, env.features).save("runs/nim")
"""
MENU = """
from cmat_env.policies.menus import FixedMenu


class Moves(FixedMenu):
    def __init__(self):
        super().__init__(["1", "2", "3"], spec="mine:Moves")


cmat_env.register("me/Countdown-v0", Countdown)


def make_env():
    return cmat_env.make("me/Countdown-v0", roles=("assistant",))
"""
EVALUATE = """
import sys
import mine
from cmat_env.evaluate import evaluate
from cmat_env.log import EpisodeWriter

with EpisodeWriter("runs/eval/episodes.jsonl", policies={"assistant": sys.argv[1]}) as log:
    report = evaluate(mine.make_env, {"assistant": sys.argv[1]}, episodes=100, seed=1, on_end=lambda _, e: log.write(e))
print(report.success_rate)
"""


def tutorial_task() -> str:
    """The first block of docs/plug-in.md: the whole task."""
    text = (ROOT / "docs" / "plug-in.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python with nothing of the checkout but the built wheel; the packages that it stands on are those of this one."""
    folder = tmp_path_factory.mktemp("user")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("the checkout is no git repository")
    for name in listed.stdout.splitlines():
        if not name.startswith(("tests/", "docs/", "benchmarks/")) and (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(source)], check=True, capture_output=True, timeout=300)
    home = folder / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    site = next((home / "lib").glob("python*")) / "site-packages"
    wheel = next(folder.glob("cmat_env-*.whl"))
    unpack = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(unpack, check=True, capture_output=True, timeout=300)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others) + "\n")
    return home / "bin" / "python"


def ran(python: Path, *command: str, cwd: Path) -> str:
    """What it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert 0 == done.returncode, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def test_a_new_user_gets_from_a_task_to_a_trained_role(python: Path, tmp_path: Path) -> None:
    """Registered, checked, played by a scripted policy, trained, evaluated, replayed, each by what the pages say."""
    needed("stable_baselines3", extra="sb3")
    where = ran(python, "-c", "import cmat_env; print(cmat_env.__file__)", cwd=tmp_path)
    assert where.startswith(str(python.parents[1])), "the wheel is what is imported"
    task = tutorial_task()
    assert 25 <= len([line for line in task.splitlines() if line.strip()]) <= 42
    (tmp_path / "mine.py").write_text(task + MENU)
    ran(python, "-c", "import mine; from cmat_env.testing import check_task; check_task(mine.Countdown)", cwd=tmp_path)
    for name, text in (("train.py", TRAIN), ("evaluate.py", EVALUATE)):
        (tmp_path / name).write_text(text)
    (tmp_path / "runs" / "eval").mkdir(parents=True)
    assert 1.0 == float(ran(python, "evaluate.py", "gold", cwd=tmp_path))
    chance = float(ran(python, "evaluate.py", "random", cwd=tmp_path))
    ran(python, "train.py", cwd=tmp_path)
    (tmp_path / "runs" / "eval" / "episodes.jsonl").unlink()
    trained = float(ran(python, "evaluate.py", "sb3:runs/nim", cwd=tmp_path))

    assert trained > chance + 0.3
    shown = ran(python, "-m", "cmat_env.cli", "replay", "runs/eval", "--episode", "1", cwd=tmp_path)
    assert [] == [words for words in ("me/Countdown-v0", "There are", "assistant") if words not in shown]


def as_written(page: str, folder: Path) -> Iterator[list[str]]:
    """The command lines of a page, in order; its TOML is written to run.toml, its Python is one script, `page.py`."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    script = ""
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if language == "toml":
            (folder / "run.toml").write_text(block)
        elif language == "python":
            script += block
        elif language == "sh":
            for line in block.splitlines():
                if words := shlex.split(line, comments=True):
                    yield words
    if script:
        (folder / "page.py").write_text(script)
        yield ["python", "page.py"]


def test_the_tutorials_commands_work_as_they_stand_there(python: Path, tmp_path: Path) -> None:
    """All of both pages: two packages made, installed, tested, listed, evaluated, doctored, trained on and replayed."""
    needed("torch", extra="train")
    shown = {}
    for page in ("plug-in.md", "tune-your-task.md"):
        for name, *words in as_written(page, tmp_path):
            where = {
                "cmat": ["-m", "cmat_env.cli", *words],
                "python": words,
                "pip": ["-m", "pip", "--quiet", *words, "--no-deps", "--no-build-isolation"],
            }[name]
            shown[shlex.join([name, *words])] = ran(python, *where, cwd=tmp_path)

    def of(*words: str) -> str:
        """What the only command with these words printed."""
        [found] = [text for command, text in shown.items() if all(word in command.split() for word in words)]
        return found

    assert "  word-count/WordCount-v0\n" in of("cmat", "list")
    assert "There are " in of("python", "page.py")
    assert "passed" in of("pytest", "word-count")
    assert "100.0%" in of("word-count/WordCount-v0", "gold")
    assert "0.0%" in of("price-quiz/PriceQuiz-v0", "random")
    assert "checker" in of("replay", "runs/first")
    assert "task contract" in of("cmat", "doctor")
    assert "success on generated:dev" in of("cmat", "train")
    assert "price" in of("hf:runs/quiz/final")
    assert "Answer" in of("replay", "runs/quiz-heldout")
    assert "assistant" in of("replay", "runs/quiz/training.jsonl", "--tokens")
