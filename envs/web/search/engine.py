"""What a search engine is, and which one to take."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Literal, Protocol, get_args

from cmat_env.checks import check_known
from cmat_env.errors import MissingExtraError

EngineName = Literal["auto", "fts5", "tantivy"]
ENGINE_NAMES: tuple[str, ...] = get_args(EngineName)
MOST_FOR_FTS5 = 5_000
Document = tuple[str, str]


class SearchEngine(Protocol):
    """Ranks documents by BM25 with English stemming; equal scores in the order of their ids."""

    def search(self, terms: tuple[str, ...], limit: int) -> tuple[str, ...]:
        """The ids of the best documents that hold any of the terms, best first; none for no terms."""
        ...

    def close(self) -> None:
        """Free the index; may be called twice."""
        ...


def open_engine(documents: Iterable[Document], *, name: EngineName = "auto") -> SearchEngine:
    """Index documents.

    Args:
        documents: (id, text) pairs; ids are unique.
        name: "fts5" (SQLite, always there), "tantivy" (extra web-search, many times faster on large shops), or
            "auto" = fts5 for up to 5,000 documents, else tantivy.

    Raises:
        ConfigError: there is no such engine.
        MissingExtraError: tantivy is wanted and not installed.
    """
    check_known("search", name, ENGINE_NAMES)
    listed = list(documents)
    if name == "tantivy" or (name == "auto" and len(listed) > MOST_FOR_FTS5):
        if find_spec("tantivy") is None:
            raise MissingExtraError(
                f"{len(listed)} products are searched by tantivy, which is not installed; run: pip install "
                "'cmat-env[web-search]', or set search=fts5, which is slow above 5,000 products"
            )
        from cmat_env.envs.web.search.tantivy_engine import TantivyEngine  # noqa: PLC0415 - an extra

        return TantivyEngine(listed)
    from cmat_env.envs.web.search.fts5 import FTS5Engine  # noqa: PLC0415 - one engine is loaded, not all

    return FTS5Engine(listed)
