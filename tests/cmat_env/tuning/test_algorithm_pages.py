"""docs/algorithms: a page on each algorithm, whose settings, defaults, commands and pair are the code's."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cmat_env.tuning.config import RunSettings, to_toml
from cmat_env.tuning.pairs import read
from cmat_env.tuning.presets import settings_of
from cmat_env.tuning.settings import ALGORITHMS

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted((DOCS / "algorithms").glob("*.md"))


def names(pages: list[Path]) -> set[str]:
    """Their names."""
    return {page.stem for page in pages}


def test_there_is_a_page_for_everything_that_can_be_chosen() -> None:
    """One an algorithm, one for turn-level credit, one for P-tuning; docs/tuning.md leads to all of them."""
    linked = set(re.findall(r"\(algorithms/(\w+)\.md\)", (DOCS / "tuning.md").read_text(encoding="utf-8")))

    assert {*ALGORITHMS, "turn_gae", "ptuning"} == names(PAGES) == linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_says_what_it_must(page: Path) -> None:
    """Formula, source with an identifier, settings, what diverges, command; nothing left to fill in."""
    text = page.read_text(encoding="utf-8")

    for part in ("**Formula.**", "**Source.**", "| setting | default |", "**What diverges.**", "**Command"):
        assert part in text
    assert re.search(r"arXiv:\d{4}\.\d{5}|doi:", text)
    assert not re.search(r"@|TODO", text.replace("@ROLE", ""))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_has_the_figures_of_the_benchmark(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of three seeds and their warm starts, as in docs/learning.md, and the command that gives them."""
    monkeypatch.setattr(sys, "path", [str(DOCS.parent), *sys.path])
    learning = importlib.import_module("benchmarks.learning")
    tables = importlib.import_module("benchmarks.learning_tables")
    (told,) = re.findall(r"\*\*Here\.\*\* .*?\n\n", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    (command,) = re.findall(r"`python benchmarks/learning.py (--rows .*?)`", told)
    row = tables.PAGES[page.stem]
    lines = (DOCS / "learning.md").read_text(encoding="utf-8").splitlines()
    measured, base = (
        re.findall(r"\b0\.\d{3}\b", re.sub(r"\*\*.*?\*\*|\[.*?\]", "", line))
        for name in (row, "warm start, imperfect demonstrations")
        for line in lines
        if line.startswith(f"| {name} |")
    )

    assert [*measured[:3], *base[:3], *measured[3:], *base[3:]] == re.findall(r"\b0\.\d{3}\b", told)
    assert ["--rows", row] == shlex.split(command)
    assert row in learning.ALGORITHMS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_defaults_are_those_of_the_code(page: Path) -> None:
    """Every setting of the table, by its dotted name."""
    defaults: Any = tomllib.loads(to_toml(RunSettings()))
    told: dict[str, Any] = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            _, settings, values, _ = line.split("|", 3)
            keys, shown = re.findall(r"`([^`]+)`", settings), re.findall(r"`([^`]+)`", values)
            told.update(zip(keys, (tomllib.loads(f"v = {value}")["v"] for value in shown), strict=True))

    assert told
    for name, value in told.items():
        place = defaults
        for part in name.split("."):
            place = place[part]
        assert (name, place) == (name, value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_commands_are_accepted(page: Path) -> None:
    """Each command's settings can be made, and choose what the page is about."""
    commands = re.findall(r"^cmat train (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert commands
    for command in commands:
        preset, *rest = shlex.split(re.sub(r" --out \S+", "", command))
        settings = settings_of(preset, [each for each in rest if each != "--set"])
        chosen = {settings.tuner.algorithm, f"{settings.tuner.credit}_gae", settings.model.adapter}
        assert page.stem in chosen


def test_the_pair_in_the_docs_is_one(tmp_path: Path) -> None:
    """On one line it is a line of a pairs file."""
    text = (DOCS / "algorithms" / "dpo.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)
    path = tmp_path / "pairs.jsonl"
    path.write_text(example.replace("\n", " "), encoding="utf-8")

    assert ["SELECT COUNT(*) FROM cars"] == [m.content for pair in read(path, ["assistant"]) for m in pair.chosen]
