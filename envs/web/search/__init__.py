"""Search engines over short documents, with one interface and one order of results."""

from __future__ import annotations

from cmat_env.envs.web.search.engine import SearchEngine, open_engine
from cmat_env.envs.web.search.tokens import query_terms

__all__ = ["SearchEngine", "open_engine", "query_terms"]
