"""Steps on web pages, as in Mind2Web: 72 pages of our own making, and a loader for its files."""

from __future__ import annotations

from cmat_env.envs.web.pages.env import WebPagesEnv
from cmat_env.envs.web.pages.sample import PageSample, load_mind2web

__all__ = ["PageSample", "WebPagesEnv", "load_mind2web"]
