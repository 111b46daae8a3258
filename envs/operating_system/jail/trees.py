"""Small trees of files that are written from a request."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any


def populate(folder: str, entries: Sequence[Sequence[Any]], *, owner: int) -> None:
    """Write a tree.

    Args:
        folder: where; it is made.
        entries: (path, mode, base64 content); a folder has no content, a symbolic link has mode 0 and its target.
        owner: user and group of everything.
    """
    os.makedirs(folder, 0o755, exist_ok=True)
    os.chown(folder, owner, owner)
    for path, mode, content in entries:
        target = f"{folder}/{path}"
        if content is None:
            os.makedirs(target, exist_ok=True)
        elif mode == 0:
            os.symlink(content, target)
        else:
            with open(target, "wb") as file:
                file.write(base64.b64decode(content))
        os.chown(target, owner, owner, follow_symlinks=False)
        if mode:
            os.chmod(target, mode)
