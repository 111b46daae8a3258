"""A hook of mkdocs: the sources of the pages stand beside them, where llms.txt points."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def on_post_build(config: Any) -> None:
    """Copy them."""
    docs = Path(config["docs_dir"])
    for source in docs.glob("**/*.md"):
        shutil.copyfile(source, Path(config["site_dir"]) / source.relative_to(docs))
