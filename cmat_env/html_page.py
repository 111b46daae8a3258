"""A page that needs nothing beside it: no script, no request, no font.

A content security policy allows the page's own style sheet, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Iterable
from html import escape
from pathlib import Path

from cmat_env.episode_html import style
from cmat_env.errors import LogError
from cmat_env.look_html import text

_END = "</body></html>\n"


def page(title: str, parts: Iterable[str]) -> str:
    """A page as text; see `write_page`."""
    return f"{_head(title)}{''.join(parts)}{_END}"


def write_page(to: Path, *, title: str, parts: Iterable[str]) -> None:
    """Write a page, whole or not at all.

    Args:
        to: its file.
        title: of the page.
        parts: its body as HTML, in order; each may be made when it is written.

    Raises:
        LogError: the page cannot be written.
    """
    partial = to.with_name(to.name + ".partial")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            file.write(_head(title))
            file.writelines(parts)
            file.write(_END)
        os.replace(partial, to)
    except OSError as error:
        raise LogError(f"{to}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _head(title: str) -> str:
    sheet = style()
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{text(title)}</title><style>{sheet}</style></head><body class="cmat">'
    )
