"""The code in README.md and docs/ does what it says: Python runs, `cmat` commands run, other commands exist.

Blocks of a page run in order, in one namespace and one temporary folder. Comments above a block say how:

- `<!-- needs: NAME, NAME -->`: with what conftest.py has under these names;
- `<!-- run small: reason -->`: as it stands, but `cmat train` for one iteration of a tiny model (`SMALL`), `cmat sb3`
  for 128 steps, and `cmat eval` of a model, or of what it does not say how many, for four episodes;
- `<!-- run by: FILE -->`: another test runs it;
- `<!-- not run: reason -->`: it is a download, or hours. Python must compile and command lines must parse.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import re
import shlex
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer

from cmat_env.cli import app, main
from cmat_env.tuning.config import from_mapping
from tests.docs.conftest import ADDRESS, Stage

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))
FENCE = re.compile(r"^```(\w*)\s*$")
MARK = re.compile(r"^<!-- (needs|run small|run by|not run): (.+) -->$")
SMALL = (
    *("iterations=1", "episodes=8", "final_episodes=4", "evaluate_episodes=4", "threads=1"),
    *("warm_start.episodes=60", "warm_start.sft.steps=2", "model.width=32", "model.layers=1", "model.max_new_tokens=8"),
)
"""What makes a training run one of seconds."""
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: where it begins, language, text; does it run, with what, and only for a moment?"""

    line: int
    language: str
    text: str
    runs: bool = True
    needs: tuple[str, ...] = ()
    small: bool = False


def blocks_of(text: str) -> Iterator[Block]:
    """Every fenced block, in order."""
    lines = text.splitlines()
    marks: dict[str, str] = {}
    start, language = 0, ""
    for number, line in enumerate(lines, 1):
        fence, mark = FENCE.match(line), MARK.match(line)
        if start and line == "```":
            runs = not {"not run", "run by"} & set(marks)
            needs = tuple(marks["needs"].split(", ")) if "needs" in marks else ()
            body = "\n".join(lines[start : number - 1])
            yield Block(start, language, body, runs=runs, needs=needs, small="run small" in marks)
            start, marks = 0, {}
        elif fence and not start:
            start, language = number, fence[1]
        elif mark and not start:
            marks[mark[1]] = mark[2]
        elif line.strip() and not start:
            marks = {}
    assert not start, f"the block of line {start} does not end"


