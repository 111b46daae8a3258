"""`cmat new task NAME`: a small package with a task, its generator, its tests and its entry point."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from cmat_env.errors import ConfigError

new_app = typer.Typer(no_args_is_help=True, help="Begin a plug-in.")

_PLACES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "__init__.py.txt": "{package}/__init__.py",
    "task.py.txt": "{package}/task.py",
    "generate.py.txt": "{package}/generate.py",
    "test.py.txt": "tests/test_{package}.py",
}


@new_app.callback()
def _begin() -> None:
    """Begin a plug-in."""


@new_app.command("task")
def new_task_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as word-count; the package is word_count.")],
    *,
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Where to write it; by default a new folder NAME.")
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="The part of the id before the slash; by default NAME.")] = None,
) -> None:
    """Write a package with a task that passes check_task at once: change it until it is yours."""
    words = name_words(name)
    place = Path(name) if folder is None else folder
    written = write_task(place, words, namespace=namespace or "-".join(words))
    for path in written:
        print(path)
    print(f"next: pip install -e {place} && python -m pytest {place} && cmat list")


def name_words(name: str) -> list[str]:
    """The words of a plug-in's name, in lower case: ["word", "count"] for word-count, word_count and WordCount.

    Raises:
        ConfigError: the name cannot be that of a Python package.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)]
    package = "_".join(words)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or not package.isidentifier() or keyword.iskeyword(package):
        raise ConfigError(f"{name!r} cannot name a package; begin with a letter, then letters, digits, - or _")
    return words


def write_task(folder: Path, words: list[str], *, namespace: str) -> list[Path]:
    """Write the package, and say which files it has.

    Args:
        folder: new, or empty.
        words: of its name.
        namespace: the part of the id before the slash.

    Raises:
        ConfigError: something is in the folder, or it cannot be written.
    """
    if not re.fullmatch(r"[\w.-]+", namespace):
        raise ConfigError(f"namespace={namespace!r} cannot be part of an id; use letters, digits, '.', '-' and '_'")
    package, title = "_".join(words), "".join(word.capitalize() for word in words)
    names = {
        "distribution": "-".join(words),
        "package": package,
        "cls": f"{title}Env",
        "id": f"{namespace}/{title}-v0",
    }
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty; choose another place with --dir")
        written = []
        for source, target in _PLACES.items():
            template = files("cmat_env").joinpath("new_task", source).read_text(encoding="utf-8")
            path = folder / target.format(package=package)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(template).substitute(names), encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}; choose another place") from error
    return written
