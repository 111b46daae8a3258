"""The documentation builds strictly as a site, no page is left out of it, and llms.txt lists them all."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md")}


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """Every link and anchor leads somewhere, every name of the reference exists, and a page has its docstrings."""
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the extra docs is not installed")
        pytest.skip("the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert 0 == done.returncode, done.stderr[-3000:]
    reference = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    wanted = ("Play a task in many ways and raise at the first broken rule", "num_envs", "ContractError", "AnyText")
    assert [] == [words for words in wanted if words not in reference]
    links = re.findall(r"\]\(([^)]+)\)", (tmp_path / "site" / "llms.txt").read_text(encoding="utf-8"))
    assert len(links) >= len(PAGES) - 1
    assert [] == [link for link in links if not (tmp_path / "site" / link).is_file()]


def test_every_page_is_in_the_navigation_and_in_llms_txt() -> None:
    """A new page is found by people and by models."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    llms = (DOCS / "llms.txt").read_text(encoding="utf-8").replace("reference/index.html", "reference.md")
    listed = set(re.findall(r"\]\(([\w/.-]+\.md)\)", llms))

    assert set(re.findall(r": ([\w/.-]+\.md)$", navigation, re.MULTILINE)) == PAGES
    assert listed == PAGES - {"index.md"}