def commands_of(text: str) -> Iterator[list[str]]:
    """The words of each command line; comments, a prompt, and what is set for one command only are left out."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and (words[0] == "$" or "=" in words[0]):
            words = words[1:]
        if words:
            yield words


def parse(arguments: list[str]) -> None:
    """Let `cmat` read its command line, without doing it."""
    command: Any = typer.main.get_command(app)
    context, rest = command.make_context("cmat", list(arguments)), list(arguments)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)


def serve(arguments: list[str]) -> None:
    """Let a server start, answer and stop; in a process that has imported everything already."""
    given = [*arguments, *([] if "--port" in arguments else ["--port", "0"])]
    read, write = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=say_into, args=(write, given))
    process.start()
    os.close(write)
    try:
        with open(read, encoding="utf-8") as said:
            address = re.search(r"http://\S+/v1", said.readline())
            assert address, f"{shlex.join(arguments)} does not listen"
            with urllib.request.urlopen(f"{address[0]}/models", timeout=10) as answer:
                assert json.load(answer)["data"]
    finally:
        process.terminate()
        process.join()


def say_into(file: int, arguments: list[str]) -> None:
    """Run `cmat`; what it prints goes to an open file."""
    sys.stdout = open(file, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - as long as the process lives
    main(arguments)


def shortened(words: list[str]) -> list[str]:
    """A command that takes minutes, made one of seconds."""
    if words[:2] == ["cmat", "train"] and "--resume" not in words:
        return words + [word for setting in SMALL for word in ("--set", setting)]
    if words[:2] == ["cmat", "sb3"]:
        return [*words, "--steps", "128"]
    if words[:2] == ["cmat", "eval"] and ("--episodes" not in words or "hf:" in " ".join(words)):
        return [*words, "--episodes", "4"]
    return words


def check_command(words: list[str], *, runs: bool) -> None:
    """Run a `cmat` command, or see that what is named exists."""
    name, *rest = words
    if words[:2] == ["cmat", "serve"] and runs:
        serve(rest)
    elif name == "cmat" and runs:
        assert 0 == main(rest), f"{shlex.join(words)} failed"
    elif name == "cmat":
        parse(rest)
    elif name == "export":
        [(variable, _, value)] = [word.partition("=") for word in rest]
        os.environ[variable] = os.path.expandvars(value)
    elif name == "make":
        assert set(rest) <= TARGETS, f"make has no target {rest}"
    elif name == "pip":
        wanted = re.findall(r"cmat-env\[([\w,-]+)\]", " ".join(rest))
        assert {extra for extras in wanted for extra in extras.split(",")} <= EXTRAS, f"unknown extra in {rest}"
    elif name in {"python", ".venv/bin/python"}:
        if rest[0] == "-m":
            assert importlib.util.find_spec(rest[1]) is not None, f"there is no module {rest[1]}"
        else:
            assert (ROOT / rest[0]).is_file(), f"there is no {rest[0]}"
    else:
        assert not runs, f"the test cannot run {name!r}; mark the block"


def check_block(block: Block, namespace: dict[str, Any], page: str) -> None:
    """Do what the language asks for."""
    if block.language == "python":
        code = compile(block.text, f"{page}, line {block.line}", "exec")
        if block.runs:
            exec(code, namespace)
    elif block.language in {"sh", "console"}:
        for words in commands_of(block.text):
            check_command(shortened(words) if block.small else words, runs=block.runs)
    elif block.language == "toml":
        from_mapping(tomllib.loads(block.text), source=page)
    elif block.language == "json":
        json.loads(block.text)
    else:
        assert block.language in {"", "text"}, f"the test does not know the language {block.language!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_works(page: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block, in order, in an empty folder."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])  # `python -m benchmarks` is run in the checkout
    namespace: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks_of(page.read_text(encoding="utf-8")):
        runs = block.runs and all(stage.has(need) for need in block.needs)
        given = block.text.replace(ADDRESS, stage.address)
        try:
            check_block(replace(block, text=given, runs=runs), namespace, page.name)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{page.relative_to(ROOT)}, block of line {block.line}: {type(error).__name__}: {error}")


def test_blocks_are_found_with_their_marks() -> None:
    """A mark counts for the block right below it; a block without a language is output."""
    text = "<!-- not run: slow -->\n```sh\nmake demo\n```\n\n```\nout\n```\n\n"
    text += "<!-- needs: model, sandbox -->\n<!-- run small: minutes -->\n\n```python\nx = 1\n```\n"
    text += "<!-- run by: tests/other.py -->\n```sh\nmake test\n```\n<!-- not run: slow -->\nSo.\n```sh\nmake\n```\n"

    assert [
        Block(2, "sh", "make demo", runs=False),
        Block(6, "", "out"),
        Block(13, "python", "x = 1", needs=("model", "sandbox"), small=True),
        Block(17, "sh", "make test", runs=False),
        Block(22, "sh", "make"),
    ] == list(blocks_of(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_mark_is_read(page: Path) -> None:
    """A misspelt one would be a comment; and a test that is named runs the page."""
    for name, said in re.findall(r"^<!-- ?([\w ]+): (.*) -->$", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert name in {"needs", "run small", "run by", "not run"}
        if name == "run by":
            assert page.name in (ROOT / said).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block",
    [
        Block(1, "python", "x = ", runs=False),
        Block(1, "python", "1 / 0"),
        Block(1, "sh", "cmat eval --no-such-option", runs=False),
        Block(1, "sh", "cmat no-such-command", runs=False),
        Block(1, "sh", "make no-such-target", runs=False),
        Block(1, "sh", "pip install 'cmat-env[nothing]'", runs=False),
        Block(1, "sh", "python benchmarks/nothing.py"),
        Block(1, "sh", "rm -rf /"),
        Block(1, "toml", "[tuner]\nlearning_rat = 1"),
        Block(1, "fortran", ""),
    ],
    ids=lambda block: block.text or block.language,
)
def test_a_block_that_is_wrong_is_found(block: Block) -> None:
    """Marked or not."""
    with pytest.raises(Exception):  # noqa: B017 - whatever the mistake raises
        check_block(block, {}, "page")


@pytest.mark.parametrize(
    ("text", "commands"),
    [("cmat eval a \\\n  --b c  # why", [["cmat", "eval", "a", "--b", "c"]]), ("# nothing\n$ make x", [["make", "x"]])],
)
def test_commands_are_read_as_a_shell_does(text: str, commands: list[list[str]]) -> None:
    """Lines that go on, comments, prompts."""
    assert commands == list(commands_of(text))


def test_the_tests_that_the_pages_name_are_there() -> None:
    """docs/trust.md gives a test for each of its claims."""
    named = {
        (file, test)
        for page in PAGES
        for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8"))
    }

    assert len(named) > 40
    assert [] == sorted(
        f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8")
    )
